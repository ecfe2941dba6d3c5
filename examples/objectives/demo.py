"""What is each objective good at? A causal, a masked and an infilling model read one corpus by one tokenizer, and each
is then asked to continue texts, to fill blanks, and to learn a category from few labels.
    python examples/objectives/demo.py                      English: replies of alpaca-en, labels of sms-spam
    python examples/objectives/demo.py --language zh        Chinese: texts and labels of reviews-zh
    python examples/objectives/demo.py --short              a few steps of everything, to see that it runs
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from weitiao.api.preparation import open_named
from weitiao.data.dataset import Hints
from weitiao.example import Category, Example, Reply, content_key

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from steps import weitiao, write_table  # noqa: E402

MODELS = {"causal": "preset:{size}", "masked": "preset:encoder-{size}", "infill": "preset:{size}"}
SAMPLES = {"en": ("alpaca-en", "sms-spam"), "zh": ("reviews-zh", "reviews-zh")}
LABELS, TESTED = 200, 1000
SHORT = ("max_steps=3", "eval_max_samples=20", "cutoff_len=128")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", choices=SAMPLES, default="en")
    parser.add_argument("--texts", help="what is read, in place of the sample's")
    parser.add_argument("--labels", help="what is classified, in place of the sample's")
    parser.add_argument("--size", default="tiny", help="of the models: tiny, small, base, or a number of layers")
    parser.add_argument("--output", type=Path, default=Path("objectives"), help="where files and runs go")
    parser.add_argument("--short", action="store_true")
    given, others = parser.parse_known_args(arguments)  # others, such as threads=1, go to every command
    more = [*others, *(SHORT if given.short else ())]
    folder = given.output / given.language
    folder.mkdir(parents=True, exist_ok=True)
    labels, test, held = labelled(given.labels or SAMPLES[given.language][1], folder)
    texts = plain(given.texts or SAMPLES[given.language][0], folder, held)

    for name, model in MODELS.items():
        start = [f"model={model.format(size=given.size)}", f"data={texts}", f"output_dir={folder / name}"]
        tokenizer = [] if name == "causal" else [f"tokenizer={folder / 'causal' / 'model'}"]
        weitiao("train", HERE / "read.yaml", *start, f"objective={name}", *tokenizer, *more)
        rows = [f"model={folder / name}", f"data={labels}", f"test={test}", f"output_dir={folder / f'{name}-tuned'}"]
        weitiao("train", HERE / "tune.yaml", *rows, *more)
    show(folder)


def labelled(data: str, folder: Path) -> tuple[Path, Path, set[int]]:
    """Labelled texts to learn and to test on, drawn by hash, and the keys of the tested."""
    rows = {
        content_key(item): (item.text, item.label.name)
        for item in open_named(data, Hints(kind="classify"))
        if isinstance(item, Example) and isinstance(item.label, Category)
    }
    keys = sorted(rows)
    tested = min(TESTED, len(keys) // 3)
    test = write_table(folder / "test.csv", [rows[key] for key in keys[:tested]])
    learned = [rows[key] for key in keys[tested : tested + LABELS]]
    return write_table(folder / "labels.csv", learned), test, set(keys[:tested])


def plain(data: str, folder: Path, held: set[int]) -> Path:
    """What is read: texts, or replies; none of those in ``held``."""
    path = folder / "texts.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for item in open_named(data, Hints()):
            if isinstance(item, Example) and content_key(item) not in held:
                text = item.label.text if isinstance(item.label, Reply) else item.text
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return path


def show(folder: Path) -> None:
    """What each model reached, with intervals; a dash where it cannot be asked."""
    print(f"\n{'':>8}  {'continuing: bits per byte':>30}  {'hidden tokens guessed':>30}  {'accuracy, few labels':>30}")
    for name in MODELS:
        read, tuned = scores(folder / name), scores(folder / f"{name}-tuned")
        cells = [shown(read, "bits_per_byte"), shown(read, "blank_accuracy"), shown(tuned, "accuracy")]
        print(f"{name:>8}  " + "  ".join(f"{cell:>30}" for cell in cells))


def scores(run: Path) -> dict[str, dict[str, float]]:
    """Of the finished run."""
    found: dict[str, dict[str, float]] = json.loads((run / "report.json").read_text(encoding="utf-8"))["after"][
        "scores"
    ]
    return found


def shown(found: dict[str, dict[str, float]], name: str) -> str:
    """One score with its interval."""
    score = found.get(name)
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['count']}" if score else "–"


if __name__ == "__main__":
    main(sys.argv[1:])
