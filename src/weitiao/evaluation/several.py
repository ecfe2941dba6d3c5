"""How well texts are told apart that may have several categories at once: F1 and exact sets.

Separate from single categories because no confusion matrix exists: every category is a decision of its own, yes or no.
A category is given where its probability is at least one half.

A category's F1 has the interval of the share that it is a function of (see ``classification.py``). The decisions about
one text are not independent, so F1 over several categories has the bootstrap's, over texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from weitiao.evaluation.answers import HALF, Answers, Mask
from weitiao.evaluation.classification import f1_limits
from weitiao.evaluation.metric_group import Metric, MetricGroup
from weitiao.evaluation.statistics import Floats, Score, share_limits, wilson
from weitiao.words import t


def given_sets(answers: Answers) -> Mask:
    """Which categories were given to each item, [items, categories]."""
    assert answers.probabilities is not None
    given: Mask = answers.probabilities >= HALF
    return given


def several_metrics(answers: Answers, categories: Sequence[str]) -> MetricGroup:
    """``exact_match``, ``micro_f1``, ``macro_f1``, ``loss``, and ``f1``, ``precision``, ``recall`` of each category.

    A category that no test item has, has no recall and no F1; one that was never given has no precision.
    """
    assert answers.held is not None
    gold, given = answers.held, given_sets(answers)
    same = (gold == given).all(axis=1)
    metrics = [
        Metric("exact_match", len(same), partial(share_limits, int(same.sum()), len(same)), outcomes=same),
        Metric("micro_f1", len(same)),
        Metric("macro_f1", len(same)),
        Metric("loss", len(same), top=None),
    ]
    hits, support, called = _counts(gold, given)
    present, offered = np.flatnonzero(support), np.flatnonzero(called)
    for category in present.tolist():
        shared = int(support[category] + called[category] - hits[category])
        metrics.append(Metric(f"f1/{categories[category]}", shared, partial(f1_limits, int(hits[category]), shared)))
    for name, of, counts in (("precision", offered, called), ("recall", present, support)):
        for category in of.tolist():
            share = int(hits[category]), int(counts[category])
            metrics.append(Metric(f"{name}/{categories[category]}", share[1], partial(share_limits, *share)))
    cells = _Decisions(gold, given, np.asarray(answers.loss_sum, dtype=np.float64), present, offered)
    return MetricGroup(tuple(metrics), np.arange(len(answers)), cells.values)


def several_details(answers: Answers, categories: Sequence[str]) -> dict[str, Any]:
    """What stands behind the scores, as JSON: ``items``, ``categories``, ``per_class`` and ``omitted``."""
    assert answers.held is not None
    hits, support, called = _counts(answers.held, given_sets(answers))
    rows: list[dict[str, Any]] = []
    omitted: dict[str, str] = {}
    for name, right, there, given in zip(categories, hits.tolist(), support.tolist(), called.tolist(), strict=True):
        shared = there + given - right
        f1 = Score(2 * right / (there + given), *f1_limits(right, shared), shared).json() if there else None
        rows.append(
            {
                "category": name,
                "support": there,
                "predicted": given,
                "precision": wilson(right, given).json() if given else None,
                "recall": wilson(right, there).json() if there else None,
                "f1": f1,
            }
        )
        if not there:
            reason = t("the test set holds no item of “{category}”", category=name)
            omitted |= {f"f1/{name}": reason, f"recall/{name}": reason}
        if not given:
            omitted[f"precision/{name}"] = t("“{category}” was never given as an answer", category=name)
    return {"items": len(answers), "categories": list(categories), "per_class": rows, "omitted": omitted}


@dataclass(frozen=True)
class _Decisions:
    """A resample changes only how often each item counts."""

    gold: Mask
    given: Mask
    losses: Floats
    present: Any
    offered: Any

    def values(self, weights: Floats) -> Floats:
        """``[replicates, items]`` to ``[replicates, metrics]``."""
        gold, given = self.gold.astype(np.float64), self.given.astype(np.float64)
        hits, support, called = weights @ (gold * given), weights @ gold, weights @ given
        count = weights.sum(axis=1, keepdims=True)
        same = weights @ (self.gold == self.given).all(axis=1, keepdims=True).astype(np.float64) / count
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(support > 0, 2 * hits / (support + called), np.nan)[:, self.present]
            precision, recall = (hits / called)[:, self.offered], (hits / support)[:, self.present]
            micro = 2 * hits.sum(1, keepdims=True) / (support + called).sum(1, keepdims=True)
            macro = np.nansum(f1, axis=1, keepdims=True) / np.isfinite(f1).sum(axis=1, keepdims=True)
        loss = weights @ self.losses[:, None] / count
        return np.concatenate([same, micro, macro, loss, f1, precision, recall], axis=1)


def _counts(gold: Mask, given: Mask) -> tuple[Any, Any, Any]:
    """True positives, items that have it, items that were given it, of each category."""
    return (gold & given).sum(axis=0), gold.sum(axis=0), given.sum(axis=0)
