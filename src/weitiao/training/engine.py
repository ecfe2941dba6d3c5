"""What trains a model and reads its answers: one contract, and which engine fulfils it for a model.

There are two. :class:`~weitiao.training.exact.Exact` runs transformers' own modules and takes any architecture;
:class:`~weitiao.training.fast.Fast` calculates the same with :mod:`weitiao.models.fast`. The loop, the masters and the
scores are written once, above both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from weitiao.models.anatomy import Model
from weitiao.objectives.row import Row
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace
from weitiao.training.taken import Wanted

EngineName = Literal["exact", "fast"]


class Engine(Protocol):
    """How a model learns from rows and reads them."""

    name: EngineName
    model: Model
    price: int  # of a forward pass beyond its tokens, in tokens

    @property
    def identity(self) -> str:
        """What decides the last bits of what it calculates."""
        ...

    def kept_bytes(self, length: int) -> int:
        """For the way back, a token of a row of ``length``."""
        ...

    def held_bytes(self, length: int) -> int:
        """At once while the rows are only read, a token of a row of ``length``."""
        ...

    def passes(self, rows: Sequence[Row], pace: Pace) -> list[tuple[int, int]]:
        """Of each forward pass that a step over ``rows`` makes: its tokens, padding included, and its targets."""
        ...

    def learn(self, rows: Sequence[Row], masters: Masters, pace: Pace, step: int) -> tuple[float, int]:
        """The summed cross-entropy in nats over the rows of one step, and its targets; ``masters`` get gradients."""
        ...

    def read(self, rows: Sequence[Row], wanted: Wanted) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """For each row, in any order: its number, and what is ``wanted`` at its asked positions, in nats.

        The head multiplies in float32: a bfloat16 logit near 20 is rounded to eighths, which makes ties of close
        answers.
        """
        ...
