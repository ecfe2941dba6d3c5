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
    say("First the untuned model says of 300 messages whether they are spam.")
    asked = ("--question", "Is this text message spam or ham?", "--eval-max-samples", "300")
    weitiao("evaluate", "smollm2-135m-instruct", "--data", "sms-spam", *asked)
    say(
        "Then it gets a head for the two categories, which learns with LoRA. What the test holds is never learned from."
    )
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
