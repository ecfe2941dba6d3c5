"""The answer that needs no model: always the commonest, as sure of each category as its share of the training rows.

Separate because a head that was just drawn answers by chance, which nobody would use: what tuning must beat is this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weitiao.evaluation.answers import Answers, category_answers
from weitiao.example import Task


def nothing_marked(gold: Sequence[str]) -> Answers:
    """The answer that marks nothing to texts whose right marks are ``gold``; nothing is said of a label, so no loss."""
    count = len(gold)
    none = np.zeros(count, dtype=np.int64)
    return Answers(
        "mark", tuple(gold), ("",) * count, None, np.zeros(count), none, none, np.ones(count, dtype=np.bool_)
    )


def commonest_answers(gold: Sequence[Sequence[str]], task: Task, counts: Mapping[str, int], rows: int) -> Answers:
    """Its answers to items that have the categories ``gold``; ``counts`` are of the ``rows`` of the training split.

    Where a text may have several categories, those are given that more than half of the rows have.
    """
    # One more of each (Laplace), so that a category without training rows is not called impossible.
    shares = np.array([counts.get(name, 0) + 1 for name in task.categories], dtype=np.float64)
    shares /= rows + 2 if task.several else shares.sum()
    return category_answers(gold, task, np.tile(shares, (len(gold), 1)))
