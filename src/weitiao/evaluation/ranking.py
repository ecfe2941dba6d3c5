"""AUROC: how well probabilities rank the items of a category above the others.

Separate because it needs the order of all items, where the other metrics need sums.

For two categories it is the same whichever is called positive. For more it is the mean over the categories of one
against the rest. Items that tie count half. The interval of one AUROC is Newcombe's (2006, Statistics in Medicine
25:559, method 5), which keeps its coverage near 1, where the bootstrap's falls to 87 % in simulated studies; that of
the mean is the mean of the limits, which assumes that they all err together and is careful. Resamples are followed to
first order, by how much each item moves the value (DeLong, DeLong and Clarke-Pearson, 1988, Biometrics 44:837):
sorting a thousand resamples for each of many categories would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from weitiao.evaluation.answers import Answers, Indices
from weitiao.evaluation.metric_group import Limits, Metric, MetricGroup
from weitiao.evaluation.statistics import Floats, Z


def ranking_metrics(answers: Answers, gold: Indices) -> MetricGroup:
    """``auroc``, or nothing when the test set holds one category alone. Probabilities must be finite.

    A category without items, or with all of them, is left out of the mean.
    """
    items = np.arange(len(answers))
    present = np.unique(gold)
    if answers.probabilities is None or len(present) < 2:
        return MetricGroup((), items, lambda weights: np.empty((len(weights), 0)))
    odds = _odds(answers.probabilities.astype(np.float64))
    # Of two categories one is enough: the ranks of the other are these, reversed.
    compared = present[1:] if odds.shape[1] == 2 else present
    ranked = [auroc(odds[:, category], gold == category) for category in compared]
    positives = [int((gold == category).sum()) for category in compared]
    parts = [(value, count, len(answers) - count) for (value, _), count in zip(ranked, positives, strict=True)]
    metric = Metric("auroc", len(answers), partial(_mean_limits, parts))
    influence = np.mean([moved for _, moved in ranked], axis=0)
    return MetricGroup((metric,), items, _Moved(_mean([value for value, _ in ranked]), influence).values)


def auroc(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, Floats]:
    """The share of pairs, one positive and one not, that ``scores`` rank rightly; and how each item moves it.

    The second is the influence function ``[items]``: its mean is 0, and weights w give value + mean of w × influence.
    """
    _, group = np.unique(scores, return_inverse=True)  # items that tie share a group
    positives = np.bincount(group, weights=positive)
    negatives = np.bincount(group, weights=~positive)
    beaten = (np.cumsum(negatives) - negatives / 2) / negatives.sum()  # share of the others below a positive
    beating = 1 - (np.cumsum(positives) - positives / 2) / positives.sum()  # share of the positives above another
    value = float(positives @ beaten / positives.sum())
    shares = np.where(positive, beaten[group], beating[group])
    weight = np.where(positive, len(scores) / positives.sum(), len(scores) / negatives.sum())
    return value, (shares - value) * weight


def auroc_limits(value: float, positives: int, negatives: int, z: float = Z) -> Limits:
    """Newcombe's interval of one AUROC from the numbers of items on either side."""
    scale = (positives + negatives) / 2 - 1

    def believable(truth: float) -> bool:
        spread = 1 + scale * ((1 - truth) / (2 - truth) + truth / (1 + truth))
        variance = truth * (1 - truth) * spread / (positives * negatives)
        return abs(value - truth) <= z * math.sqrt(variance)

    return _border(value, 0.0, believable), _border(value, 1.0, believable)


@dataclass(frozen=True)
class _Moved:
    value: float
    influence: Floats  # [items]

    def values(self, weights: Floats) -> Floats:
        return np.asarray(self.value + weights @ self.influence / weights.sum(axis=1))[:, None]


def _mean_limits(parts: Sequence[tuple[float, int, int]], z: float) -> Limits:
    limits = [auroc_limits(*part, z) for part in parts]
    return _mean([low for low, _ in limits]), _mean([high for _, high in limits])


def _odds(probabilities: Floats) -> Floats:
    """Each category against the rest: the order of the probabilities, kept apart where they round to 1."""
    rest = probabilities @ (1.0 - np.eye(probabilities.shape[1]))
    with np.errstate(divide="ignore"):
        return np.where(rest > 0, probabilities / rest, np.inf)


def _border(inside: float, outside: float, believable: Callable[[float], bool]) -> float:
    """The last believable value on the way from ``inside`` to ``outside``, by halving."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if believable(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
