"""Names in tweets: MiniLM gets a head that labels each piece of a text, and marks tweets that it has never seen."""

import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WEITIAO = [sys.executable, "-m", "weitiao"]


def main() -> None:
    weitiao("samples", "minilm-l6")
    weitiao("samples", "tweets-ner")
    weitiao("train", str(HERE / "settings.yaml"), *sys.argv[1:])


def weitiao(*arguments: str) -> None:
    """Run a command as a person would, and show it."""
    print(f"\n$ weitiao {shlex.join(arguments)}", flush=True)
    finished = subprocess.run([*WEITIAO, *arguments], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


if __name__ == "__main__":
    main()
