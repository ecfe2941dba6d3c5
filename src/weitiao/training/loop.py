"""The loop: rows to steps. A generator, so that logging, evaluating, saving and stopping stay with the caller."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from weitiao.errors import DataError
from weitiao.objectives.row import Row
from weitiao.training.batches import steps_of_epoch, steps_per_epoch
from weitiao.training.engine import Engine
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace, Place
from weitiao.training.rows import Draw, EpochRows, RowSource
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step. ``loss`` is nats a target, before the step."""

    place: Place  # after the step
    loss: float
    targets: int
    tokens: int  # without padding
    learning_rate: float
    gradient_norm: float


def train(
    engine: Engine, rows: RowSource, masters: Masters, pace: Pace, place: Place, draw: Draw | None = None
) -> Iterator[Step]:
    """Train from ``place`` to the last step, on ``rows`` as they are or as each epoch draws them.

    Raises DataError when a loss or gradient is not finite.
    """
    while place.step < pace.rate.steps:
        drawn = EpochRows(rows, draw, place.epoch) if draw else rows
        steps = steps_of_epoch(len(rows), pace.rows_per_step, pace.seed, place.epoch)
        for numbers in islice(steps, place.within, None):
            if place.step >= pace.rate.steps:
                return
            step = _one_step(engine, [drawn[int(number)] for number in numbers], masters, pace, place)
            _check_finite(step, numbers.tolist())
            place = step.place
            yield step
        place = replace(place, epoch=place.epoch + 1, within=0)


def _one_step(engine: Engine, rows: Sequence[Row], masters: Masters, pace: Pace, place: Place) -> Step:
    total, targets = engine.learn(rows, masters, pace, place.step)
    rate = pace.rate.at(place.step)
    norm = masters.step(rate, targets, pace.max_grad_norm)
    tokens = sum(len(row.tokens) for row in rows)
    next_place = Place(place.step + 1, place.epoch, place.within + 1)
    return Step(next_place, total / max(targets, 1), targets, tokens, rate, norm)


def _check_finite(step: Step, numbers: Sequence[int]) -> None:
    if math.isfinite(step.loss) and math.isfinite(step.gradient_norm):
        return
    shown = ", ".join(map(str, numbers[:8])) + ("…" if len(numbers) > 8 else "")
    raise DataError(
        t(
            "step {step}: the loss is {loss}, its gradient {norm}",
            step=step.place.step,
            loss=step.loss,
            norm=step.gradient_norm,
        )
        + " "
        + t("(rows {rows} of the training split)", rows=shown),
        t("lower learning_rate, or use precision: fp32; the last checkpoint is from before this step"),
        numbers,
    )


def total_steps(rows: int, rows_per_step: int, epochs: float, max_steps: int | None) -> int:
    """The number of steps of a run: ``max_steps`` where it is given, whatever the epochs."""
    if max_steps is not None:
        return max_steps
    # Rounded first: 100 steps times 0.07 epochs is a little over 7.
    return max(1, math.ceil(round(steps_per_epoch(rows, rows_per_step) * epochs, 6)))
