"""What a reader accepted although it is not as it should be, so that it is said and never silent.

Separate because every reader notes things, in bounded memory: one line for each kind, with its count and first place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weitiao.data.ledger import Problem
from weitiao.words import t

NoteKind = Literal[
    "bom",
    "json_array",
    "json_lines",
    "json_object",
    "repeated_key",
    "bad_number",
    "blank_row",
    "repeated_column",
    "trailing_turns",
    "tool_calls",
    "duplicate_id",
    "dataset_info",
    "ignored_files",
]


@dataclass(slots=True)
class _Note:
    where: str
    detail: str
    count: int = 0


class Notes:
    """Counts what was accepted, by kind; keeps the first place and detail of each."""

    def __init__(self) -> None:
        self._notes: dict[NoteKind, _Note] = {}

    def add(self, kind: NoteKind, where: str, detail: str = "", count: int = 1) -> None:
        """Note ``count`` more of ``kind``."""
        note = self._notes.setdefault(kind, _Note(where, detail))
        note.count += count

    def merge(self, other: Notes) -> None:
        """Take over the kinds of ``other`` that are not noted here."""
        for kind, note in other._notes.items():
            self._notes.setdefault(kind, note)

    def problems(self) -> list[Problem]:
        """One problem for each kind, in the order in which they were met."""
        return [Problem(kind, note.where, _message(kind, note)) for kind, note in self._notes.items()]


def _message(kind: NoteKind, note: _Note) -> str:
    count, detail = note.count, note.detail
    match kind:
        case "bom":
            return t("the file begins with a byte order mark, which was left out")
        case "json_array":
            return t("the file is one JSON array, not one object a line; read as such")
        case "json_lines":
            return t("the file holds one JSON object a line, not one array; read as such")
        case "json_object":
            return t("the rows were found under `{key}` of one JSON object", key=detail)
        case "repeated_key":
            return t("rows with a repeated key: {count}, first `{key}`; the last value counts", count=count, key=detail)
        case "bad_number":
            return t(
                "rows with NaN, an infinite or an endless number: {count}, first {value}; read as empty",
                count=count,
                value=detail,
            )
        case "blank_row":
            return t("rows without any content: {count}; passed over", count=count)
        case _:
            return _rarer_message(kind, note)


def _rarer_message(kind: NoteKind, note: _Note) -> str:
    count, detail = note.count, note.detail
    match kind:
        case "repeated_column":
            return t("the column name `{column}` comes again; read as `{column}.2` and so on", column=detail)
        case "trailing_turns":
            return t(
                "conversations that go on after the last reply: {count}; what follows it was left out", count=count
            )
        case "ignored_files":
            return t("files beside the class folders: {count}, first {file}; not read", count=count, file=detail)
        case "tool_calls":
            return t("tool calls: {count}; read as the JSON text of the call", count=count)
        case "duplicate_id":
            return t(
                "rows with the `id` of an earlier row: {count}, first {detail}; content tells rows apart",
                count=count,
                detail=detail,
            )
        case _:
            return t("the dataset_info.json beside the data was not used: {reason}", reason=detail)
