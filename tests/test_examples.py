"""The example projects run from beginning to end, a few steps of each command."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import tiny

ROOT = Path(__file__).parents[1]


def said(example: str, words: list[str], folder: Path) -> list[str]:
    """The lines that an example prints, run in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / example / "demo.py", *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_pretrain_zh_ends_in_a_table_with_intervals(tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(6):
            writer.writerows([f"{text} {number}", "负面"] for text in tiny.SPAM)
            writer.writerows([f"{text} {number}", "正面"] for text in tiny.HAM)
    words = ["--short", "--model", "preset:1", "--data", "rows.csv", "--output", "out"]
    table = said("pretrain-zh", words, tmp_path)[-3:]
    assert [line.split()[0] for line in table] == ["labels", "200", "2000"]
    assert all("[" in line and "n=" in line for line in table[1:])
    runs = {folder.name for folder in (tmp_path / "out" / "runs").iterdir()}
    assert runs == {"read", "fresh-200", "read-200", "fresh-2000", "read-2000"}
    tested = {row["text"] for row in csv.DictReader((tmp_path / "out" / "test.csv").open(encoding="utf-8"))}
    read = (tmp_path / "out" / "texts.jsonl").read_text(encoding="utf-8")
    assert tested and not any(f'"{text}"' in read for text in tested)


def test_objectives_ends_in_a_table_of_what_each_can_be_asked(tmp_path: Path) -> None:
    rows = [(f"{text} {number}", label) for number in range(6) for label, texts in
            (("spam", tiny.SPAM), ("ham", tiny.HAM)) for text in texts]  # fmt: skip
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    words = ["--short", "--size", "1", "--texts", "rows.csv", "--labels", "rows.csv", "--output", "out"]
    table = said("objectives", words, tmp_path)[-3:]
    assert [line.split()[0] for line in table] == ["causal", "masked", "infill"]
    assert [line.count("–") for line in table] == [1, 1, 1]
    assert all(line.count("n=") == 2 for line in table)


def test_compare_ends_in_a_ladder_and_a_report_twice(tmp_path: Path, tiny_llama: Path) -> None:
    rows = [(f"{text} {number}", label) for number in range(6) for label, texts in
            (("负面", tiny.SPAM), ("正面", tiny.HAM)) for text in texts]  # fmt: skip
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    words = ["--model", str(tiny_llama), "--data", "rows.csv", "--max-steps", "2", "--curve", "off", "--draws", "1"]
    lines = said("compare", words, tmp_path)
    assert sum(line.startswith("tuned-lora ") for line in lines) == 2
    reports = sorted((tmp_path / "comparisons").glob("*/report.html"))
    assert len(reports) == 2
