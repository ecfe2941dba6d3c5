"""Should one tune? A small classical model, prompts and tuning answer the same texts, first English, then Chinese.

Flags go to both comparisons, those of another model and other data too.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from steps import weitiao  # noqa: E402


def main() -> None:
    flags = sys.argv[1:]
    if "--data" not in flags:
        for sample in ("smollm2-135m-instruct", "minilm-l6", "sms-spam", "reviews-zh"):
            weitiao("samples", sample)
    for name in ("messages", "reviews"):
        weitiao("compare", str(HERE / f"{name}.yaml"), *flags)


if __name__ == "__main__":
    main()
