"""Masked language modelling (BERT, Devlin et al., 2019, arXiv:1810.04805): hidden tokens, predicted from both sides.

Of the tokens that are hidden, 80 % become the mask, 10 % a token at random, and 10 % stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.data.ledger import Dropped
from weitiao.example import Example
from weitiao.objectives.causal import Encoded
from weitiao.objectives.chinese import chinese_words
from weitiao.objectives.documents import whole_documents
from weitiao.objectives.row import IGNORE, NEVER_HIDDEN, Row
from weitiao.objectives.units import words_of

_MASKED, _REPLACED = 0.8, 0.9  # up to here; above, the token stays


@dataclass(frozen=True)
class Masked:
    """``share`` of a text's tokens is hidden, single tokens or ``whole_words``."""

    mask: int  # the token that stands for a hidden one
    ordinary: NDArray[np.int32]  # the tokens that may stand in for another: all but control tokens
    share: float = 0.15
    whole_words: bool = False

    def encode(self, examples: Sequence[Example], codec: Codec) -> list[Encoded | Dropped]:
        """As :class:`weitiao.objectives.objective.Objective` says."""
        return whole_documents(examples, codec, _words if self.whole_words else None)

    def most(self, cutoff_len: int) -> int:
        """As :class:`weitiao.objectives.objective.Objective` says."""
        return cutoff_len

    def draw(self, row: Row, rng: np.random.Generator) -> Row:
        """``row`` with new masks. Targets are the hidden tokens, where they stood."""
        assert row.units is not None, "masked rows know their units"
        hidden = hidden_tokens(row.units, self.share, rng)
        kind = rng.random(len(row.tokens))
        tokens = np.where(hidden & (kind < _MASKED), np.int32(self.mask), row.tokens)
        replaced = hidden & (kind >= _MASKED) & (kind < _REPLACED)
        tokens[replaced] = rng.choice(self.ordinary, np.count_nonzero(replaced))
        targets = np.where(hidden, row.tokens, IGNORE).astype(np.int32)
        return replace(row, tokens=tokens, targets=targets, prefix=len(tokens))


def _words(text: str) -> Sequence[int]:
    return words_of(text, lambda run: chinese_words()(run))  # jieba only where there is Chinese


def hidden_tokens(units: NDArray[np.int32], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which tokens to hide: whole units at random, one at least, that make up ``share`` of the tokens or nearly."""
    present, counts = np.unique(units[units != NEVER_HIDDEN], return_counts=True)
    order = rng.permutation(len(present))
    wanted = max(1, round(share * int(counts.sum())))
    reached = np.cumsum(counts[order])
    chosen = max(1, int(np.searchsorted(reached, wanted, side="right")))
    hidden: NDArray[np.bool_] = np.isin(units, present[order[:chosen]])
    return hidden
