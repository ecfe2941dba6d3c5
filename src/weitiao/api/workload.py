"""What a run will have to do, counted on its own rows: the very micro-batches that its first steps will make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from weitiao.api.preparation import Item, Prepared
from weitiao.models.anatomy import Model, parameter_count
from weitiao.objectives.row import Row
from weitiao.settings import Settings
from weitiao.training.batches import PASS_PRICE, Batch, batches_of_step, steps_of_epoch
from weitiao.training.loop import Pace
from weitiao.training.optimizer import Masters
from weitiao.training.plan import Load
from weitiao.training.prefix import may_share, shared_length, without_prefix
from weitiao.training.rows import Rows

_STEPS_LOOKED_AT = 16
_ITEMS_LOOKED_AT = 64


def workload(
    config: dict[str, Any],
    settings: Settings,
    model: Model,
    masters: Masters,
    pace: Pace,
    rows: Rows,
    prepared: Prepared,
) -> Load:
    """The load of a run whose settings leave nothing open. ``config`` is the model's own."""
    shares = may_share(model)
    steps = [
        _passes([rows[int(number)] for number in numbers], pace, shares)
        for numbers in islice(steps_of_epoch(len(rows), pace.rows_per_step, pace.seed, 0), _STEPS_LOOKED_AT)
    ]
    passes = [batch for batches, _ in steps for batch in batches]
    width = int(config.get("hidden_size") or config.get("n_embd") or 1)
    dev, test = (_scored_tokens(items[: settings.eval_max_samples], shares) for items in (prepared.dev, prepared.test))
    evaluations = -(-pace.rate.steps // (settings.eval_steps or 1))
    return Load(
        parameters=parameter_count(model),
        trained=sum(weight.numel() for weight in masters.weights.values()),
        layers=int(config.get("num_hidden_layers") or config.get("n_layer") or 1),
        width=width,
        hidden=int(config.get("intermediate_size") or config.get("n_inner") or 4 * width),
        vocabulary=int(config.get("vocab_size") or 1),
        bytes_per_weight=2 if settings.precision == "bf16" else 4,
        tokens_per_pass=max(batch.tokens.size for batch in passes),
        asked_per_pass=max(batch.asked for batch in passes),
        train_tokens=int(pace.rate.steps * np.mean([_cost(batches, prefix) for batches, prefix in steps])),
        scored_tokens=2 * test + evaluations * dev,
        full_gradient=settings.method == "full",
    )


def _passes(rows: Sequence[Row], pace: Pace, shares: bool) -> tuple[list[Batch], int]:
    """The micro-batches of a step, and the length of the prefix that they share."""
    prefix = shared_length(rows) if shares and not pace.packing else 0
    rests = [without_prefix(row, prefix) for row in rows] if prefix else rows
    return batches_of_step(rests, pace.capacity, pace.packing), prefix


def _cost(batches: Sequence[Batch], prefix: int) -> int:
    """In tokens: padded ones, and the price of each pass."""
    passes = sum(batch.tokens.size + PASS_PRICE for batch in batches)
    return passes + (prefix + PASS_PRICE if prefix else 0)


def _scored_tokens(items: Sequence[Item], shares: bool) -> int:
    shared = shared_length([item.row for item in items[:_ITEMS_LOOKED_AT]]) if shares else 0
    return sum(len(item.row.tokens) - shared for item in items)
