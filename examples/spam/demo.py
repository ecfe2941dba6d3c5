"""Spam or not: what SmolLM2 says untuned, how LoRA tunes it, and whether that was worth it. ``make demo`` runs this."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from steps import say, weitiao  # noqa: E402


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


if __name__ == "__main__":
    main()
