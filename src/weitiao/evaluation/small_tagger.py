"""The small model of marks: a label for each word, or Chinese character, by logistic regression over its looks.

Its form, its beginning and end, and its neighbours (the features of Ratnaparkhi, 1996); of the labels the likeliest
path that means something is read, as under a head (:mod:`weitiao.objectives.bio`). Separate because its rows are pieces
of texts: those of one text leave together in cross-validation, and what counts is how well spans are found, for nearly
every piece is outside of all, and the loss would choose to find none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers, Mask
from weitiao.evaluation.logistic import FOLDS, Logistic, Vectors, fitted, shares
from weitiao.evaluation.marked import dumped, gold_json, spans_json
from weitiao.evaluation.spans import exact
from weitiao.example import Example, Task, content_key
from weitiao.objectives.mark import Marked, Pieces, gold_labels, gold_spans, marks

STRENGTHS = (1.0, 3.0, 10.0, 30.0)
MOST_PIECES = 100_000  # of training texts
_TRIED_CELLS = 600_000  # in cross-validation, pieces x labels
_HAN = "\u3400-\u9fff\uf900-\ufaff"
_PIECE = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+|[^\w\s]|_+")
_AFFIX = 4  # characters of a beginning or an end
_AROUND = (-2, -1, 0, 1, 2)
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class SmallTagger:
    """What was learned: from how many ``rows``, and how strongly (scikit-learn's C)."""

    vectorizer: Any
    logistic: Logistic
    strength: float
    rows: int


def small_tagger(train: Sequence[Example], task: Task) -> SmallTagger:
    """The tagger that ``train`` teaches; of more than ``MOST_PIECES`` pieces the texts with the lowest hashes.

    Strength by cross-validation, of equal ones the least.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    rows = sorted(train, key=lambda example: (content_key(example), example.id))
    pieces = _first([pieces_of(example.text) for example in rows], MOST_PIECES)
    held = np.concatenate([_held(example, one, task) for example, one in zip(rows, pieces, strict=False)])
    looks = [look for example, one in zip(rows, pieces, strict=False) for look in looks_of(example.text, one)]
    vectorizer = CountVectorizer(analyzer=list, binary=True, min_df=min(2, len(looks)), dtype=np.float64)
    vectors = vectorizer.fit_transform(looks)
    tried = _first(pieces, _TRIED_CELLS // held.shape[1])
    labelled = _Labelled(rows[: len(tried)], tried, vectors, held)
    strength = max(STRENGTHS, key=lambda one: _f1_by_cross_validation(labelled, task, one))
    return SmallTagger(vectorizer, fitted(vectors, held, several=False, strength=strength), strength, len(pieces))


def marks_of(tagger: SmallTagger, items: Sequence[Example], task: Task) -> Answers:
    """The spans that it finds, each with its probability. Its pieces are no model's tokens, so there is no loss."""
    none = np.zeros(len(items), dtype=np.int64)
    return Answers(
        kind="mark",
        gold=tuple(gold_json(gold_spans(example), example.text) for example in items),
        predicted=tuple(_marked(tagger, example.text, task) for example in items),
        probabilities=None,
        loss_sum=np.zeros(len(items)),
        loss_count=none,
        byte_count=none,
        generated=np.ones(len(items), dtype=np.bool_),
    )


def pieces_of(text: str) -> Pieces:
    """The words of ``text``; a Chinese character and a sign are pieces of their own."""
    places = np.array([found.span() for found in _PIECE.finditer(text)], dtype=np.int32).reshape(-1, 2)
    return Pieces(places[:, 0], places[:, 1], np.arange(len(places), dtype=np.int32))


def looks_of(text: str, pieces: Pieces) -> list[list[str]]:
    """What each piece looks like, by itself and among its neighbours."""
    words = [text[start:end] for start, end in zip(pieces.starts, pieces.ends, strict=True)]
    folded = ["", "", *(word.casefold() for word in words), "", ""]
    shapes = ["", *(_shape(word) for word in words), ""]
    return [
        [
            f"is {word}",
            *(f"{place} {folded[number + 2 + place]}" for place in _AROUND),
            *(f"{place}{place + 1} {folded[number + 2 + place]} {folded[number + 3 + place]}" for place in (-1, 0)),
            *(f"{place} like {shapes[number + 1 + place]}" for place in (-1, 0, 1)),
            *(f"begins {word[:width]}" for width in range(1, min(len(word), _AFFIX) + 1)),
            *(f"ends {word[-width:]}" for width in range(1, min(len(word), _AFFIX) + 1)),
        ]
        for number, word in enumerate(words)
    ]


@dataclass(frozen=True, slots=True)
class _Labelled:
    examples: Sequence[Example]
    pieces: Sequence[Pieces]
    vectors: Vectors  # [pieces of all texts, looks]
    held: Mask  # [pieces of all texts, labels]


def _f1_by_cross_validation(labelled: _Labelled, task: Task, strength: float) -> float:
    """Of all spans together, found by regressions that did not see the text."""
    counts = [len(one.starts) for one in labelled.pieces]
    fold_of = np.repeat(np.arange(len(counts)) % FOLDS, counts)
    ends = np.cumsum(counts)
    found = right = given = 0
    for fold in range(min(FOLDS, len(counts))):
        inside = np.flatnonzero(fold_of != fold)
        logistic = fitted(labelled.vectors[inside], labelled.held[inside], several=False, strength=strength)
        for text in range(fold, len(counts), FOLDS):
            vectors = labelled.vectors[ends[text] - counts[text] : ends[text]]
            spans = [one.span for one in _found(logistic, vectors, labelled.pieces[text], task)]
            gold = gold_spans(labelled.examples[text])
            found, right, given = found + exact(gold, spans), right + len(gold), given + len(spans)
    return 2 * found / max(right + given, 1)


def _marked(tagger: SmallTagger, text: str, task: Task) -> str:
    pieces = pieces_of(text)
    vectors = tagger.vectorizer.transform(looks_of(text, pieces))
    return dumped(spans_json(_found(tagger.logistic, vectors, pieces, task), text))


def _found(logistic: Logistic, vectors: Vectors, pieces: Pieces, task: Task) -> tuple[Marked, ...]:
    if not len(pieces.starts):
        return ()
    return marks(pieces, np.log(np.maximum(shares(logistic, vectors), _SMALLEST)), task)


def _held(example: Example, pieces: Pieces, task: Task) -> Mask:
    labels = gold_labels(pieces, example, task)
    held: Mask = labels[:, None] == np.arange(1 + 2 * len(task.categories))
    return held


def _first(texts: Sequence[Pieces], pieces: int) -> Sequence[Pieces]:
    """As many of the first as have so many pieces, and one at least."""
    counts = accumulate(len(one.starts) for one in texts)
    return texts[: max(1, sum(count <= pieces for count in counts))]


def _shape(word: str) -> str:
    """``Xx`` of ``Paris``, ``dX`` of ``4G``: upper and lower case, digits and signs, each run once."""
    kinds = ("X" if one.isupper() else "x" if one.islower() else "d" if one.isdigit() else one for one in word)
    return re.sub(r"(.)\1+", r"\1", "".join(kinds), flags=re.DOTALL)
