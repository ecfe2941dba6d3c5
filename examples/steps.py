"""What the example projects share: a command run as a person would, and a table of labelled texts."""

import csv
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def weitiao(*arguments: object) -> None:
    """Run a command and show it; where it fails, so does the example."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ weitiao {shlex.join(words)}", flush=True)
    finished = subprocess.run([sys.executable, "-m", "weitiao", *words], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def say(text: str) -> None:
    """A sentence between two commands."""
    print(f"\n{text}", flush=True)


def write_table(path: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """Texts and labels as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path
