"""Every prediction is a line that a spreadsheet may open and a program reads back."""

import csv
import io
import json
from pathlib import Path

import pytest

from weitiao.api.prediction_rows import Prediction, RowFormat, form_of
from weitiao.errors import SettingsError
from weitiao.example import Task

CLASSIFY = Task("classify", "?", ("ham", "spam"))


def read_csv(layout: RowFormat, *rows: Prediction) -> list[dict[str, str]]:
    content = layout.head() + b"".join(layout.row(row) for row in rows)
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


def test_a_csv_row_has_a_probability_for_each_category() -> None:
    (row,) = read_csv(RowFormat("csv", CLASSIFY, True), Prediction("a.csv:2", "微调, “x”\ny", "spam", (0.25, 0.75)))
    assert row == {
        "source": "a.csv:2",
        "text": "微调, “x”\ny",
        "prediction": "spam",
        "confidence": "0.750000",
        "probability/ham": "0.250000",
        "probability/spam": "0.750000",
        "problem": "",
    }


def test_a_json_row_holds_the_same() -> None:
    layout = RowFormat("jsonl", CLASSIFY, False)
    assert layout.head() == b""
    assert json.loads(layout.row(Prediction("a.csv:2", "x", "spam", (0.25, 0.75)))) == {
        "source": "a.csv:2",
        "prediction": "spam",
        "confidence": 0.75,
        "probabilities": {"ham": 0.25, "spam": 0.75},
    }


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_no_formula_in_a_csv(cell: str) -> None:
    (row,) = read_csv(RowFormat("csv", Task("reply"), True), Prediction(cell, cell, cell))
    assert {row["source"], row["text"], row["prediction"]} == {f"'{cell}"}
    told = json.loads(RowFormat("jsonl", Task("reply"), True).row(Prediction(cell, cell, cell)))
    assert {told["source"], told["text"], told["prediction"]} == {cell}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_row_that_was_not_read_says_why(form: str) -> None:
    layout = RowFormat(form, CLASSIFY, True)  # type: ignore[arg-type]
    row = Prediction("a.csv:3", problem="empty_text: has no text")
    if form == "csv":
        (told,) = read_csv(layout, row)
        assert (told["prediction"], told["confidence"], told["probability/ham"]) == ("", "", "")
    else:
        told = json.loads(layout.row(row))
        assert (told["prediction"], told["confidence"], told["probabilities"]) == (None, None, None)
    assert told["problem"] == "empty_text: has no text"


def test_broken_unicode_is_still_a_line() -> None:
    row = Prediction("a", "x\ud800y", "b")
    assert json.loads(RowFormat("jsonl", Task("reply"), True).row(row))["text"] == "x\ud800y"
    assert RowFormat("csv", Task("reply"), True).row(row) == b"a,x\\ud800y,b,\n"


def test_the_name_decides_the_form() -> None:
    assert (form_of(Path("a.CSV")), form_of(Path("b.jsonl"))) == ("csv", "jsonl")
    with pytest.raises(SettingsError, match=r"is a\.xlsx") as caught:
        form_of(Path("a.xlsx"))
    assert "--output a.csv" in caught.value.hint
