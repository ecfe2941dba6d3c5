"""What a run will have to do, counted on its own rows: the very micro-batches that its first steps will make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from weitiao.api.preparation import Item, Prepared
from weitiao.models.anatomy import blocks, embeddings, head, head_width, lowest_learning
from weitiao.settings import Settings
from weitiao.training import machine
from weitiao.training.batches import steps_of_epoch
from weitiao.training.engine import Engine
from weitiao.training.exact import CAPACITY
from weitiao.training.keeping import Keeping
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace
from weitiao.training.plan import Load, Pass, Work
from weitiao.training.prefix import may_share, shared_length
from weitiao.training.rows import RowSource

_STEPS_LOOKED_AT = 32

TRIED_RATES = (0.5, 1.0, 2.0)
"""What ``probe_learning_rate`` tries, as multiples of the rate given or derived."""

TRIED_ITEMS = 64  # of the dev split, for each rate

_TRIED_STEPS = 8
_ITEMS_LOOKED_AT = 64


@dataclass(frozen=True, slots=True)
class _Read:
    """A split that is scored: its tokens without what all rows begin with, how many are asked, its longest row."""

    tokens: int
    asked: int
    longest: int


def workload(
    settings: Settings,
    engine: Engine,
    masters: Masters,
    pace: Pace,
    rows: RowSource,
    prepared: Prepared,
    keeping: Keeping,
    reads: int,
) -> Load:
    """The load of a run whose settings leave nothing open. ``reads`` rows are read for each item that is scored."""
    model = engine.model
    sizes = [sum(weight.numel() for weight in block.parameters()) for block in blocks(model)]
    lowest = lowest_learning(model)
    steps = [
        [rows[int(number)] for number in numbers]
        for numbers in islice(
            steps_of_epoch(len(rows), pace.rows_per_step, pace.seed, 0), min(_STEPS_LOOKED_AT, pace.rate.steps)
        )
    ]
    passes = [engine.passes(step, pace) for step in steps]
    longest = max(len(row.tokens) for step in steps for row in step)
    most = settings.cutoff_len or CAPACITY
    scored = (prepared.dev[: settings.eval_max_samples], prepared.test[: settings.eval_max_samples])
    dev, test = (_read(items, reads, engine, most) for items in scored)
    evaluations = -(-pace.rate.steps // (settings.eval_steps or 1))
    trained = sum(weight.numel() for weight in masters.weights.values())
    trials = len(TRIED_RATES) if settings.probe_learning_rate else 0
    tried = _read(scored[0][:TRIED_ITEMS], reads, engine, most)
    steps_ahead = pace.rate.steps + trials * tried_steps(pace)
    return Load(
        engine=engine.name,
        under=sum(sizes[:lowest]),
        above=sum(sizes[lowest:]),
        trained=trained,
        width=embeddings(model).embedding_dim,
        vocabulary=head_width(model),
        bytes_per_weight=embeddings(model).weight.itemsize,
        present_bytes=machine.memory_now_bytes() + (4 * trained if trials else 0),  # what learns, to be put back
        peak_bytes=machine.peak_memory_bytes(),
        learned=Pass(
            max(_held_tokens(step) for step in passes),
            max(asked for step in passes for _, asked in step),
            engine.kept_bytes(longest) + engine.held_bytes(longest),
        ),
        read=max(_pass_of(dev, engine), _pass_of(test, engine), key=lambda each: each.tokens),
        training=_training(passes, engine.price, steps_ahead, prepared.train_tokens if keeping.kept else None),
        scoring=_scoring(
            [*[test] * 2, *[dev] * evaluations, *[tried] * trials], dev.tokens + test.tokens if keeping.kept else None
        ),
        full_gradient=settings.method != "lora",
        head_learns=any(weight.requires_grad for weight in head(model).parameters()),
    )


def _held_tokens(step: Sequence[tuple[int, int]]) -> int:
    """Of a step's largest pass, and of a prefix that is a pass of its own: kept until the step ends."""
    return max(tokens for tokens, _ in step) + sum(tokens for tokens, asked in step if not asked)


def tried_steps(pace: Pace) -> int:
    """How many steps each rate is tried for; of a run that is shorter, all."""
    return min(_TRIED_STEPS, pace.rate.steps)


def _training(passes: Sequence[Sequence[tuple[int, int]]], price: int, steps: int, once: int | None) -> Work:
    """Of all steps, from the first ones. What is kept goes through the frozen blocks ``once``."""
    tokens = int(steps * sum(tokens + price for step in passes for tokens, _ in step) / len(passes))
    asked = int(steps * sum(asked for step in passes for _, asked in step) / len(passes))
    return Work(tokens, tokens if once is None else min(tokens, once), asked)


def _scoring(reads: Sequence[_Read], once: int | None) -> Work:
    """The test items before and after, the dev items at each evaluation. As in :func:`_training`."""
    tokens = sum(read.tokens for read in reads)
    return Work(tokens, tokens if once is None else min(tokens, once), sum(read.asked for read in reads))


def _read(items: Sequence[Item], reads: int, engine: Engine, most: int) -> _Read:
    rows = [item.row for item in items]
    shared = shared_length(rows[:_ITEMS_LOOKED_AT]) if may_share(engine.model) else 0
    return _Read(
        reads * sum(len(row.tokens) - shared for row in rows),
        reads * sum(row.asked for row in rows),
        max((min(len(row.tokens), most) for row in rows), default=0),
    )


def _pass_of(split: _Read, engine: Engine) -> Pass:
    """The largest pass over a split that is read."""
    tokens = min(split.tokens, CAPACITY)
    asked = split.asked * tokens // max(split.tokens, 1)
    return Pass(tokens, asked, engine.held_bytes(split.longest))
