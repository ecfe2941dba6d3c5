"""Answers of models that do not exist: how often they are right is known, because it was drawn so."""

from collections.abc import Sequence

import numpy as np

from weitiao.evaluation.answers import Answers

SPAM = ("ham", "spam")


def named(
    gold: Sequence[str], predicted: Sequence[str], probabilities: Sequence[Sequence[float]] | None = None
) -> Answers:
    """Categories, right and given."""
    count = len(gold)
    return Answers(
        "classify",
        tuple(gold),
        tuple(predicted),
        None if probabilities is None else np.array(probabilities, dtype=np.float64).reshape(count, -1),
        np.zeros(count),
        np.ones(count, dtype=np.int64),
        np.ones(count, dtype=np.int64),
        np.zeros(count, dtype=np.bool_),
    )


def drawn(count: int, categories: Sequence[str] = SPAM, separation: float = 2.0, seed: int = 0) -> Answers:
    """The same gold categories for the same count; a model that separates them more or less well."""
    gold = np.random.default_rng(1).integers(0, len(categories), count)
    logits = np.random.default_rng(seed).normal(size=(count, len(categories)))
    logits[np.arange(count), gold] += separation
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = probabilities.argmax(axis=1)
    return named([categories[one] for one in gold], [categories[one] for one in given], probabilities.tolist())


def written(
    gold: Sequence[str],
    predicted: Sequence[str],
    losses: Sequence[float] | None = None,
    generated: Sequence[bool] | None = None,
) -> Answers:
    """Replies, the reference's and the model's; a token a character."""
    tokens = np.array([len(text) for text in gold], dtype=np.int64)
    return Answers(
        "reply",
        tuple(gold),
        tuple(predicted),
        None,
        np.array(losses, dtype=np.float64) if losses is not None else 2.0 * tokens + np.arange(len(gold)),
        tokens,
        np.array([len(text.encode()) for text in gold], dtype=np.int64),
        np.array(generated if generated is not None else [True] * len(gold), dtype=np.bool_),
    )
