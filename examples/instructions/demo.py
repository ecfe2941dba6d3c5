"""Instructions in Chinese and English: the loss on held-out replies before and after. ``make demo-zh`` runs this."""

import sys
from itertools import islice
from pathlib import Path

from weitiao.data.samples import fetch

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from steps import weitiao  # noqa: E402

ROWS_OF_EACH = 200


def main() -> None:
    for name in ("smollm2-135m-instruct", "alpaca-zh", "alpaca-en"):
        weitiao("samples", name, "--lang", "zh")
    data = mixed(Path("demo"))
    weitiao("check", str(data), "--model", "smollm2-135m-instruct", "--rows", "1", "--lang", "zh")
    weitiao("train", str(HERE / "settings.yaml"), "--data", str(data), "--lang", "zh", *sys.argv[1:])


def mixed(folder: Path) -> Path:
    """The first rows of both sets, in one file that a person can open."""
    folder.mkdir(exist_ok=True)
    path = folder / "instructions.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for name in ("alpaca-zh", "alpaca-en"):
            with fetch(name).open(encoding="utf-8") as rows:
                out.writelines(islice(rows, ROWS_OF_EACH))
    return path


if __name__ == "__main__":
    main()
