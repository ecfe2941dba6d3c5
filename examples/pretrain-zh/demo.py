"""Is pretraining worth it? A small model reads Chinese reviews without their labels, then learns 200 or 2,000 labels;
the same model learns the same labels without having read. Four reports, and one table at the end.

    python examples/pretrain-zh/demo.py              the whole of it
    python examples/pretrain-zh/demo.py --short      a few steps of everything, to see that it runs
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from weitiao.api.preparation import open_named
from weitiao.data.dataset import Hints
from weitiao.example import Category, Example, content_key

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from steps import weitiao, write_table  # noqa: E402

LABELS = (200, 2000)
TESTED = 2000
SHORT = ("max_steps=3", "eval_max_samples=20", "cutoff_len=128")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="reviews-zh", help="labelled texts; half of them may be duplicates")
    parser.add_argument("--output", type=Path, default=Path("pretrain-zh"), help="where files and runs go")
    parser.add_argument("--model", default="preset:tiny")
    parser.add_argument("--short", action="store_true")
    given, others = parser.parse_known_args(arguments)  # others, such as threads=1, go to every weitiao train
    runs, more = given.output / "runs", [*others, *(SHORT if given.short else ())]
    texts, test, labels = divide(given.data, given.output)

    read = runs / "read"
    weitiao("train", HERE / "pretrain.yaml", f"model={given.model}", f"data={texts}", f"output_dir={read}", *more)
    starts = {
        "read": [f"model={read}"],
        "fresh": [f"model={given.model}", f"tokenizer={read / 'model'}"],  # the same tokenizer and first weights
    }
    tuned = {}
    for count, path in labels.items():
        for name, start in starts.items():
            tuned[name, count] = runs / f"{name}-{count}"
            settings = [f"data={path}", f"test={test}", f"output_dir={tuned[name, count]}", *start]
            weitiao("train", HERE / "tune.yaml", *settings, *more)
    show(tuned)


def divide(data: str, folder: Path) -> tuple[Path, Path, dict[int, Path]]:
    """Texts to read, labelled texts to test on, and labelled texts to learn, drawn by hash, each text once.

    No text of the test is among those that are read, not even without its label.
    """
    found: dict[int, set[tuple[str, str]]] = {}
    for item in open_named(data, Hints(kind="classify")):
        if isinstance(item, Example) and isinstance(item.label, Category):
            found.setdefault(content_key(item), set()).add((item.text, item.label.name))
    clear = [min(rows) for _, rows in sorted(found.items()) if len({label for _, label in rows}) == 1]
    tested = min(TESTED, len(clear) // 3)
    rest = clear[tested:]
    folder.mkdir(parents=True, exist_ok=True)
    texts = folder / "texts.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text, _ in rest]
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels = {count: write_table(folder / f"labels-{count}.csv", rest[:count]) for count in LABELS}
    return texts, write_table(folder / "test.csv", clear[:tested]), labels


def show(tuned: dict[tuple[str, int], Path]) -> None:
    """Accuracy on the test texts, with intervals."""
    print(f"\n{'labels':>8}  {'without reading':>28}  {'after reading':>28}")
    for count in LABELS:
        cells = [accuracy(tuned[name, count]) for name in ("fresh", "read")]
        print(f"{count:>8}  {cells[0]:>28}  {cells[1]:>28}")


def accuracy(run: Path) -> str:
    """The accuracy of a tuned model."""
    score = json.loads((run / "report.json").read_text(encoding="utf-8"))["after"]["scores"]["accuracy"]
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['count']}"


if __name__ == "__main__":
    main(sys.argv[1:])
