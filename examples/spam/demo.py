"""Spam or not: what SmolLM2 says untuned, how LoRA tunes it, and whether that was worth it. ``make demo`` runs this."""

import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WEITIAO = [sys.executable, "-m", "weitiao"]


def main() -> None:
    weitiao("samples", "smollm2-135m-instruct")
    weitiao("samples", "sms-spam")
    say("The test messages are asked before and after, and never learned from. First the untuned model answers them.")
    weitiao("train", str(HERE / "settings.yaml"), *sys.argv[1:])


def weitiao(*arguments: str) -> None:
    """Run a command as a person would, and show it."""
    print(f"\n$ weitiao {shlex.join(arguments)}", flush=True)
    finished = subprocess.run([*WEITIAO, *arguments], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
