"""CSV and TSV: which character separates the columns, whether quote marks quote, whether the first line is a header.

Separate because this is guessed from the first block of the file and then read strictly: an unbalanced quote is an
error with its line, never half a file in one cell.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from weitiao.data.columns import is_known_name
from weitiao.data.files import File
from weitiao.data.ledger import Dropped
from weitiao.data.lines import Lines, lines_of, text_blocks
from weitiao.data.notes import Notes
from weitiao.data.record import MAX_RECORD_CHARACTERS, Record
from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.words import t

DELIMITERS = "\t,;|"
_LOOKED_AT_ROWS = 2000
_LINES_OF_A_CELL = 50


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written. ``columns`` are the header's names, or "1", "2", … when there is no header."""

    delimiter: str
    quoted: bool
    header: bool
    columns: tuple[str, ...]


def find_dialect(head: Sequence[str], delimiters: str, header: bool | None, names: Iterable[str]) -> Dialect:
    """The dialect of a table that begins with the lines ``head``, separated by one of ``delimiters``.

    ``header`` overrules the guess; ``names`` are column names that the user gave, which a header would hold.
    """
    delimiter = find_delimiter(head, delimiters)
    quoted = _is_quoted(head, delimiter)
    rows = _parse(head, delimiter, quoted)[:_LOOKED_AT_ROWS]
    first = rows[0] if rows else []
    if header is None:
        header = _has_header(rows, frozenset(names))
    columns = tuple(_unique_names(first)) if header else tuple(str(i + 1) for i in range(_usual_width(rows)))
    return Dialect(delimiter, quoted, header, columns)


def read_table(file: File, dialect: Dialect, notes: Notes) -> Iterator[Record | Dropped]:
    """The rows under the header. A row with too few or too many cells is dropped; a broken quote is a DataError."""
    csv.field_size_limit(
        MAX_RECORD_CHARACTERS
    )  # a process-wide setting: the default refuses cells over 131,072 characters
    width = len(dialect.columns)
    rows = _rows(file, dialect, notes)
    if dialect.header:
        header = next((cells for _, cells in rows if any(cell.strip() for cell in cells)), [])
        _note_repeated(header, file, notes)
    for line, cells in rows:
        if len(cells) != width:
            if not any(cell.strip() for cell in cells):
                if cells:
                    notes.add("blank_row", f"{file.name}:{line}")
                continue
            if len(cells) < width or any(cells[width:]):
                yield _ragged(f"{file.name}:{line}", len(cells), width)
                continue
        elif width > 1 and not any(cells):
            notes.add("blank_row", f"{file.name}:{line}")
            continue
        yield Record(f"{file.name}:{line}", dict(zip(dialect.columns, cells, strict=False)))


def _rows(file: File, dialect: Dialect, notes: Notes) -> Iterator[tuple[int, list[str]]]:
    lines = _with_breaks(lines_of(text_blocks(file, notes), file.name))
    quoting = _quoting(dialect.quoted)
    reader = csv.reader(lines, delimiter=dialect.delimiter, quoting=quoting, strict=True)
    start = 1
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            t(
                "{place} has a quote mark that is never closed, or text after a closing one",
                place=f"{file.name}:{start}",
            ),
            t('write a quote mark inside a quoted cell twice (""), or save the file as TSV without quotes'),
        ) from error


def _with_breaks(lines: Iterable[Lines]) -> Iterator[str]:
    for some in lines:
        for text in some.texts:
            yield text + "\n"


def _ragged(source: str, found: int, width: int) -> Dropped:
    return Dropped(
        source, "ragged", t("has {found} cells where the table has {width} columns", found=found, width=width)
    )


def find_delimiter(head: Sequence[str], delimiters: str) -> str:
    """The delimiter that gives the largest share of rows with the same number of cells, at least two."""
    best, best_share = delimiters[0], 0.0
    for delimiter in delimiters:
        rows = _parse(head, delimiter, _is_quoted(head, delimiter))[:_LOOKED_AT_ROWS]
        width = _usual_width(rows)
        share = sum(len(row) == width for row in rows) / len(rows) if rows and width > 1 else 0.0
        # A separator splits the first line as it splits the others; a comma in most sentences of one column is none
        if share > best_share and (len(rows[0]) == width or share > 0.9):
            best, best_share = delimiter, share
    if not best_share and "," in delimiters:
        return ","
    return best


def _is_quoted(head: Sequence[str], delimiter: str) -> bool:
    """Whether quote marks enclose cells, or are plain text, as in most tab-separated files.

    A program that quotes doubles the quote marks inside, and leaves none inside a bare cell.
    """
    if delimiter != "\t" or not any('"' in line for line in head):
        return True
    try:
        rows = _parse(head, delimiter, quoted=True, lenient=False)
    except csv.Error:
        return False
    cells = [cell for line in head for cell in line.split(delimiter)]
    if any('"' in cell and not cell.startswith('"') and not cell.endswith('"') for cell in cells):
        return False
    doubled = any('""' in cell[1:-1] for cell in cells if cell.startswith('"'))
    all_quoted = all(cell.startswith('"') and cell.endswith('"') for cell in cells if cell)
    width = _usual_width(rows)
    only_quoted_is_even = all(len(row) == width for row in rows) and len({line.count(delimiter) for line in head}) > 1
    return doubled or all_quoted or only_quoted_is_even


def _parse(head: Sequence[str], delimiter: str, quoted: bool, lenient: bool = True) -> list[list[str]]:
    """The rows of the first lines, blank ones left out; stops at the first broken quote when ``lenient``."""
    quoting = _quoting(quoted)
    reader = csv.reader((line + "\n" for line in head), delimiter=delimiter, quoting=quoting, strict=True)
    rows, last = [], 0
    try:
        for row in reader:
            last = reader.line_num
            if any(cell.strip() for cell in row):
                rows.append(row)
    except csv.Error:
        # The first block of a long file may end inside a quoted cell of a few lines
        cut_off = reader.line_num == len(head) and len(head) - last <= _LINES_OF_A_CELL
        if not lenient and not cut_off:
            raise
    return rows


def _quoting(quoted: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    widths = Counter(len(row) for row in rows)
    return max(widths, key=lambda width: (widths[width], width)) if widths else 1


def _has_header(rows: Sequence[Sequence[str]], names: frozenset[str]) -> bool:
    if not rows:
        return True
    first, rest = rows[0], rows[1:]
    if names.intersection(cell.strip() for cell in first):
        return True
    if _recurs(first, rest):
        return False
    if any(is_known_name(cell) for cell in first):
        return True
    return _differs_in_kind(first, rest)


def _recurs(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether some cell of the first row is a value of its column: names do not come back among the values."""
    columns = list(zip(*(row for row in rest if len(row) == len(first)), strict=False))
    return any(cell.strip() and cell in column for cell, column in zip(first, columns, strict=False))


def _differs_in_kind(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first row looks like names: short, distinct, no numbers, over numbers or longer texts."""
    named = [cell.strip() for cell in first if cell.strip()]
    if not named or len(set(named)) < len(named) or any(len(cell) > 40 or _is_number(cell) for cell in named):
        return False
    columns = list(zip(*(row for row in rest if len(row) == len(first)), strict=False))
    for cell, column in zip(first, columns, strict=False):
        values = [value for value in column if value.strip()]
        if not values or not cell.strip():
            continue
        if all(_is_number(value) for value in values) or fmean(map(len, values)) > 3 * len(cell) + 8:
            return True
    return False


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _unique_names(cells: Sequence[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for position, cell in enumerate(cells):
        name = cell.strip() or str(position + 1)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}.{seen[name]}"


def _note_repeated(cells: Sequence[str], file: File, notes: Notes) -> None:
    for name, count in Counter(cell.strip() for cell in cells if cell.strip()).items():
        if count > 1:
            notes.add("repeated_column", f"{file.name}:1", visible(name, 40), count - 1)
