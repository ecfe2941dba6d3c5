"""Names in tweets: MiniLM gets a head that labels each piece of a text, and marks tweets that it has never seen."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from steps import weitiao  # noqa: E402


def main() -> None:
    weitiao("samples", "minilm-l6")
    weitiao("samples", "tweets-ner")
    weitiao("train", str(HERE / "settings.yaml"), *sys.argv[1:])


if __name__ == "__main__":
    main()
