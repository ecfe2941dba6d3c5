"""The answer that needs no model: always the commonest category, as sure of each as its share of the training rows.

Separate because a head that was just drawn answers by chance, which nobody would use: what tuning must beat is this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weitiao.evaluation.answers import Answers


def commonest(counts: Mapping[str, int], categories: Sequence[str]) -> str:
    """The category with the most training rows; of several the first."""
    return max(categories, key=lambda name: counts.get(name, 0))


def nothing_marked(gold: Sequence[str]) -> Answers:
    """The answer that marks nothing to texts whose right marks are ``gold``; nothing is said of a label, so no loss."""
    count = len(gold)
    none = np.zeros(count, dtype=np.int64)
    return Answers(
        "mark", tuple(gold), ("",) * count, None, np.zeros(count), none, none, np.ones(count, dtype=np.bool_)
    )


def commonest_answers(gold: Sequence[str], counts: Mapping[str, int], categories: Sequence[str]) -> Answers:
    """Its answers to items whose right categories are ``gold``; ``counts`` are training rows by category."""
    # One more of each (Laplace), so that a category without training rows is not called impossible.
    shares = np.array([counts.get(name, 0) + 1 for name in categories], dtype=np.float64)
    shares /= shares.sum()
    place = {name: number for number, name in enumerate(categories)}
    right = np.array([place[name] for name in gold], dtype=np.int64)
    return Answers(
        kind="classify",
        gold=tuple(gold),
        predicted=(commonest(counts, categories),) * len(gold),
        probabilities=np.tile(shares, (len(gold), 1)),
        loss_sum=-np.log(shares[right]),
        loss_count=np.ones(len(gold), dtype=np.int64),
        byte_count=np.array([len(name.encode()) for name in gold], dtype=np.int64),
        generated=np.zeros(len(gold), dtype=np.bool_),
    )
