"""JSON Lines, JSON arrays and single JSON objects as records, in bounded memory, each with its line.

Separate because finding where one value ends and the next begins, and saying exactly what is broken there, is the same
work for all three.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from weitiao.data.files import File
from weitiao.data.json_values import decode_value, has_odd_escape, make_record
from weitiao.data.ledger import Dropped
from weitiao.data.lines import lines_of, text_blocks, too_long
from weitiao.data.notes import Notes
from weitiao.data.record import MAX_RECORD_CHARACTERS, Record
from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.words import t

_SPACE = " \t\n\r"
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def read_json_lines(file: File, notes: Notes) -> Iterator[Record | Dropped]:
    """One record for each line that is not blank. DataError at the first line that is not one JSON value."""
    name = file.name
    for lines in lines_of(text_blocks(file, notes), name):
        for number, line in enumerate(lines.texts, lines.first):
            text = line.strip(_SPACE)
            if not text:
                continue
            place = f"{name}:{number}"
            try:
                value, end = decode_value(text, 0, place, notes)
            except json.JSONDecodeError as error:
                raise broken_json(place, text, error.pos, cut_off=not lines.ended) from error
            except RecursionError as error:
                raise too_deep(place) from error
            if end != len(text):
                raise _more_on_line(place, text[end:].lstrip(_SPACE))
            yield make_record(value, place, has_odd_escape(text))


def read_json(file: File, notes: Notes) -> Iterator[Record | Dropped]:
    """The elements of a JSON array, or of the only array in a JSON object. DataError where the JSON breaks."""
    window = _Window(file, notes)
    if window.next_character() == "[":
        yield from _read_array(window)
    else:
        yield from _read_object(window, notes)
    rest = window.next_character()
    if rest:
        raise DataError(
            t("{place} has more text after the end of the JSON", place=window.place()),
            t("one object a line? Name the file .jsonl, or pass --format jsonl"),
        )


def broken_json(place: str, text: str, position: int, cut_off: bool) -> DataError:
    """The error for JSON that breaks at ``position`` of ``text``; ``cut_off`` when the file ends with ``text``."""
    before, after = text[:position].rstrip(_SPACE), text[position:].lstrip(_SPACE)
    if cut_off and _ends_early(text, position):
        return DataError(
            t("{place} is cut off: the file ends in the middle of a JSON value", place=place),
            t("fetch or write the file again, or delete the incomplete end"),
        )
    if before.endswith(",") and after[:1] in ("}", "]", ","):
        return DataError(
            t("{place} has a comma too many", place=place), t("JSON allows no comma before } or ]; remove it")
        )
    if after.startswith(("'", "None", "True", "False")):
        return DataError(
            t("{place} is not JSON but looks like Python", place=place),
            t("write it with json.dumps(row, ensure_ascii=False), which gives double quotes, null and true"),
        )
    return DataError(
        t(
            "{place} is not valid JSON at character {column}: {near}",
            place=place,
            column=position + 1,
            near=_near(text, position),
        ),
        t("each line must hold one JSON object in double quotes; --format names another format"),
    )


def too_deep(place: str) -> DataError:
    """The error for JSON nested beyond what can be parsed."""
    return DataError(
        t("{place} nests lists or objects too deeply", place=place),
        t("no data set needs this; the file is damaged or hostile"),
    )


class _Window:
    """A moving part of the text, so that a JSON array of any size is read in bounded memory."""

    def __init__(self, file: File, notes: Notes) -> None:
        self.name = file.name
        self.notes = notes
        self.blocks = text_blocks(file, notes)
        self.text = ""
        self.at = 0
        self.line = 1
        self.begin = self.end = 0

    def place(self) -> str:
        return f"{self.name}:{self.line}"

    def advance(self, position: int) -> None:
        self.line += self.text.count("\n", self.at, position)
        self.at = position

    def next_character(self) -> str:
        """The next character that is no space, not consumed; empty at the end."""
        while True:
            for position in range(self.at, len(self.text)):
                if self.text[position] not in _SPACE:
                    self.advance(position)
                    return self.text[position]
            self.advance(len(self.text))
            if not self._grow():
                return ""

    def value(self, place: str) -> object:
        """The JSON value that begins here, consumed."""
        while True:
            try:
                value, end = decode_value(self.text, self.at, place, self.notes)
            except json.JSONDecodeError as error:
                if _ends_early(self.text, error.pos) and self._grow():
                    continue
                raise broken_json(place, self.text[self.at :], error.pos - self.at, cut_off=True) from error
            except RecursionError as error:
                raise too_deep(place) from error
            if end < len(self.text) or isinstance(value, (dict, list, str)) or not self._grow():
                self.begin, self.end = self.at, end
                self.advance(end)
                return value

    def consumed(self) -> str:
        """The source text of the last value."""
        return self.text[self.begin : self.end]

    def _grow(self) -> bool:
        """Read at least as much again as is waiting, so that trying again stays cheap; False at the end."""
        waiting = [self.text[self.at :]]
        length = wanted = len(waiting[0])
        for block in self.blocks:
            waiting.append(block)
            length += len(block)
            if length > 2 * wanted:
                break
        if len(waiting) == 1:
            return False
        if wanted > MAX_RECORD_CHARACTERS:
            raise too_long(self.place())
        self.text, self.at = "".join(waiting), 0
        return True


def _read_array(window: _Window) -> Iterator[Record | Dropped]:
    window.advance(window.at + 1)
    count, line = 0, 0
    while (character := window.next_character()) != "]":
        if not character:
            raise broken_json(window.place(), "", 0, cut_off=True)
        if count:
            if character != ",":
                raise _missing_comma(window)
            window.advance(window.at + 1)
            if window.next_character() in ("]", ","):
                raise broken_json(window.place(), ",]", 1, cut_off=False)
        count += 1
        place = window.place() if window.line != line else f"{window.place()}#{count}"
        line = window.line
        value = window.value(place)
        yield make_record(value, place, has_odd_escape(window.consumed()))
    window.advance(window.at + 1)


def _read_object(window: _Window, notes: Notes) -> Iterator[Record | Dropped]:
    place = window.place()
    if not window.next_character():
        return
    value = window.value(place)
    odd = has_odd_escape(window.consumed())
    lists = [(key, rows) for key, rows in value.items() if _holds_rows(rows)] if isinstance(value, dict) else []
    if len(lists) == 1:
        key, rows = lists[0]
        notes.add("json_object", place, visible(key, 40))
        for index, row in enumerate(rows, 1):
            yield make_record(row, f"{place}#{index}", odd)
    elif lists:
        names = ", ".join(f"`{visible(key, 40)}`" for key, _ in lists)
        raise DataError(
            t("{place} holds several lists of rows: {names}", place=place, names=names),
            t("save each list as a file of its own"),
        )
    elif isinstance(value, dict) and value and all(isinstance(column, (dict, list)) for column in value.values()):
        raise DataError(
            t("{place} holds columns, not rows", place=place),
            t('with pandas, write it as rows: df.to_json("rows.jsonl", orient="records", lines=True)'),
        )
    else:
        yield make_record(value, place, odd)


def _holds_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _ends_early(text: str, position: int) -> bool:
    """Whether the complaint at ``position`` can come from ``text`` breaking off: in an open string, or at the end.

    The longest thing that breaks off without being a string is an escape or a word such as ``-Infinity``.
    """
    after = text[position : position + 64].strip(_SPACE)
    if not after:
        return True
    if after[0] == '"':
        return _STRING.match(text, position) is None
    return position >= len(text) - 12 and not any(mark in after for mark in "}],:{[")


def _more_on_line(place: str, rest: str) -> DataError:
    if rest.startswith(("{", "[")):
        return DataError(
            t("{place} holds more than one JSON value", place=place), t("put each object on a line of its own")
        )
    if rest.strip(_SPACE) == ",":
        return DataError(
            t("{place} ends with a comma", place=place),
            t("in JSONL no comma separates the lines: remove them, or put [ before the first and ] after the last"),
        )
    return DataError(
        t("{place} has more text after its JSON value: {near}", place=place, near=_near(rest, 0)),
        t("put each object on a line of its own"),
    )


def _missing_comma(window: _Window) -> DataError:
    return DataError(
        t(
            "{place}: a comma is missing between two rows: {near}",
            place=window.place(),
            near=_near(window.text, window.at),
        ),
        t("separate the rows of a JSON array by commas"),
    )


def _near(text: str, position: int) -> str:
    return f"`{visible(text[position : position + 24])}`"
