"""What the blocks under the lowest that learns return can never change: calculated once and kept on disk.

Kept is the stream at the border, which the lowest learning block reads. Where a row stands in a pass, and beside which
rows, may change the last bits of it, and a stopped run must end in the same bits whether it finds all, some or nothing
kept. So what is kept is never of a pass that a step happens to make. Rows that follow each other in the data form
*parts*; a part is calculated alone, and named by the digests of its rows and of all that lies under the border: whoever
calculates it gets the same. Where a part ends its last row's content decides, so that the same rows in the same order
have the same parts in other data too, whatever stands before or behind them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from weitiao.models.fast.layout import Layout
from weitiao.objectives.row import Row
from weitiao.training.activation_files import ActivationFiles
from weitiao.training.prefix import shared_length
from weitiao.training.rows import RowSource

SCORED_TYPE = torch.float32  # a score is the same number, kept or not

_PART_TOKENS = 1024  # of a part, on average: with fewer products are slower, with more the first steps take longer
_LONGEST_PART = 4 * _PART_TOKENS
_NAME_DIGITS = 32

Passes = Iterator[tuple[list[int], Layout]]
"""Row numbers, in the order in which the rows lie, and the layout."""


class Below(Protocol):
    """What calculates the stream at the border: :class:`weitiao.models.fast.stack.Stack`."""

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it, so that what rows begin with is the same in all."""
        ...

    def below(self, layout: Layout) -> Tensor:
        """Float32 [n, width]."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are calculated together: what they begin with once, then the rest of each."""

    name: str
    rows: range
    prefix: int
    bounds: tuple[int, ...]  # where each row's rest begins, and where the last one ends

    def rest(self, row: int) -> slice:
        """The place of ``row``, a number of the whole data, without what all begin with."""
        place = row - self.rows.start
        return slice(self.bounds[place], self.bounds[place + 1])


class Activations:
    """The streams at the border, [tokens, width]: of rows that are learned, and of passes that are read."""

    def __init__(
        self,
        below: Below,
        passes: Callable[[Sequence[Row]], Passes],  # cuts a part
        rows: RowSource,  # that will be learned
        files: ActivationFiles,
        kept_type: torch.dtype,
        width: int,
        scored_bytes: int,  # that may be kept of what is read
    ) -> None:
        self._below, self._passes, self._rows, self._files = below, passes, rows, files
        self._type, self._width, self._room = kept_type, width, scored_bytes
        self._place: dict[bytes, int] = {}  # of each row, by the digest of its tokens
        self._begins: list[int] = []  # the first row of each part
        self._parts: dict[int, Part] = {}

    def of_step(self, rows: Sequence[Row], layout: Layout) -> Tensor:
        """Of a pass over ``rows``, in the order in which they lie: float32 [n, width]; padding is zero."""
        whole = torch.zeros(len(layout.tokens), self._width)
        streams: dict[int, Tensor] = {}  # of the parts that were needed
        waiting = iter(rows)
        for group in layout.groups[1:] if layout.prefix else layout.groups:
            for start in range(group.start, group.stop, group.length):
                stream = self._of_row(next(waiting), streams)
                whole[start : start + len(stream) - layout.prefix] = stream[layout.prefix :]
        whole[: layout.prefix] = stream[: layout.prefix]  # any row's will do
        return whole

    def of_pass(self, layout: Layout) -> Tensor:
        """Of a pass that is read: float32 [n, width]."""
        sizes = [layout.prefix, *(size for group in layout.groups for size in (group.rows, group.length))]
        name = _name(SCORED_TYPE, sizes, [layout.tokens.tobytes()])
        found = self._files.read(name, (len(layout.tokens), self._width), SCORED_TYPE)
        if found is not None:
            return found
        stream = self._below.below(layout)
        if stream.nbytes <= self._room:
            self._files.write(name, stream)
            self._room -= stream.nbytes
        return stream

    def _of_row(self, row: Row, streams: dict[int, Tensor]) -> Tensor:
        if not self._begins:
            self._cut()
        number = self._place[_digest(row)]
        begin = self._begins[bisect_right(self._begins, number) - 1]
        part = self._part(begin)
        if begin not in streams:
            streams[begin] = self._of_part(part)
        return torch.cat([streams[begin][: part.prefix], streams[begin][part.rest(number)]])

    def _of_part(self, part: Part) -> Tensor:
        shape = (part.bounds[-1], self._width)
        found = self._files.read(part.name, shape, self._type)
        if found is not None:
            return found
        rows = [self._rows[number] for number in part.rows]
        whole = torch.empty(shape, dtype=self._type)
        for numbers, layout in self._passes(rows):
            assert layout.prefix == part.prefix
            stream = self._below.below(layout)
            whole[: part.prefix] = stream[: part.prefix]
            waiting = iter(numbers)
            for group in layout.groups[1:] if layout.prefix else layout.groups:
                for start in range(group.start, group.stop, group.length):
                    place = part.rest(part.rows.start + next(waiting))
                    whole[place] = stream[start : start + place.stop - place.start]
        self._files.write(part.name, whole)
        return whole

    def _cut(self) -> None:
        """Find the rows' places, and where parts begin."""
        tokens = _LONGEST_PART
        for number in range(len(self._rows)):
            row = self._rows[number]
            digest, length = _digest(row), len(row.tokens)
            self._place.setdefault(digest, number)
            if tokens + length > _LONGEST_PART:
                self._begins.append(number)
                tokens = 0
            # As likely as the row is long: a part ends behind so many tokens on average.
            ends = int.from_bytes(digest[:4], "big") * _PART_TOKENS < length << 32
            tokens = _LONGEST_PART if ends else tokens + length

    def _part(self, begin: int) -> Part:
        if begin not in self._parts:
            place = bisect_right(self._begins, begin)
            end = self._begins[place] if place < len(self._begins) else len(self._rows)
            rows = [self._rows[number] for number in range(begin, end)]
            prefix = shared_length(rows) if self._below.causal else 0
            bounds = [prefix]
            for row in rows:
                bounds.append(bounds[-1] + len(row.tokens) - prefix)
            name = _name(self._type, [prefix], [_digest(row) for row in rows])
            self._parts[begin] = Part(name, range(begin, end), prefix, tuple(bounds))
        return self._parts[begin]


def _digest(row: Row) -> bytes:
    return hashlib.sha256(row.tokens.tobytes()).digest()


def _name(kept_type: torch.dtype, sizes: Sequence[int], contents: Sequence[bytes]) -> str:
    digest = hashlib.sha256(f"{kept_type} {sizes} {len(contents)}".encode("ascii"))
    for content in contents:
        digest.update(content)
    return digest.hexdigest()[:_NAME_DIGITS]
