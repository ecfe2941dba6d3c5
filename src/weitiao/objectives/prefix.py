"""Prefix language modelling (T5's, Raffel et al., 2020, arXiv:1910.10683): a text's beginning is read from both sides.

What follows it is predicted from left to right, as by the causal objective; where it ends is drawn for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from weitiao.codec import Codec
from weitiao.data.ledger import Dropped
from weitiao.example import Example
from weitiao.objectives.causal import Causal, Encoded
from weitiao.objectives.row import IGNORE, Row


@dataclass(frozen=True, slots=True)
class Prefix:
    """A border anywhere in the text."""

    def encode(self, examples: Sequence[Example], codec: Codec) -> list[Encoded | Dropped]:
        """As :class:`weitiao.objectives.objective.Objective` says."""
        return Causal().encode(examples, codec)

    def most(self, cutoff_len: int) -> int:
        """As :class:`weitiao.objectives.objective.Objective` says."""
        return cutoff_len

    def draw(self, row: Row, rng: np.random.Generator) -> Row:
        """``row`` with a new border: one token at least stands before it, and one target after."""
        prefix = int(rng.integers(1, len(row.tokens) + 1))
        targets = row.targets.copy()
        targets[: prefix - 1] = IGNORE
        return replace(row, targets=targets, prefix=prefix)
