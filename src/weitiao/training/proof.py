"""Whether an engine calculates what the exact one does: the loss of a few rows, and its gradient.

In bfloat16 each engine rounds at places of its own, so both are measured by what transformers' modules calculate in
float32: a model that is small enough is widened for that, for a moment. Separate because it is about any two engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from weitiao.models.anatomy import Model, parameter_count
from weitiao.objectives.row import Row
from weitiao.training.engine import Engine
from weitiao.words import t

_WIDENED = 500_000_000  # weights, at most: two gigabytes for a moment
_AS_ROUNDED = 2.0  # times as far off as the exact engine in the model's own type


class Provable(Engine, Protocol):
    """An engine that can learn from rows outside of a step."""

    def pass_over(self, rows: Sequence[Row]) -> float:
        """The summed loss of ``rows`` in nats; gradients stay at the parameters."""
        ...


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart two results are, or may be: shares of the loss and of the gradient's length."""

    loss: float
    gradient: float

    def within(self, bound: Distance) -> bool:
        """Whether both are; what is not a number is not."""
        return self.loss <= bound.loss and self.gradient <= bound.gradient


# docs/log.md has the measurements. An exact engine that rounds too is less of a measure.
_EXACT = Distance(1e-5, 1e-4)
_ROUNDED = Distance(5e-3, 5e-2)
_BOTH_ROUNDED = Distance(1e-2, 0.15)


@dataclass(frozen=True, slots=True)
class Result:
    """What an engine has calculated."""

    loss: float
    gradients: dict[str, torch.Tensor]  # of what learns, by name


class Proof:
    """What the exact engine calculates for some rows. Made before another engine moves the weights."""

    def __init__(self, exact: Provable, rows: Sequence[Row]) -> None:
        self._exact, self._rows = exact, rows
        narrow = next(exact.model.parameters()).dtype != torch.float32
        learns = any(
            weight.requires_grad for weight in exact.model.parameters()
        )  # reading alone is not worth the memory
        self._widened = narrow and learns and parameter_count(exact.model) <= _WIDENED
        self._bound = _ROUNDED if self._widened else _BOTH_ROUNDED if narrow else _EXACT
        if self._widened:
            with _widened(exact.model):
                self._wanted = _result(exact, rows)
        else:
            self._wanted = _result(exact, rows)

    def difference(self, engine: Provable) -> str:
        """How far ``engine`` is off, in words; empty where no further than rounding takes it."""
        found = _result(engine, self._rows)
        if found.gradients.keys() != self._wanted.gradients.keys():
            names = sorted(found.gradients.keys() ^ self._wanted.gradients.keys())
            return t("gradients of {names}", names=", ".join(names[:3]))
        distance = _distance(found, self._wanted)
        if distance.within(self._bound) or (self._widened and distance.within(self._as_rounded())):
            return ""
        if not distance.loss <= self._bound.loss:
            return t("loss {loss} and {other}", loss=f"{self._wanted.loss:.4f}", other=f"{found.loss:.4f}")
        return t("gradients {share} apart", share=f"{100 * distance.gradient:.1f} %")

    def _as_rounded(self) -> Distance:
        """Some rows make more of rounding than others, whoever rounds."""
        own = _distance(_result(self._exact, self._rows), self._wanted)
        return Distance(
            max(self._bound.loss, _AS_ROUNDED * own.loss), max(self._bound.gradient, _AS_ROUNDED * own.gradient)
        )


@contextmanager
def _widened(model: Model) -> Iterator[None]:
    """The model's weights are float32 inside, and those that they were behind."""
    before = [(weight, weight.data) for weight in model.parameters() if weight.is_floating_point()]
    for weight, narrow in before:
        weight.data = narrow.float()
    try:
        yield
    finally:
        for weight, narrow in before:
            weight.data = narrow


def _result(engine: Provable, rows: Sequence[Row]) -> Result:
    learning = {name: weight for name, weight in engine.model.named_parameters() if weight.requires_grad}
    if not learning or not rows:
        return Result(-float(sum(logs.sum(dtype=np.float64) for _, logs in engine.read(rows, "targets"))), {})
    loss = engine.pass_over(rows)
    found = {name: weight.grad for name, weight in learning.items() if weight.grad is not None}
    for weight in learning.values():
        weight.grad = None
    return Result(loss, found)


def _distance(found: Result, wanted: Result) -> Distance:
    loss = abs(found.loss - wanted.loss) / max(abs(wanted.loss), 1e-9)
    pairs = [(found.gradients[name].float(), gradient.float()) for name, gradient in wanted.gradients.items()]
    apart = sum(float((one - other).square().sum()) for one, other in pairs)
    whole = sum(float(other.square().sum()) for _, other in pairs)
    return Distance(loss, (apart / max(whole, 1e-30)) ** 0.5)
