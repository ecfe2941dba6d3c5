"""How good answers would be that have nothing to do with their texts: the same ones, dealt out at random.

Separate because it asks of a single arm whether it knows anything at all. Always giving the commonest answer is the
best that one can do blindly for accuracy, but not for F1: naming a rare category now and then raises the mean of its F1
above that of never naming it. The test is a permutation test (Fisher, 1935; Ojala and Garriga, 2010, JMLR 11:1833): it
deals the answers out again, which leaves every F1 its numbers of right and of given items, and changes only the hits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weitiao.evaluation.answers import Answers, Mask
from weitiao.evaluation.classification import category_indices
from weitiao.evaluation.several import given_sets
from weitiao.evaluation.statistics import Floats

PERMUTATIONS = 1000
F1S = ("macro_f1", "micro_f1")


def chance_p(draws: Sequence[Answers], metric: str, categories: Sequence[str], seed: int = 0) -> float:
    """The p of the mean ``metric`` of ``draws``, if their answers had nothing to do with the items; one-sided.

    0 where the metric is not macro-F1 or micro-F1: nothing blind is above the commonest answer there.
    """
    if metric not in F1S or draws[0].kind != "classify":
        return 0.0
    items = np.arange(len(draws[0]))
    sides = [_one_hot(answers, categories) for answers in draws]
    real = _mean_f1(sides, metric, items)
    random = np.random.default_rng(seed)
    dealt = [_mean_f1(sides, metric, random.permutation(items)) for _ in range(PERMUTATIONS)]
    return (1 + sum(value >= real - 1e-12 for value in dealt)) / (1 + PERMUTATIONS)


def _mean_f1(sides: Sequence[tuple[Floats, Floats]], metric: str, order: np.ndarray) -> float:
    """Every draw's answers in the same new ``order``."""
    values = []
    for gold, given in sides:
        hits = np.einsum("ij,ij->j", gold, given[order])
        named = gold.sum(axis=0) + given.sum(axis=0)
        there = gold.any(axis=0)
        values.append(2 * hits.sum() / named.sum() if metric == "micro_f1" else (2 * hits[there] / named[there]).mean())
    return float(np.mean(values))


def _one_hot(answers: Answers, categories: Sequence[str]) -> tuple[Floats, Floats]:
    """Which categories each item has and was given, ``[items, categories]``."""
    if answers.held is not None:
        several: tuple[Mask, Mask] = (answers.held, given_sets(answers))
        return several[0].astype(np.float64), several[1].astype(np.float64)
    gold, predicted = category_indices(answers, categories)
    every = np.eye(len(categories) + 1)[:, :-1]  # the last row: answers that name no category
    return every[gold], every[predicted]
