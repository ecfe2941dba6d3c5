"""Which category to answer when mistakes do not cost the same: by expected cost, with weights chosen on dev.

The cheapest answer is the one whose expected cost under the model's probabilities is least (Elkan, 2001, IJCAI 17:973).
That needs probabilities that can be believed, which a tuned model's often cannot; so each category's probability is
first multiplied by a weight, and the weights are those that cost least on dev. Separate from the metrics because it
chooses something, and the test items must have no part in that: :func:`cheapest` sees dev alone, :func:`applied` only
measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers, Indices, canonical_order, select
from weitiao.evaluation.classification import category_indices
from weitiao.evaluation.metric_group import Metric, MetricGroup, Resampling, group_scores, mean_differences
from weitiao.evaluation.statistics import Difference, Floats, Score

_STEPS = 60  # weights tried for a category, between the ratios of the dev items' probabilities
_ROUNDS = 10


@dataclass(frozen=True)
class Threshold:
    """``costs[right][given]`` in the order of the categories, and the ``weights`` of their probabilities."""

    categories: tuple[str, ...]
    costs: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def decide(self, probabilities: Floats) -> Indices:
        """The category of least expected cost for each item ``[items, categories]``, as a position."""
        return np.asarray(
            (probabilities * np.array(self.weights) @ np.array(self.costs)).argmin(axis=1), dtype=np.int64
        )


@dataclass(frozen=True)
class Applied:
    """The mean cost of a test item: by the threshold, by the likeliest category, and the first minus the second."""

    cost: Score
    plain: Score
    difference: Difference

    def json(self) -> dict[str, Any]:
        """``{"cost", "plain", "difference"}``."""
        return asdict(self)


def cheapest(
    dev: Answers, costs: Mapping[str, Mapping[str, float]] | Sequence[Sequence[float]], categories: Sequence[str]
) -> Threshold:
    """The threshold that costs least on ``dev``; of several the one nearest to plain expected cost.

    ``costs`` says what giving a category costs where another is right, as ``costs[right][given]``: a table in the order
    of ``categories``, or names, where what is missing costs 1, and 0 where the answer is right. Raises ``ValueError``
    where dev has no probabilities or a cost is negative.
    """
    table = _table(costs, categories)
    gold, probabilities = _known(dev, categories)
    weights = np.ones(len(categories))
    least = _mean_cost(table, weights, gold, probabilities)
    for _ in range(_ROUNDS):
        before = least
        for category in range(len(categories)):
            for weight in _candidates(probabilities, table, weights, category):
                tried = weights.copy()
                tried[category] = weight
                cost = _mean_cost(table, tried, gold, probabilities)
                if cost < least - 1e-12:
                    weights, least = tried, cost
        if least >= before - 1e-12:
            break
    return Threshold(tuple(categories), tuple(map(tuple, table.tolist())), tuple((weights / weights.max()).tolist()))


def applied(test: Answers, threshold: Threshold, clusters: Sequence[str] | None = None) -> Applied:
    """What the threshold costs on ``test``, beside the likeliest category; intervals are the bootstrap's over items."""
    order = canonical_order([test], clusters)
    gold, probabilities = _known(select(test, order), threshold.categories)
    along = None if clusters is None else [clusters[item] for item in order]
    costs = np.array(threshold.costs)
    ours, plain = (
        _costs_of(costs[gold, given]) for given in (threshold.decide(probabilities), probabilities.argmax(axis=1))
    )
    resampling = Resampling(clusters=along)
    return Applied(
        group_scores(ours, resampling)["cost"],
        group_scores(plain, resampling)["cost"],
        mean_differences([plain], [ours], resampling)["cost"],
    )


def _table(costs: Mapping[str, Mapping[str, float]] | Sequence[Sequence[float]], categories: Sequence[str]) -> Floats:
    if isinstance(costs, Mapping):
        unknown = {name for right, row in costs.items() for name in (right, *row)} - set(categories)
        if unknown:
            raise ValueError(f"costs of categories that the task does not have: {sorted(unknown)}")
        costs = [[costs.get(one, {}).get(other, float(one != other)) for other in categories] for one in categories]
    table = np.array(costs, dtype=np.float64)
    if table.shape != (len(categories), len(categories)) or not np.isfinite(table).all() or (table < 0).any():
        raise ValueError(f"costs must be a table of {len(categories)} × {len(categories)} numbers, none negative")
    return table


def _known(answers: Answers, categories: Sequence[str]) -> tuple[Indices, Floats]:
    if answers.probabilities is None or answers.held is not None or not np.isfinite(answers.probabilities).all():
        raise ValueError("a choice by cost needs finite probabilities of categories that exclude each other")
    return category_indices(answers, categories)[0], np.asarray(answers.probabilities, dtype=np.float64)


def _mean_cost(costs: Floats, weights: Floats, gold: Indices, probabilities: Floats) -> float:
    return float(costs[gold, (probabilities * weights @ costs).argmin(axis=1)].mean())


def _candidates(probabilities: Floats, costs: Floats, weights: Floats, category: int) -> Floats:
    """Weights at which the answer to some item turns, the nearest to 1 first: between neighbouring odds of the items.

    With ``category`` left out an item costs at least what its other categories make it cost; it turns where that and
    what the category itself adds are equal, which is near the ratio of the two.
    """
    others = probabilities * weights
    own, rest = probabilities[:, category], others.sum(axis=1) - others[:, category]
    turns = np.unique(rest[own > 0] / own[own > 0])
    stakes = np.unique(np.concatenate([costs[costs > 0], [1.0]]))
    scale = np.unique(stakes[:, None] / stakes)
    found = np.quantile(np.log(np.maximum(turns, 1e-12)), np.linspace(0, 1, _STEPS)) if len(turns) else np.zeros(1)
    every = np.exp(np.unique((found[:, None] + np.log(scale)).ravel()))
    return np.asarray(every[np.argsort(np.abs(np.log(every)), kind="stable")])


def _costs_of(costs: Floats) -> MetricGroup:
    return MetricGroup(
        (Metric("cost", len(costs), top=None),),
        np.arange(len(costs)),
        lambda weights: (weights @ costs / weights.sum(axis=1))[:, None],
    )
