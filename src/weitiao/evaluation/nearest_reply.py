"""The reply without a model: the one that was given to the most similar question of the training split.

Separate because nothing is learned, only looked up. It knows no probability, so there is no loss to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weitiao.codec.prompt import answer
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.ngrams import NGrams, Sparse, folded, joined, learned, vectors
from weitiao.evaluation.shots import VIEWS, most_similar
from weitiao.example import Example, content_key


@dataclass(frozen=True, slots=True)
class KnownReplies:
    """The replies to known questions, and the vectors of those, [questions, n-grams]."""

    ngrams: tuple[NGrams, ...]
    questions: Sparse
    replies: tuple[str, ...]


def known_replies(train: Sequence[Example]) -> KnownReplies:
    """What ``train`` asks, by TF-IDF of words and characters, and replies."""
    rows = sorted(train, key=lambda example: (content_key(example), example.id))
    texts = folded(rows)
    ngrams, parts = zip(*(learned(texts, view) for view in VIEWS), strict=True)
    return KnownReplies(ngrams, joined(parts), tuple(answer(example) or "" for example in rows))


def replies_of(known: KnownReplies, items: Sequence[Example]) -> Answers:
    """To each item the reply whose question has the largest cosine with it."""
    nearest = most_similar(known.questions, vectors(known.ngrams, folded(items)), 1)
    none = np.zeros(len(items), dtype=np.int64)
    return Answers(
        kind="reply",
        gold=tuple(answer(example) or "" for example in items),
        predicted=tuple(known.replies[place] for (place,) in nearest),
        probabilities=None,
        loss_sum=np.zeros(len(items)),
        loss_count=none,
        byte_count=none,
        generated=np.ones(len(items), dtype=np.bool_),
    )
