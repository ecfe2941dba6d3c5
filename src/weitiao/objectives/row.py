"""One encoded example: tokens, and what each position must predict; everything that a loss reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

IGNORE = -100  # the target of a position that is asked nothing; the value that torch's cross-entropy skips
NEVER_HIDDEN = -1  # the unit of a token that no objective may hide: what begins and ends a text


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded example, as numpy.

    A position attends to what stands before it and, wherever it is, to the first ``prefix`` tokens.
    """

    example: str  # the example's id
    tokens: NDArray[np.int32]  # [T]
    targets: NDArray[np.int32]  # [T] what position i must predict, already shifted; IGNORE where nothing is asked
    prefix: int = 0
    positions: NDArray[np.int32] | None = None  # [T, 2] in the text, and inside a blank; None: 0, 1, 2 … and 0
    units: NDArray[np.int32] | None = None  # [T] the word or sentence each token is of, by number; for ``draw`` alone

    @property
    def asked(self) -> int:
        """How many positions are asked for a prediction."""
        return int(np.count_nonzero(self.targets != IGNORE))


def parts(row: Row, most: int) -> list[Row]:
    """A kept ``row`` in as few parts of at most ``most`` tokens as there can be, all of about one length.

    Every token is in one part and every target is asked once; what a part predicts it does without the parts before.
    """
    count = -(-len(row.tokens) // most)
    if count <= 1:
        return [row]
    borders = [len(row.tokens) * number // count for number in range(count + 1)]
    return [_part(row, start, stop) for start, stop in pairwise(borders)]


def _part(row: Row, start: int, stop: int) -> Row:
    units = None if row.units is None else row.units[start:stop]
    return replace(row, tokens=row.tokens[start:stop], targets=row.targets[start:stop], units=units)
