"""Plain texts as rows that still show everything: what an objective then hides of them, it draws in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.data.ledger import Dropped
from weitiao.example import Example
from weitiao.objectives.causal import Encoded
from weitiao.objectives.row import IGNORE, NEVER_HIDDEN, Row
from weitiao.objectives.units import units_of
from weitiao.words import t

Starts = Callable[[str], Sequence[int]]
"""Where the units of a text begin: its words or its sentences."""


def whole_documents(examples: Sequence[Example], codec: Codec, starts: Starts | None) -> list[Encoded | Dropped]:
    """Rows of any length, in order, whose units are those of ``starts``, or else single tokens.

    Targets are the tokens themselves, where they may be hidden.
    """
    encodings = codec.encode_documents([example.text for example in examples], offsets=True)
    results: list[Encoded | Dropped] = []
    for example, encoding in zip(examples, encodings, strict=True):
        assert encoding.offsets is not None
        units = units_of(encoding.offsets, starts(example.text)) if starts else _each(encoding.offsets)
        shown = units != NEVER_HIDDEN
        if not shown.any():
            results.append(Dropped(example.source, "nothing_to_learn", t("no token of it would be learned")))
            continue
        targets = np.where(shown, encoding.tokens, IGNORE).astype(np.int32)
        row = Row(example.id, encoding.tokens, targets, units=units)
        results.append(Encoded(row, replace(encoding, learned=shown)))
    return results


def _each(offsets: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.where(offsets[:, 1] > offsets[:, 0], np.arange(len(offsets)), NEVER_HIDDEN).astype(np.int32)
