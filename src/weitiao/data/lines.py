"""Decoded text and its physical lines: UTF-8 only, no NUL, no endless line, and always the right line number.

Separate because every text format stands on it. Decoding and splitting go by blocks of about 1 MiB, which is several
times faster than line by line, and bounds the memory.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weitiao.data.encoding import likely_encoding, not_utf8, refuse_foreign
from weitiao.data.files import File, blocks
from weitiao.data.notes import Notes
from weitiao.data.record import MAX_RECORD_CHARACTERS
from weitiao.errors import DataError
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive whole lines without their line breaks; ``ended`` is False for a last line that no line break ends."""

    first: int
    texts: list[str]
    ended: bool


def text_blocks(file: File, notes: Notes) -> Iterator[str]:
    """The text in blocks, every line break as ``\\n``. DataError at the first byte that is NUL or not UTF-8."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    place = _Place(file)
    for number, block in enumerate(blocks(file)):
        if number == 0:
            refuse_foreign(block, file)
            if block.startswith(codecs.BOM_UTF8):
                notes.add("bom", f"{file.name}:1")
                block = block[len(codecs.BOM_UTF8) :]
        if b"\0" in block:
            raise place.nul(block)
        text = _decode(decoder, block, place)
        place.pass_by(block)
        if text:
            yield text
    text = _decode(decoder, b"", place, final=True)
    if text:
        yield text


def lines_of(text: Iterable[str], name: str) -> Iterator[Lines]:
    """Whole lines, many at a time. DataError when one is longer than MAX_RECORD_CHARACTERS."""
    first, parts, length = 1, list[str](), 0
    for block in text:
        cut = block.rfind("\n")
        length += len(block)
        if cut < 0:
            parts.append(block)
        else:
            texts = "".join([*parts, block[:cut]]).split("\n")
            yield Lines(first, texts, ended=True)
            first += len(texts)
            parts = [block[cut + 1 :]]
            length = len(parts[0])
        if length > MAX_RECORD_CHARACTERS:
            raise too_long(f"{name}:{first}")
    if length:
        yield Lines(first, ["".join(parts)], ended=False)


def too_long(place: str) -> DataError:
    """The error for a line, cell or document over the limit."""
    return DataError(
        t("{place} is longer than {limit} million characters", place=place, limit=MAX_RECORD_CHARACTERS // 10**6),
        t("one row must fit in memory: put each item on a line of its own, or check that a quote or bracket is closed"),
    )


class _Place:
    """Where decoding stands: the line, and the bytes of it that earlier blocks held."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.line = 1
        self.column = 0
        self.tail = b""

    def pass_by(self, block: bytes) -> None:
        breaks = block.count(b"\n")
        self.line += breaks
        self.column = len(block) - 1 - block.rfind(b"\n") if breaks else self.column + len(block)
        self.tail = block[-4096:]

    def nul(self, block: bytes) -> DataError:
        line, column = self._locate(block, block.index(b"\0"))
        return DataError(
            t("{place} holds a NUL byte (byte {column} of the line)", place=f"{self.file.name}:{line}", column=column),
            t("this is no text: the file is binary or damaged"),
        )

    def undecodable(self, error: UnicodeDecodeError, block: bytes) -> DataError:
        pending = len(error.object) - len(block)
        position = error.start - pending
        line, column = self._locate(block, position)
        sample = self.tail + block
        encoding = likely_encoding(sample, len(self.tail) + position)
        return not_utf8(self.file, line, column, error.object[error.start], encoding)

    def _locate(self, block: bytes, position: int) -> tuple[int, int]:
        before = block[: max(position, 0)]
        breaks = before.count(b"\n")
        column = len(before) - 1 - before.rfind(b"\n") if breaks else self.column + position
        return self.line + breaks, column + 1


def _decode(decoder: io.IncrementalNewlineDecoder, block: bytes, place: _Place, final: bool = False) -> str:
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise place.undecodable(error, block) from error
