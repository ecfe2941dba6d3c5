"""Whether a model's probabilities can be believed: calibration error, Brier score, loss, and the bins of the plot.

Separate because it reads probabilities, where accuracy and F1 read names.

The calibration error (ECE; Guo et al., 2017, arXiv:1706.04599) has 15 bins of equal width over the probability of the
given category: the mean over the items of |accuracy - confidence| of their bin. Chance alone makes it positive, the
more so the fewer items there are, and a resample adds as much again. So its interval is the basic bootstrap's,
reflected at the value, which takes off what resampling adds, and it begins at 0 when a perfectly calibrated model
would show such a value as well. Read it beside :func:`chance_error`, the mean value that such a model would show.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weitiao.evaluation.answers import Answers, Indices
from weitiao.evaluation.metric_group import Limits, Metric, MetricGroup
from weitiao.evaluation.statistics import REPLICATES, Floats, percentile_interval, wilson

BINS = 15
SMALLEST = 1e-12  # a smaller probability counts as this in the loss, which would be infinite at 0
_CHUNK = 1 << 21


def calibration_metrics(answers: Answers, gold: Indices, predicted: Indices, seed: int) -> MetricGroup:
    """``ece``, ``brier`` and ``loss``; ``answers.probabilities`` must be finite.

    ``brier`` is the sum over all categories of the squared distance from 1 or 0, averaged over the items: 0 to 2
    (Brier, 1950). ``loss`` is the mean negative log-likelihood of the right category, each item counting once.
    """
    probabilities = _finite(answers)
    items = np.arange(len(answers))
    confidence = probabilities[items, predicted]
    right = (gold == predicted).astype(np.float64)
    truth = np.zeros_like(probabilities)
    truth[items, gold] = 1.0
    brier = ((probabilities - truth) ** 2).sum(axis=1)
    loss = -np.log(np.maximum(probabilities[items, gold], SMALLEST))
    gaps = _in_bins(confidence) * (right - confidence)[:, None]
    metrics = (
        Metric("ece", len(answers), interval=_ErrorInterval(confidence, seed).limits, inflated=True),
        Metric("brier", len(answers), top=2.0),
        Metric("loss", len(answers), top=None),
    )
    return MetricGroup(metrics, items, _Sums(gaps, np.column_stack([brier, loss])).values)


def calibration_bins(answers: Answers, gold: Indices, predicted: Indices) -> list[dict[str, Any]]:
    """The 15 bins ``low < confidence <= high``: items, mean confidence, share right with interval; None when empty."""
    confidence = _finite(answers)[np.arange(len(answers)), predicted]
    number = _bin(confidence)
    rows = []
    for index in range(BINS):
        inside = number == index
        count, right = int(inside.sum()), int((inside & (gold == predicted)).sum())
        row: dict[str, Any] = {"low": index / BINS, "high": (index + 1) / BINS, "count": count}
        row["confidence"] = float(confidence[inside].mean()) if count else None
        row["accuracy"] = right / count if count else None
        row["interval"] = [wilson(right, count).low, wilson(right, count).high] if count else None
        rows.append(row)
    return rows


def chance_error(answers: Answers, predicted: Indices, seed: int = 0) -> float:
    """The mean calibration error of a model with the same confidences that are all perfectly calibrated."""
    confidence = _finite(answers)[np.arange(len(answers)), predicted]
    return float(_errors_by_chance(confidence, seed).mean())


@dataclass(frozen=True)
class _Sums:
    gaps: Floats  # [items, bins]
    means: Floats  # [items, 2] Brier and loss

    def values(self, weights: Floats) -> Floats:
        total = weights.sum(axis=1, keepdims=True)
        error = np.abs(weights @ self.gaps).sum(axis=1, keepdims=True) / total
        return np.concatenate([error, weights @ self.means / total], axis=1)


@dataclass(frozen=True)
class _ErrorInterval:
    confidence: Floats
    seed: int

    def limits(self, value: float, replicates: Floats, units: int, z: float) -> Limits:
        low, high = percentile_interval(value, replicates, units, z)
        reflected = max(0.0, 2 * value - high), max(0.0, 2 * value - low)
        by_chance = float(np.quantile(_errors_by_chance(self.confidence, self.seed), NormalDist().cdf(z)))
        return 0.0 if value <= by_chance else reflected[0], reflected[1]


def _errors_by_chance(confidence: Floats, seed: int) -> Floats:
    """Calibration errors of simulated studies whose answers are right just as often as their confidence says."""
    random = np.random.default_rng((seed, BINS))
    bins, items = _in_bins(confidence), len(confidence)
    errors = []
    chunk = max(1, _CHUNK // items)
    for start in range(0, REPLICATES, chunk):
        right = random.random((min(chunk, REPLICATES - start), items)) < confidence
        errors.append(np.abs((right - confidence) @ bins).sum(axis=1) / items)
    return np.concatenate(errors)


def _in_bins(confidence: Floats) -> Floats:
    """``[items, bins]``: 1 where an item stands in the bin."""
    return np.asarray(_bin(confidence)[:, None] == np.arange(BINS), dtype=np.float64)


def _bin(confidence: Floats) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _finite(answers: Answers) -> Floats:
    if answers.probabilities is None or not np.isfinite(answers.probabilities).all():
        raise ValueError("calibration needs finite probabilities")
    return np.asarray(answers.probabilities, dtype=np.float64)
