"""CoNLL files as records: a token and its tag on each line, a sentence ends at a line of white space or nothing.

Separate because a record here is many lines, and the columns are found by looking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from weitiao.data.files import File
from weitiao.data.ledger import Dropped
from weitiao.data.lines import lines_of, text_blocks, too_long
from weitiao.data.notes import Notes
from weitiao.data.record import MAX_RECORD_CHARACTERS, Record
from weitiao.data.visible import visible
from weitiao.words import t

_TAG = re.compile(r"O|[BIESLUM][-_]\S+")
_DOCUMENT_START = "-DOCSTART-"


def looks_like_conll(head: Sequence[str]) -> bool:
    """Whether the lines ``head`` are tokens with tags of the BIO family in the last column."""
    rows = [_cells(line) for line in head if line.strip() and not _is_comment(line)]
    if len(rows) < 2 or any(len(row) < 2 for row in rows[:2]):
        return False
    tagged = sum(len(row) >= 2 and _TAG.fullmatch(row[-1]) is not None for row in rows)
    return tagged >= 0.95 * len(rows)


def read_conll(file: File, notes: Notes) -> Iterator[Record | Dropped]:
    """One record with ``tokens`` and ``tags`` for each sentence, at the line of its first token."""
    tokens: list[str] = []
    tags: list[str] = []
    first, length, broken = 1, 0, ""
    for lines in lines_of(text_blocks(file, notes), file.name):
        for number, line in enumerate(lines.texts, lines.first):
            if not line.strip():
                if tokens or broken:
                    yield _sentence(f"{file.name}:{first}", tokens, tags, broken)
                tokens, tags, length, broken = [], [], 0, ""
                continue
            if _is_comment(line):
                continue
            if not tokens and not broken:
                first = number
            cells = _cells(line)
            if len(cells) < 2:
                broken = broken or t("line {line}, `{text}`, has no tag", line=number, text=visible(line, 40))
                continue
            if cells[0].strip():  # some character-level files tag the spaces too
                tokens.append(cells[0].strip())
                tags.append(cells[-1])
            length += len(line)
            if length > MAX_RECORD_CHARACTERS:
                raise too_long(f"{file.name}:{first}")
    if tokens or broken:
        yield _sentence(f"{file.name}:{first}", tokens, tags, broken)


def _sentence(place: str, tokens: list[str], tags: list[str], broken: str) -> Record | Dropped:
    return Dropped(place, "malformed", broken) if broken else Record(place, {"tokens": tokens, "tags": tags})


def _cells(line: str) -> list[str]:
    """Token first, tag last. A tab separates where there is one, as tokens may hold spaces then."""
    return [cell.strip() or cell for cell in line.rstrip().split("\t")] if "\t" in line else line.split()


def _is_comment(line: str) -> bool:
    """A remark such as ``# sent_id = 3`` or a document start; a token ``#`` has a tag behind it."""
    if line.startswith(_DOCUMENT_START):
        return True
    return line.startswith("# ") and "\t" not in line and not _TAG.fullmatch(line.split()[-1])
