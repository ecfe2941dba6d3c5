"""Spam or not: what SmolLM2 says untuned, how LoRA tunes it, and whether that was worth it. ``make demo`` runs this."""

import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WEITIAO = [sys.executable, "-m", "weitiao"]
ASKED = (
    "Is this text message spam or ham? WINNER!! You have won a 900 pound prize reward, call 09061701461 to claim.",
    "Is this text message spam or ham? Ok, I'll see you at the station at six.",
)


def main() -> None:
    weitiao("samples", "smollm2-135m-instruct")
    weitiao("samples", "sms-spam")
    say("The untuned model, asked in plain words:")
    weitiao("chat", "smollm2-135m-instruct", "--max-new-tokens", "32", typed="\n".join(ASKED) + "\n")
    say("Now it learns from labelled messages. The test messages are asked before and after, and never learned from.")
    weitiao("train", str(HERE / "settings.yaml"), *sys.argv[1:])


def weitiao(*arguments: str, typed: str | None = None) -> None:
    """Run a command as a person would, and show it."""
    print(f"\n$ weitiao {shlex.join(arguments)}", flush=True)
    finished = subprocess.run([*WEITIAO, *arguments], input=typed, text=True, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
