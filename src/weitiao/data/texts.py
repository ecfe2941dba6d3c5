"""Plain text files as documents: a line, a paragraph or a whole file each; and fastText's ``__label__`` lines.

Separate because where one document ends is a guess of its own, which ``--documents`` overrules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal, get_args

from weitiao.data.files import File
from weitiao.data.lines import lines_of, text_blocks, too_long
from weitiao.data.notes import Notes
from weitiao.data.record import MAX_RECORD_CHARACTERS, Record

Documents = Literal["lines", "paragraphs", "file", "fasttext"]
DOCUMENTS: tuple[str, ...] = get_args(Documents)

_FASTTEXT = re.compile(r"((?:__label__\S+\s+)+)(.*)", re.DOTALL)
_SENTENCE_ENDS = tuple(".!?。！？…\"'”’」』)）:：;；")


def find_documents(head: Sequence[str]) -> Documents:
    """What one document is in a text that begins with the lines ``head``."""
    filled = [line for line in head if line.strip()]
    if filled and all(_FASTTEXT.match(line) for line in filled):
        return "fasttext"
    blank = len(head) - len(filled)
    if filled and blank > 0.02 * len(filled) and any(line.strip() for line in head[_first_blank(head) :]):
        return "paragraphs"
    return "paragraphs" if _hard_wrapped(filled) else "lines"


def read_documents(file: File, documents: Documents, notes: Notes) -> Iterator[Record]:
    """One record with the field ``text`` for each document (and ``label`` for fastText), where it begins."""
    lines = _numbered(file, notes)
    if documents == "fasttext":
        for number, line in lines:
            yield _fasttext_record(f"{file.name}:{number}", line)
    elif documents == "lines":
        for number, line in lines:
            if line.strip():
                yield Record(f"{file.name}:{number}", {"text": line})
    else:
        yield from _joined(file, lines, at_blank=documents == "paragraphs")


def _joined(file: File, lines: Iterator[tuple[int, str]], at_blank: bool) -> Iterator[Record]:
    parts: list[str] = []
    first, length = 1, 0
    for number, line in lines:
        if at_blank and not line.strip():
            if parts:
                yield _document(file, first, parts)
            parts, length = [], 0
            continue
        if not parts:
            first = number
        parts.append(line)
        length += len(line) + 1
        if length > MAX_RECORD_CHARACTERS:
            raise too_long(f"{file.name}:{first}")
    if parts or not at_blank:
        yield _document(file, first, parts)


def _document(file: File, first: int, parts: list[str]) -> Record:
    return Record(f"{file.name}:{first}", {"text": "\n".join(parts).strip("\n")})


def _fasttext_record(place: str, line: str) -> Record:
    match = _FASTTEXT.match(line)
    if not match:
        return Record(place, {"text": line, "label": None})
    labels = [label.removeprefix("__label__") for label in match[1].split()]
    return Record(place, {"text": match[2], "label": labels[0] if len(labels) == 1 else labels})


def _numbered(file: File, notes: Notes) -> Iterator[tuple[int, str]]:
    for lines in lines_of(text_blocks(file, notes), file.name):
        yield from enumerate(lines.texts, lines.first)


def _first_blank(head: Sequence[str]) -> int:
    return next((index for index, line in enumerate(head) if not line.strip()), len(head))


def _hard_wrapped(filled: Sequence[str]) -> bool:
    """Whether lines break in mid-sentence near one width, as in wrapped text: then a line is no document."""
    if len(filled) < 8:
        return False
    lengths = [len(line) for line in filled]
    width = max(lengths)
    full = sum(length > 0.8 * width for length in lengths) / len(lengths)
    open_ended = sum(not line.rstrip().endswith(_SENTENCE_ENDS) for line in filled) / len(filled)
    return width <= 120 and median(lengths) > 30 and full > 0.7 and open_ended > 0.5
