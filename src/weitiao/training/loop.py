"""The loop: rows to steps. A generator, so that logging, evaluating, saving and stopping stay with the caller."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import torch

from weitiao.errors import DataError
from weitiao.models.anatomy import Model
from weitiao.objectives.row import Row
from weitiao.training.batches import after, batches_of_step, steps_of_epoch, steps_per_epoch
from weitiao.training.chance import seed_for
from weitiao.training.loss import loss_sum
from weitiao.training.optimizer import Masters, Rate
from weitiao.training.prefix import Prefix, may_share, shared_length, without_prefix
from weitiao.words import t


class RowSource(Protocol):
    """Rows by index: :class:`weitiao.training.rows.Rows`, or a list in tests."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where training stands: after ``step`` steps in all, before step ``within`` of ``epoch``."""

    step: int = 0
    epoch: int = 0
    within: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """What shapes the steps. ``capacity`` is tokens of one forward pass and changes nothing but speed."""

    rows_per_step: int
    rate: Rate
    max_grad_norm: float
    seed: int
    capacity: int
    packing: bool
    share_prefix: bool = True  # the off switch; a model with dropout never does


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step. ``loss`` is nats a target, before the step."""

    place: Place  # after the step
    loss: float
    targets: int
    tokens: int  # without padding
    learning_rate: float
    gradient_norm: float


def train(model: Model, rows: RowSource, masters: Masters, pace: Pace, place: Place) -> Iterator[Step]:
    """Train from ``place`` to the last step. Raises DataError when a loss or gradient is not finite."""
    model.train()
    pace = replace(pace, share_prefix=pace.share_prefix and may_share(model))
    while place.step < pace.rate.steps:
        steps = steps_of_epoch(len(rows), pace.rows_per_step, pace.seed, place.epoch)
        for numbers in islice(steps, place.within, None):
            if place.step >= pace.rate.steps:
                return
            step = _one_step(model, [rows[int(number)] for number in numbers], masters, pace, place)
            _check_finite(step, numbers.tolist())
            place = step.place
            yield step
            model.train()
        place = replace(place, epoch=place.epoch + 1, within=0)


def _one_step(model: Model, rows: Sequence[Row], masters: Masters, pace: Pace, place: Place) -> Step:
    total, targets = 0.0, 0
    shared = shared_length(rows) if pace.share_prefix and not pace.packing else 0
    prefix = Prefix(model, rows[0].tokens[:shared]) if shared else None
    rests = [without_prefix(row, shared) for row in rows] if shared else rows
    for number, batch in enumerate(batches_of_step(rests, pace.capacity, pace.packing)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(pace.seed, "dropout", place.step, number))
            past = prefix.cache(len(batch.tokens)) if prefix else None
            loss, count = loss_sum(model, after(batch, shared), past)
            torch.autograd.backward(loss)
        masters.collect()
        total += loss.item()
        targets += count
    if prefix:
        prefix.backward()
        masters.collect()
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
    )


def total_steps(rows: int, rows_per_step: int, epochs: float, max_steps: int | None) -> int:
    """The number of steps of a run: ``max_steps`` where it is given, whatever the epochs."""
    if max_steps is not None:
        return max_steps
    # Rounded first: 100 steps times 0.07 epochs is a little over 7.
    return max(1, math.ceil(round(steps_per_epoch(rows, rows_per_step) * epochs, 6)))
