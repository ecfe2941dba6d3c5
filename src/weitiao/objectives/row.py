"""One encoded example: tokens, and what each position must predict; everything that a loss reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

IGNORE = -100  # the target of a position that is asked nothing; the value that torch's cross-entropy skips


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded example, as numpy."""

    example: str  # the example's id
    tokens: NDArray[np.int32]  # [T]
    targets: NDArray[np.int32]  # [T] what position i must predict, already shifted; IGNORE where nothing is asked

    @property
    def asked(self) -> int:
        """How many positions are asked for a prediction."""
        return int(np.count_nonzero(self.targets != IGNORE))


def parts(row: Row, most: int) -> list[Row]:
    """``row`` in as few parts of at most ``most`` tokens as there can be, all of about one length.

    Every token is in one part and every target is asked once; what a part predicts it does without the parts before.
    """
    count = -(-len(row.tokens) // most)
    if count <= 1:
        return [row]
    borders = [len(row.tokens) * number // count for number in range(count + 1)]
    return [Row(row.example, row.tokens[start:stop], row.targets[start:stop]) for start, stop in pairwise(borders)]
