"""Scores of a way to do the task that was tried several times: other shots, another wording, another seed.

Such a way ("arm") has several draws of answers, all to the same items. Its score is the mean over the draws, and the
interval of that mean is over items: what other items would have shown. How far the draws lie apart says something else,
what another draw would have shown, and is kept apart (:func:`spread`). Separate because a single model's metrics
(``metrics.py``) are the case of one draw.

Each draw's interval is its metric's own. They are joined with the correlations that the draws have over resampled items
(``statistics.mean_interval``), so that the mean keeps what the formulas know near the ends of a scale.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers, Mask, canonical_order, check_same_items, select
from weitiao.evaluation.calibration import calibration_metrics
from weitiao.evaluation.classification import category_indices, category_metrics
from weitiao.evaluation.metric_group import MetricGroup, Resampling, mean_differences, mean_scores
from weitiao.evaluation.omissions import has_probabilities
from weitiao.evaluation.ranking import ranking_metrics
from weitiao.evaluation.replies import generation_metrics, loss_metrics, scored
from weitiao.evaluation.several import several_metrics
from weitiao.evaluation.spans import span_metrics
from weitiao.evaluation.statistics import REPLICATES, Difference, Floats, Score, Statistic, Z, bootstrap


@dataclass(frozen=True, slots=True)
class Spread:
    """The same metric of each draw, in their order. ``deviation`` is the standard deviation, None of a single draw."""

    values: tuple[float, ...]
    low: float
    high: float
    deviation: float | None

    def json(self) -> dict[str, Any]:
        """``{"values", "low", "high", "deviation"}``."""
        return asdict(self)


def scores_of(
    draws: Sequence[Answers], categories: Sequence[str] = (), seed: int = 0, clusters: Sequence[str] | None = None
) -> dict[str, Score]:
    """The mean over ``draws`` of every metric that is defined in all of them, with its 95 % interval over items.

    Of one draw exactly ``metrics.scores``. Only items that all draws have count. Raises ``ValueError`` unless all draws
    answer the same items in the same order.
    """
    sides, along = _ordered([draws], clusters)
    found: dict[str, Score] = {}
    for groups in _groups(sides, categories, seed):
        found.update(mean_scores(groups[0], Resampling(seed, along)))
    return found


def differences_of(
    before: Sequence[Answers],
    after: Sequence[Answers],
    categories: Sequence[str] = (),
    seed: int = 0,
    clusters: Sequence[str] | None = None,
) -> dict[str, Difference]:
    """The mean over ``after`` minus the mean over ``before``, of every metric that is defined in all draws of both.

    Of one draw each exactly ``metrics.differences``; else p is the paired bootstrap's. Raises ``ValueError`` unless all
    answer the same items in the same order.
    """
    sides, along = _ordered([before, after], clusters)
    left_out = _incomparable([*sides[0], *sides[1]])
    found: dict[str, Difference] = {}
    for groups in _groups(sides, categories, seed):
        found.update(mean_differences(groups[0], groups[1], Resampling(seed, along)))
    return {name: difference for name, difference in found.items() if name not in left_out}


def difference_of(
    before: Sequence[Answers],
    after: Sequence[Answers],
    metric: str,
    categories: Sequence[str] = (),
    clusters: Sequence[str] | None = None,
    z: float = Z,
    replicates: int = REPLICATES,
) -> Difference | None:
    """:func:`differences_of` in one ``metric`` alone, at the level of ``z``; None where it is not defined in both."""
    sides, along = _ordered([before, after], clusters)
    if metric in _incomparable([*sides[0], *sides[1]]):
        return None
    for groups in _groups(sides, categories, seed=0):
        if all(metric in _names(group) for side in groups for group in side):
            alone = [[_alone(group, metric) for group in side] for side in groups]
            resampling = Resampling(clusters=along, replicates=replicates, z=z)
            return mean_differences(alone[0], alone[1], resampling).get(metric)
    return None


def resampled(
    arms: Sequence[Sequence[Answers]],
    metric: str,
    categories: Sequence[str] = (),
    clusters: Sequence[str] | None = None,
    replicates: int = REPLICATES,
) -> tuple[Floats, Floats]:
    """The mean ``metric`` of each arm, ``[arms]``, and of the same resamples of the items, ``[replicates, arms]``.

    Raises ``ValueError`` where a draw has no such metric.
    """
    sides, along = _ordered(arms, clusters)
    for groups in _groups(sides, categories, seed=0):
        if all(metric in _names(group) for side in groups for group in side):
            alone = [[_alone(group, metric).statistic for group in side] for side in groups]
            items = groups[0][0].items
            own = None if along is None else [along[item] for item in items]

            def means(weights: Floats, alone: list[list[Statistic]] = alone) -> Floats:
                return np.column_stack([np.mean([one(weights)[:, 0] for one in side], axis=0) for side in alone])

            return means(np.ones((1, len(items))))[0], bootstrap(means, len(items), replicates, clusters=own)
    raise ValueError(f"no metric {metric!r} in every draw")


def spread(draws: Sequence[Answers], categories: Sequence[str], metric: str) -> Spread:
    """How far ``metric`` lies apart in ``draws``. Raises ``ValueError`` where one has no such metric."""
    for (groups,) in _groups([draws], categories, seed=0):
        if all(metric in _names(group) for group in groups):
            alone = [_alone(group, metric) for group in groups]
            values = tuple(float(group.statistic(np.ones((1, len(group.items))))[0, 0]) for group in alone)
            return Spread(values, min(values), max(values), statistics.stdev(values) if len(values) > 1 else None)
    raise ValueError(f"no metric {metric!r} in every draw")


def _ordered(
    sides: Sequence[Sequence[Answers]], clusters: Sequence[str] | None
) -> tuple[list[list[Answers]], list[str] | None]:
    """All draws and the clusters in the order of their content, which the resamples follow."""
    every = [answers for side in sides for answers in side]
    for answers in every[1:]:
        check_same_items(every[0], answers)
    order = canonical_order(every, clusters)
    along = None if clusters is None else [clusters[item] for item in order]
    return [[select(answers, order) for answers in side] for side in sides], along


def _groups(
    sides: Sequence[Sequence[Answers]], categories: Sequence[str], seed: int
) -> Iterator[list[list[MetricGroup]]]:
    """Group after group, each of all draws: ``[sides, draws]``. The last ones may be missing, with probabilities."""
    every = [answers for side in sides for answers in side]
    use: Mask = np.all([scored(answers) for answers in every], axis=0)
    written: Mask = np.all([np.asarray(answers.generated, dtype=np.bool_) for answers in every], axis=0)
    for groups in zip(*(_metric_groups(answers, categories, seed, use, written) for answers in every), strict=False):
        left = iter(groups)
        yield [[next(left) for _ in side] for side in sides]


def _metric_groups(
    answers: Answers, categories: Sequence[str], seed: int, use: Mask, written: Mask
) -> Iterator[MetricGroup]:
    """The metrics of a kind of task; each group is made when it is asked for, the one people ask about first."""
    if not len(answers):
        return
    if answers.kind == "mark":
        yield span_metrics(answers, categories, written)
        yield loss_metrics(answers, use)
    elif answers.kind != "classify":
        yield loss_metrics(answers, use)
        yield generation_metrics(answers, written)
    elif answers.held is not None:
        yield several_metrics(answers, categories)
    else:
        gold, predicted = category_indices(answers, categories)
        yield category_metrics(answers, categories)
        if has_probabilities(answers):
            yield calibration_metrics(answers, gold, predicted, seed)
            yield ranking_metrics(answers, gold)


def _incomparable(every: Sequence[Answers]) -> set[str]:
    """Metrics whose unit differs: losses per token, where the texts were cut into other tokens."""
    if every[0].kind == "classify":
        return set()
    use = np.all([scored(answers) for answers in every], axis=0)
    tokens, length = (
        all(np.array_equal(np.asarray(one)[use], np.asarray(counts[0])[use]) for one in counts)
        for counts in ([one.loss_count for one in every], [one.byte_count for one in every])
    )
    return (set() if tokens else {"loss", "perplexity"}) | (set() if length else {"bits_per_byte"})


def _names(group: MetricGroup) -> list[str]:
    return [metric.name for metric in group.metrics]


def _alone(group: MetricGroup, metric: str) -> MetricGroup:
    column = _names(group).index(metric)
    return MetricGroup(
        (group.metrics[column],), group.items, lambda weights: group.statistic(weights)[:, column : column + 1]
    )
