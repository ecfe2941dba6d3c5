"""What a run will have to do, counted on its own rows: the very micro-batches that its first steps will make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from weitiao.api.preparation import Item, Prepared
from weitiao.models.anatomy import head_width, parameter_count
from weitiao.settings import Settings
from weitiao.training import machine
from weitiao.training.batches import steps_of_epoch
from weitiao.training.engine import Engine
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace
from weitiao.training.plan import Load
from weitiao.training.prefix import may_share, shared_length
from weitiao.training.rows import RowSource

_STEPS_LOOKED_AT = 16
_ITEMS_LOOKED_AT = 64


def workload(
    config: dict[str, Any],
    settings: Settings,
    engine: Engine,
    masters: Masters,
    pace: Pace,
    rows: RowSource,
    prepared: Prepared,
) -> Load:
    """The load of a run whose settings leave nothing open. ``config`` is the model's own."""
    steps = [
        engine.passes([rows[int(number)] for number in numbers], pace)
        for numbers in islice(steps_of_epoch(len(rows), pace.rows_per_step, pace.seed, 0), _STEPS_LOOKED_AT)
    ]
    passes = [each for step in steps for each in step]
    shares = may_share(engine.model)
    dev, test = (_scored_tokens(items[: settings.eval_max_samples], shares) for items in (prepared.dev, prepared.test))
    evaluations = -(-pace.rate.steps // (settings.eval_steps or 1))
    return Load(
        engine=engine.name,
        parameters=parameter_count(engine.model),
        trained=sum(weight.numel() for weight in masters.weights.values()),
        width=int(config.get("hidden_size") or config.get("n_embd") or 1),
        vocabulary=head_width(engine.model),
        bytes_per_weight=2 if settings.precision == "bf16" else 4,
        present_bytes=machine.memory_now_bytes(),
        kept_bytes=engine.kept_bytes,
        tokens_per_pass=max(tokens for tokens, _ in passes),
        asked_per_pass=max(asked for _, asked in passes),
        train_tokens=int(pace.rate.steps * sum(tokens + engine.price for tokens, _ in passes) / len(steps)),
        scored_tokens=2 * test + evaluations * dev,
        full_gradient=settings.method == "full",
    )


def _scored_tokens(items: Sequence[Item], shares: bool) -> int:
    shared = shared_length([item.row for item in items[:_ITEMS_LOOKED_AT]]) if shares else 0
    return sum(len(item.row.tokens) - shared for item in items)
