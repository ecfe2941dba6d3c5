"""The small model of categories: TF-IDF of words and characters, and logistic regression above it.

Separate because it chooses what it looks at; that such models must never be left out is Wang and Manning's (2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

import numpy as np

from weitiao.evaluation.answers import Answers, Mask, category_answers
from weitiao.evaluation.logistic import Logistic, best_strength, fitted, loss_by_cross_validation, shares
from weitiao.evaluation.ngrams import TWICE, NGrams, Sparse, View, folded, joined, learned, vectors
from weitiao.example import Example, Task, content_key, names_of

VIEWS: tuple[View, ...] = ("words", "characters")
MOST_CHARACTERS = 8_000_000  # of training texts: about a minute
_TRIED_CHARACTERS, _TRIED_ROWS, _TRIED_CELLS = 400_000, 4_000, 80_000  # in cross-validation; a cell: row x category
_WEIGHTS = 2_000_000  # of one view, over all categories
_FIRST_STRENGTH = 30.0  # with which the views are compared


@dataclass(frozen=True, slots=True)
class SmallCategories:
    """What was learned: from how many ``rows``, in which ``views``, how strongly (scikit-learn's C)."""

    views: tuple[View, ...]
    ngrams: tuple[NGrams, ...]
    logistic: Logistic
    strength: float
    rows: int


def small_categories(train: Sequence[Example], task: Task) -> SmallCategories:
    """The model that ``train`` teaches, whatever the order of the rows. Views and strength by cross-validation.

    Of more than ``MOST_CHARACTERS`` those texts are taken that have the lowest hashes.
    """
    rows = _most(sorted(train, key=lambda example: (content_key(example), example.id)), MOST_CHARACTERS)
    held, texts = held_by(rows, task), folded(rows)
    most = _WEIGHTS // (1 if task.several else len(task.categories))
    made = {view: learned(texts, view, most, TWICE) for view in VIEWS}
    tried = len(_most(rows[: min(_TRIED_ROWS, _TRIED_CELLS // len(task.categories))], _TRIED_CHARACTERS))
    few = {view: _first(tried, matrix) for view, (_, matrix) in made.items()}
    views = _best_views(few, held[:tried], task.several)
    strength = best_strength(joined([few[view] for view in views]), held[:tried], task.several)
    logistic = fitted(joined([made[view][1] for view in views]), held, task.several, strength)
    return SmallCategories(views, tuple(made[view][0] for view in views), logistic, strength, len(rows))


def categories_of(model: SmallCategories, items: Sequence[Example], task: Task) -> Answers:
    """Its answers to ``items``, each with the probabilities of all categories."""
    said = shares(model.logistic, vectors(model.ngrams, folded(items)))
    return category_answers([names_of(example.label) for example in items], task, said)


def held_by(examples: Sequence[Example], task: Task) -> Mask:
    """[examples, categories]: which each has."""
    held = [[name in names_of(example.label) for name in task.categories] for example in examples]
    return np.array(held, dtype=np.bool_).reshape(len(examples), len(task.categories))


def _best_views(matrices: dict[View, Sparse], held: Mask, several: bool) -> tuple[View, ...]:
    """Words, characters, or both: what has the lowest loss."""
    choices = [views for count in range(1, len(VIEWS) + 1) for views in combinations(VIEWS, count)]

    def loss(views: tuple[View, ...]) -> float:
        return loss_by_cross_validation(joined([matrices[one] for one in views]), held, several, _FIRST_STRENGTH)

    return min(choices, key=loss)


def _first(rows: int, matrix: Sparse) -> Sparse:
    """The first rows, without the n-grams that none of them holds: they would only take time."""
    few = matrix[:rows]
    return few[:, few.getnnz(axis=0) > 0]


def _most(examples: Sequence[Example], characters: int) -> Sequence[Example]:
    """As many of the first as have so many characters, and one at least."""
    lengths = accumulate(len(example.text) for example in examples)
    return examples[: max(1, sum(length <= characters for length in lengths))]
