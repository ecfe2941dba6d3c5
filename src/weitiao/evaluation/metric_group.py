"""A group of metrics of one set of items, and how their scores and differences come from the statistics.

Separate because classification, calibration, ranking and replies only say what their metrics are; the intervals, the
pairing and the tests are the same for all of them and stand here once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weitiao.evaluation.statistics import (
    Difference,
    Floats,
    Score,
    Statistic,
    bootstrap,
    difference_interval,
    mcnemar_exact,
    paired_bootstrap,
    percentile_interval,
    wilson,
)

Limits = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """One number. ``count`` is how many items stand behind it.

    ``limits`` is its 95 % interval where a formula gives one; else ``interval`` makes it from the value, the
    replicates and the number of resampled units. ``top`` is the end of its scale, which begins at 0; None when it has
    no end. ``outcomes`` says of each item whether it was right, where McNemar's test compares two models.
    ``inflated`` is set when a resample adds to the value by being one.
    """

    name: str
    count: int
    limits: Limits | None = None
    interval: Callable[[float, Floats, int], Limits] = percentile_interval
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
class _Estimate:
    metric: Metric
    value: float
    replicates: Floats  # [replicates]; empty when the interval needs none
    units: int
    clustered: bool


def group_scores(group: MetricGroup, seed: int, clusters: Sequence[str] | None = None) -> dict[str, Score]:
    """The score of each metric that is defined."""
    return {name: _score(estimate) for name, estimate in _estimates(group, seed, clusters, paired=False).items()}


def group_differences(
    before: MetricGroup, after: MetricGroup, seed: int, clusters: Sequence[str] | None = None
) -> dict[str, Difference]:
    """After minus before of each metric that is defined in both, which must be of the same items."""
    first = _estimates(before, seed, clusters, paired=True)
    second = _estimates(after, seed, clusters, paired=True)
    return {name: _difference(first[name], second[name]) for name in first if name in second}


def _estimates(group: MetricGroup, seed: int, clusters: Sequence[str] | None, paired: bool) -> dict[str, _Estimate]:
    count = len(group.items)
    if not count or not group.metrics:
        return {}
    own = None if clusters is None else [clusters[item] for item in group.items]
    units = count if own is None else len(set(own))
    values = group.statistic(np.ones((1, count)))[0]
    needed = paired or own is not None or any(metric.limits is None for metric in group.metrics)
    replicates = bootstrap(group.statistic, count, seed=seed, clusters=own) if needed else np.empty((0, len(values)))
    return {
        metric.name: _Estimate(metric, float(value), replicates[:, column], units, own is not None)
        for column, (metric, value) in enumerate(zip(group.metrics, values, strict=True))
        if np.isfinite(value) and (units > 1 or (metric.limits is not None and own is None))
    }


def _score(estimate: _Estimate) -> Score:
    metric, value = estimate.metric, estimate.value
    if metric.limits is not None and not estimate.clustered:
        low, high = metric.limits
    elif _at_an_end(estimate):
        # Every resample is the same there. A mean of values within [0, top] varies at most as right and wrong do.
        top, units = metric.top or 1.0, min(estimate.units, metric.count)
        shared = wilson(min(value / top, 1.0) * units, units)
        low, high = shared.low * top, shared.high * top
    else:
        low, high = metric.interval(value, estimate.replicates, estimate.units)
    return Score(value, min(low, value), max(high, value), metric.count)


def _difference(before: _Estimate, after: _Estimate) -> Difference:
    found = paired_bootstrap(before.replicates, after.replicates, (before.value, after.value), before.units)
    low, high, p = found.low, found.high, found.p
    if _at_an_end(before) or _at_an_end(after):
        low, high = difference_interval(_score(before), _score(after))
    elif before.metric.inflated:
        low, high = 2 * found.value - high, 2 * found.value - low
    if before.metric.outcomes is not None and after.metric.outcomes is not None and not before.clustered:
        p = _mcnemar(before.metric.outcomes, after.metric.outcomes)
    return Difference(found.value, min(low, found.value), max(high, found.value), p)


def _at_an_end(estimate: _Estimate) -> bool:
    top, defined = estimate.metric.top, estimate.replicates[np.isfinite(estimate.replicates)]
    if top is None or min(abs(estimate.value), abs(estimate.value - top)) > 1e-9 * top:
        return False
    return not defined.size or float(np.ptp(defined)) <= 1e-9 * top


def _mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    return mcnemar_exact(int((~before & after).sum()), int((before & ~after).sum()))
