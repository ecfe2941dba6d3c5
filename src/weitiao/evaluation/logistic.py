"""How likely each category is, by logistic regression, with as much regularisation as cross-validation asks for.

Separate because the vectors may be counts of n-grams or a model's embeddings. The criterion is the loss of the right
category, so that the probabilities are worth showing; nothing but training rows is looked at.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weitiao.evaluation.answers import Mask

Floats = NDArray[np.float64]
Vectors = Any  # [rows, width], an array or a sparse matrix of scipy

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # scikit-learn's C: the inverse of the regularisation
FOLDS = 3
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Logistic:
    """One regression over all categories, or one for each where a text may have several.

    ``prior`` [categories] is what is said of a category of which the training rows show too little to learn from: its
    share among them, each counted once more (Laplace).
    """

    estimators: tuple[Any, ...]  # of scikit-learn; None where all rows are alike
    prior: Floats
    several: bool


def fitted(vectors: Vectors, held: Mask, several: bool, strength: float) -> Logistic:
    """``held`` [rows, categories] says which each row has. The same rows give the same bits."""
    targets = list(held.T) if several else [held.argmax(axis=1)]
    prior = (held.sum(axis=0) + 1.0) / (len(held) + (2.0 if several else held.shape[1]))
    return Logistic(tuple(_estimator(vectors, target, strength) for target in targets), prior, several)


def shares(logistic: Logistic, vectors: Vectors) -> Floats:
    """[rows, categories]: how likely each category is; they sum to 1 unless a text may have several."""
    found = np.tile(logistic.prior, (vectors.shape[0], 1))
    for number, estimator in enumerate(logistic.estimators):
        if estimator is None:
            continue
        said = estimator.predict_proba(vectors)
        if logistic.several:
            found[:, number] = said[:, 1]
        else:
            found[:, estimator.classes_] = said * logistic.prior[estimator.classes_].sum()
    return found


def loss_by_cross_validation(vectors: Vectors, held: Mask, several: bool, strength: float) -> float:
    """Nats for each row, said by regressions that did not see it.

    Each category is spread over all folds; beyond that the rows' own order is what mixes them.
    """
    losses = np.zeros(len(held))
    fold_of = _folds(held)
    for fold in np.unique(fold_of):
        inside, outside = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        said = shares(fitted(vectors[inside], held[inside], several, strength), vectors[outside])
        right = np.where(held[outside], said, 1 - said if several else 1.0)
        losses[outside] = -np.log(np.maximum(right, _SMALLEST)).sum(axis=1)
    return float(losses.mean())


def best_strength(vectors: Vectors, held: Mask, several: bool) -> float:
    """Of ``STRENGTHS`` the one with the lowest loss by cross-validation."""
    return min(STRENGTHS, key=lambda strength: loss_by_cross_validation(vectors, held, several, strength))


def _folds(held: Mask) -> NDArray[np.int64]:
    groups = np.unique(held, axis=0, return_inverse=True)[1].reshape(-1)
    fold_of = np.empty(len(held), dtype=np.int64)
    fold_of[np.argsort(groups, kind="stable")] = np.arange(len(held)) % FOLDS
    return fold_of


def _estimator(vectors: Vectors, target: NDArray[Any], strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    if len(np.unique(target)) < 2 or not vectors.shape[1]:
        return None
    with threadpool_limits(1), warnings.catch_warnings():  # sums in another order would have other bits
        warnings.simplefilter("ignore", ConvergenceWarning)  # to stop early is to regularise a little more
        return LogisticRegression(C=strength).fit(vectors, target.astype(np.int64))
