"""A group of metrics of one set of items, and how their scores and differences come from the statistics.

Separate because classification, calibration, ranking and replies only say what their metrics are; the intervals, the
mean over several draws of answers, the pairing and the tests are the same for all of them and stand here once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weitiao.evaluation.statistics import (
    REPLICATES,
    Difference,
    Floats,
    Score,
    Statistic,
    Z,
    bootstrap,
    correlations,
    difference_interval,
    mcnemar_exact,
    mean_interval,
    paired_bootstrap,
    percentile_interval,
    wilson,
)

Limits = tuple[float, float]
LimitsAt = Callable[[float], Limits]  # of the normal quantile of the level: 1.96 for 95 %


@dataclass(frozen=True)
class Metric:
    """One number. ``count`` is how many items stand behind it.

    ``limits`` is its interval where a formula gives one; else ``interval`` makes it from the value, the replicates, the
    number of resampled units and the quantile. ``top`` is the end of its scale, which begins at 0; None when it has no
    end. ``outcomes`` says of each item whether it was right, where McNemar's test compares two models. ``inflated`` is
    set when a resample adds to the value by being one.
    """

    name: str
    count: int
    limits: LimitsAt | None = None
    interval: Callable[[float, Floats, int, float], Limits] = percentile_interval
    top: float | None = 1.0
    outcomes: NDArray[np.bool_] | None = None
    inflated: bool = False


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that are computed together from the same items: ``statistic`` gives their values in this order."""

    metrics: tuple[Metric, ...]
    items: NDArray[np.int64]  # which of the answers
    statistic: Statistic


@dataclass(frozen=True)
class Resampling:
    """How sure to be: which units are drawn together, how often, and at which level (its normal quantile)."""

    seed: int = 0
    clusters: Sequence[str] | None = None
    replicates: int = REPLICATES
    z: float = Z


def group_scores(group: MetricGroup, resampling: Resampling) -> dict[str, Score]:
    """The score of each metric that is defined."""
    found = _estimates(group, resampling, paired=False)
    return {name: _score(estimate, resampling.z) for name, estimate in found.items()}


def mean_scores(groups: Sequence[MetricGroup], resampling: Resampling) -> dict[str, Score]:
    """The mean over ``groups``, which are of the same items, of each metric that is defined in all of them."""
    if len(groups) == 1:
        return group_scores(groups[0], resampling)
    return {name: _mean_score(draws, resampling.z) for name, draws in _common(groups, resampling).items()}


def mean_differences(
    before: Sequence[MetricGroup], after: Sequence[MetricGroup], resampling: Resampling
) -> dict[str, Difference]:
    """The mean of ``after`` minus that of ``before``, of each metric that is defined in all; all of the same items."""
    first, second = _common(before, resampling), _common(after, resampling)
    return {name: _difference(first[name], second[name], resampling.z) for name in first if name in second}


@dataclass(frozen=True)
class _Estimate:
    metric: Metric
    value: float
    replicates: Floats  # [replicates]; empty when the interval needs none
    units: int
    clustered: bool

    @property
    def by_formula(self) -> bool:
        return self.metric.limits is not None and not self.clustered


def _common(groups: Sequence[MetricGroup], resampling: Resampling) -> dict[str, list[_Estimate]]:
    found = [_estimates(group, resampling, paired=True) for group in groups]
    return {name: [one[name] for one in found] for name in found[0] if all(name in one for one in found)}


def _estimates(group: MetricGroup, resampling: Resampling, paired: bool) -> dict[str, _Estimate]:
    count, clusters = len(group.items), resampling.clusters
    if not count or not group.metrics:
        return {}
    own = None if clusters is None else [clusters[item] for item in group.items]
    units = count if own is None else len(set(own))
    values = group.statistic(np.ones((1, count)))[0]
    replicates = np.empty((0, len(values)))
    if paired or own is not None or any(metric.limits is None for metric in group.metrics):
        replicates = bootstrap(group.statistic, count, resampling.replicates, resampling.seed, own)
    return {
        metric.name: _Estimate(metric, float(value), replicates[:, column], units, own is not None)
        for column, (metric, value) in enumerate(zip(group.metrics, values, strict=True))
        if np.isfinite(value) and (units > 1 or (metric.limits is not None and own is None))
    }


def _score(estimate: _Estimate, z: float) -> Score:
    metric, value = estimate.metric, estimate.value
    if metric.limits is not None and estimate.by_formula:
        low, high = metric.limits(z)
    elif _at_an_end(estimate):
        # Every resample is the same there. A mean of values within [0, top] varies at most as right and wrong do.
        top, units = metric.top or 1.0, min(estimate.units, metric.count)
        shared = wilson(min(value / top, 1.0) * units, units, z)
        low, high = shared.low * top, shared.high * top
    else:
        low, high = metric.interval(value, estimate.replicates, estimate.units, z)
    return Score(value, min(low, value), max(high, value), metric.count)


def _mean_score(draws: Sequence[_Estimate], z: float) -> Score:
    scores = [_score(draw, z) for draw in draws]
    if len(scores) == 1:
        return scores[0]
    values, lows, highs = (np.array([getattr(one, end) for one in scores]) for end in ("value", "low", "high"))
    # A draw that does not vary is at an end of its scale; that it moves with the others is the careful assumption.
    together = _correlations(np.array([draw.replicates for draw in draws]), undefined=1.0)
    return Score(float(values.mean()), *mean_interval(values, lows, highs, together), min(one.count for one in scores))


def _difference(before: Sequence[_Estimate], after: Sequence[_Estimate], z: float) -> Difference:
    every = [*before, *after]
    values = [float(np.mean([draw.value for draw in side])) for side in (before, after)]
    replicates = np.array([np.mean([draw.replicates for draw in side], axis=0) for side in (before, after)])
    found = paired_bootstrap(values[1] - values[0], replicates[1] - replicates[0], before[0].units, z)
    low, high = found.low, found.high
    if all(one.by_formula for one in every) or any(_at_an_end(one) for one in every):
        # With a value that is the same in every resample, any other is as good as independent.
        together = float(_correlations(replicates, undefined=0.0)[0, 1])
        low, high = difference_interval(_mean_score(before, z), _mean_score(after, z), together)
    elif before[0].metric.inflated:
        low, high = 2 * found.value - high, 2 * found.value - low
    p = _mcnemar(every[0], every[1]) if len(every) == 2 else None
    return Difference(found.value, min(low, found.value), max(high, found.value), found.p if p is None else p)


def _correlations(replicates: Floats, undefined: float) -> Floats:
    """``[estimates, estimates]`` from ``[estimates, replicates]``."""
    defined = replicates[:, np.isfinite(replicates).all(axis=0)]
    if defined.shape[1] < 2:
        return correlations(np.zeros((len(replicates), len(replicates))), undefined)
    return correlations(np.atleast_2d(np.cov(defined)), undefined)


def _at_an_end(estimate: _Estimate) -> bool:
    top, defined = estimate.metric.top, estimate.replicates[np.isfinite(estimate.replicates)]
    if top is None or min(abs(estimate.value), abs(estimate.value - top)) > 1e-9 * top:
        return False
    return not defined.size or float(np.ptp(defined)) <= 1e-9 * top


def _mcnemar(before: _Estimate, after: _Estimate) -> float | None:
    first, second = before.metric.outcomes, after.metric.outcomes
    if first is None or second is None or before.clustered:
        return None
    return mcnemar_exact(int((~first & second).sum()), int((first & ~second).sum()))
