"""How the rows of one pass lie in memory: one row of tokens after the other, without a mask.

Products see the tokens of a pass as one matrix. Only attention knows of rows: those of similar length form a group,
padded to the longest. What all rows begin with stands first, once, and every row attends to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weitiao.models.head_parts import evened
from weitiao.objectives.row import IGNORE, Row


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of ``lengths`` tokens from token ``start`` on, each padded to the longest."""

    start: int
    lengths: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.lengths)

    @property
    def length(self) -> int:
        """Of the longest."""
        return max(self.lengths)

    @property
    def stop(self) -> int:
        """The first token behind it."""
        return self.start + self.rows * self.length


@dataclass(frozen=True, slots=True)
class Layout:
    """The tokens of one pass. A shared prefix of ``prefix`` tokens, if any, is the first group, of one row.

    Behind the last group stand so many tokens of none that products are quick.
    """

    tokens: NDArray[np.int64]  # [n]; padding repeats token 0
    positions: NDArray[np.int64]  # [n]
    groups: tuple[Group, ...]
    prefix: int
    asked: NDArray[np.int64]  # places in ``tokens`` that have a target, row after row
    targets: NDArray[np.int64]  # of each asked place


def lay_out(rows: Sequence[Row], groups: Sequence[Sequence[int]], prefix: int) -> Layout:
    """``rows``, whose first ``prefix`` tokens are alike, by ``groups`` of row numbers."""
    tokens, positions = [rows[0].tokens[:prefix]], [np.arange(prefix)]
    made = [Group(0, (prefix,))] if prefix else []
    asked, targets = [], []
    start = prefix
    for numbers in groups:
        made.append(Group(start, tuple(len(rows[number].tokens) - prefix for number in numbers)))
        length = made[-1].length
        for number in numbers:
            row = rows[number]
            rest = len(row.tokens) - prefix
            tokens += [row.tokens[prefix:], np.zeros(length - rest, dtype=np.int32)]
            positions.append(np.arange(prefix, prefix + length))
            places = np.flatnonzero(row.targets[prefix:] != IGNORE)
            asked.append(start + places)
            targets.append(row.targets[prefix + places])
            start += length
    tokens.append(np.zeros(evened(start) - start, dtype=np.int32))
    positions.append(np.zeros(evened(start) - start, dtype=np.int64))
    return Layout(
        np.concatenate(tokens).astype(np.int64),
        np.concatenate(positions).astype(np.int64),
        tuple(made),
        prefix,
        np.concatenate(asked).astype(np.int64),
        np.concatenate(targets).astype(np.int64),
    )
