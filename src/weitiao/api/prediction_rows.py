"""A prediction as a line of a CSV or JSONL file, made so that the file is harmless in a spreadsheet.

Separate because the form of the file is a contract of its own: one line for every row that was read, in its order.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from weitiao.codec.listed import Unmatched, listed
from weitiao.errors import SettingsError
from weitiao.evaluation.marked import spans_json
from weitiao.example import Example, Task
from weitiao.objectives.mark import Marked
from weitiao.words import t

Form = Literal["csv", "jsonl"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet may take for the beginning of a formula
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Prediction:
    """What became of one row. ``problem`` says why there is no prediction, or what of the text was left out."""

    source: str
    text: str = ""
    prediction: str | None = None
    probabilities: Sequence[float] = ()  # in the order of the task's categories; none where nothing was scored
    problem: str = ""
    spans: Sequence[Mapping[str, Any]] = ()  # that were marked in the text
    unmatched: Sequence[Mapping[str, Any]] = ()  # what was written and is not in the text


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How predictions for ``task`` are written. ``with_text`` repeats the text that was read."""

    form: Form
    task: Task
    with_text: bool

    def head(self) -> bytes:
        """What stands before the first row."""
        if self.form == "jsonl":
            return b""
        marks = ["spans", "unmatched"] if self._marks else []
        return _csv_line(["source", *self._text("text"), "prediction", *self._scores(), *marks, "problem"])

    def row(self, row: Prediction) -> bytes:
        """One line, with its end."""
        if self.form == "jsonl":
            return _json_line(self._object(row))
        if self._marks:
            marks = [json.dumps(list(part), ensure_ascii=False) for part in (row.spans, row.unmatched)]
            return _csv_line([row.source, *self._text(row.text), row.prediction or "", *marks, row.problem])
        shares = [f"{share:.{_DIGITS}f}" for share in row.probabilities] or [""] * len(self.task.categories)
        sure = [f"{self._sure(row.probabilities):.{_DIGITS}f}" if row.probabilities else ""]
        sure = sure if self.task.categories else []
        return _csv_line([row.source, *self._text(row.text), row.prediction or "", *sure, *shares, row.problem])

    def _object(self, row: Prediction) -> Mapping[str, object]:
        found: dict[str, object] = {"source": row.source}
        if self.with_text:
            found["text"] = row.text
        if self._marks:
            found |= {"spans": list(row.spans), "unmatched": list(row.unmatched)}
            return {**found, "problem": row.problem} if row.problem else found
        found["prediction"] = row.prediction
        if self.task.categories:
            shares = [round(float(share), _DIGITS) for share in row.probabilities]
            found["confidence"] = round(self._sure(row.probabilities), _DIGITS) if shares else None
            found["probabilities"] = dict(zip(self.task.categories, shares, strict=False)) if shares else None
        return {**found, "problem": row.problem} if row.problem else found

    def _sure(self, shares: Sequence[float]) -> float:
        """Of the category, or of the least sure of several decisions."""
        return float(min(max(share, 1 - share) for share in shares) if self.task.several else max(shares))

    def _text(self, text: str) -> list[str]:
        return [text] if self.with_text else []

    @property
    def _marks(self) -> bool:
        return self.task.kind == "mark"

    def _scores(self) -> list[str]:
        if self._marks:
            return []
        names = [f"probability/{name}" for name in self.task.categories]
        return ["confidence", *names] if names else []


def marked_prediction(example: Example, found: Sequence[Marked | Unmatched], problem: str) -> Prediction:
    """The marks of one text; ``prediction`` lists them in words."""
    marks = [one for one in found if isinstance(one, Marked)]
    lost = [one for one in found if isinstance(one, Unmatched)]
    text = example.text
    return Prediction(
        example.source,
        text,
        listed([one.span for one in marks], text),
        problem=problem,
        spans=spans_json(marks, text),
        unmatched=spans_json(lost, text),
    )


def form_of(path: Path) -> Form:
    """The form that the file's name asks for. Raises SettingsError."""
    match path.suffix.lower():
        case ".csv":
            return "csv"
        case ".jsonl":
            return "jsonl"
    raise SettingsError(
        t("--output is {path}, but predictions are written as .csv or .jsonl", path=path),
        t("write --output {name}", name=path.with_suffix(".csv")),
    )


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO(newline="")
    harmless = [_harmless(cell) for cell in cells]
    # The writer itself quotes a line feed and not a carriage return, which readers take for the end of a row too.
    if any("\r" in cell for cell in harmless):
        csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(harmless)
    else:
        csv.writer(line, lineterminator="\n").writerow(harmless)
    return line.getvalue().encode("utf-8", "backslashreplace")


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _json_line(found: Mapping[str, object]) -> bytes:
    # A lone surrogate becomes \ud800, which is its escape in JSON.
    return (json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")
