"""Texts as sparse vectors: TF-IDF of the words and of the character n-grams that they hold (Salton and Buckley, 1988).

Characters, because Chinese needs no segmentation then, and because misspelt and inflected words share most of theirs
(Cavnar and Trenkle, 1994). Texts are folded as duplicates are. Separate because the small model, the nearest reply and
the choice of examples for a prompt all ask what a text has in common with another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from weitiao.example import Example, normalized_text

View = Literal["words", "characters"]
Sparse = Any  # scipy.sparse.csr_matrix, [texts, n-grams]

MOST_NGRAMS = 400_000  # the most frequent are kept
TWICE = 2  # texts that must hold an n-gram: in cross-validation better than 1 on every sample, and a third of the time


@dataclass(frozen=True, slots=True)
class NGrams:
    """Which n-grams of one view count, and how much each, as learned from texts."""

    vectorizer: Any  # of scikit-learn; None where no n-gram is left
    count: int


def learned(texts: Sequence[str], view: View, most: int = MOST_NGRAMS, least: int = 1) -> tuple[NGrams, Sparse]:
    """The n-grams that at least ``least`` of ``texts`` hold, at most ``most``, and the vectors of ``texts``."""
    vectorizer = _vectorizer(view, most, least)
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError:  # scikit-learn's word for an empty vocabulary
        return NGrams(None, 0), _nothing(len(texts))
    return NGrams(vectorizer, matrix.shape[1]), matrix


def vectors(ngrams: Sequence[NGrams], texts: Sequence[str]) -> Sparse:
    """[texts, n-grams]; each view's part has length 1, or 0 where the text holds nothing that is known."""
    found = [_nothing(len(texts)) if one.vectorizer is None else one.vectorizer.transform(texts) for one in ngrams]
    return joined(found)


def joined(views: Sequence[Sparse]) -> Sparse:
    """The vectors of several views side by side."""
    from scipy.sparse import hstack

    return hstack(views).tocsr()


def folded(examples: Sequence[Example]) -> list[str]:
    """The texts as they are compared, without case and forms of white space."""
    return [normalized_text(example) for example in examples]


def _vectorizer(view: View, most: int, least: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    shared = {"lowercase": False, "sublinear_tf": True, "min_df": least, "max_features": most}
    if view == "words":
        return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", dtype=np.float64, **shared)
    return TfidfVectorizer(analyzer="char", ngram_range=(1, 5), dtype=np.float64, **shared)


def _nothing(rows: int) -> Sparse:
    from scipy.sparse import csr_matrix

    return csr_matrix((rows, 0), dtype=np.float64)
