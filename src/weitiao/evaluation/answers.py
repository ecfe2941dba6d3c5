"""A model's answers to the items of a test set: what every metric is computed from.

Separate because metrics, verdict and report share it, and it knows none of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weitiao.example import Kind

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """A model's answers to the same items, in order.

    Raises ``ValueError`` when the fields differ in length or a probability is no probability.
    """

    kind: Kind
    gold: tuple[str, ...]  # category names, or reference replies
    predicted: tuple[str, ...]  # category names, or generated replies ("" when not generated)
    probabilities: NDArray[np.floating[Any]] | None  # [items, categories] classify, in the order of the task
    loss_sum: NDArray[np.floating[Any]]  # [items] nats over the reply's or answer's tokens
    loss_count: NDArray[np.integer[Any]]  # [items] tokens
    byte_count: NDArray[np.integer[Any]]  # [items] UTF-8 bytes of the scored text
    generated: Mask  # [items] whether ``predicted`` was generated
    hit_count: NDArray[np.integer[Any]] | None = None  # [items] hidden tokens guessed right; None: nothing was hidden

    def __post_init__(self) -> None:
        fields = [self.predicted, self.loss_sum, self.loss_count, self.byte_count, self.generated]
        fields += [] if self.hit_count is None else [self.hit_count]
        if any(len(field) != len(self.gold) for field in fields):
            raise ValueError(f"{len(self.gold)} gold answers, but fields of lengths {[len(field) for field in fields]}")
        if self.probabilities is not None:
            _check_probabilities(self.probabilities, len(self.gold))

    def __len__(self) -> int:
        return len(self.gold)


def select(answers: Answers, items: Indices | Mask) -> Answers:
    """The answers to ``items``, in that order."""
    chosen = np.flatnonzero(items) if items.dtype == np.bool_ else items
    return Answers(
        answers.kind,
        tuple(answers.gold[item] for item in chosen),
        tuple(answers.predicted[item] for item in chosen),
        None if answers.probabilities is None else answers.probabilities[chosen],
        answers.loss_sum[chosen],
        answers.loss_count[chosen],
        answers.byte_count[chosen],
        answers.generated[chosen],
        None if answers.hit_count is None else answers.hit_count[chosen],
    )


def canonical_order(models: Sequence[Answers], clusters: Sequence[str] | None = None) -> Indices:
    """An order of the items that depends on their content alone, so that a shuffled file gives the same draws.

    Items that are alike in everything may stand in either order: exchanging them changes nothing.
    """
    columns: list[Sequence[object]] = [] if clusters is None else [list(clusters)]
    for answers in models:
        columns += [answers.gold, answers.predicted, answers.generated.tolist()]
        columns += [np.nan_to_num(one).tolist() for one in (answers.loss_sum, answers.loss_count, answers.byte_count)]
        if answers.hit_count is not None:
            columns.append(answers.hit_count.tolist())
        if answers.probabilities is not None:
            columns.append(np.nan_to_num(answers.probabilities).tolist())
    keys: list[Any] = list(zip(*columns, strict=True))
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def folded(text: str) -> str:
    """``text`` with compatibility forms and white space folded: what counts as the same reply."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def check_same_items(before: Answers, after: Answers) -> None:
    """Raise ``ValueError`` unless both answer the same items in the same order."""
    if before.kind != after.kind or before.gold != after.gold:
        raise ValueError("before and after must answer the same items in the same order")


def _check_probabilities(probabilities: NDArray[np.floating[Any]], items: int) -> None:
    if probabilities.ndim != 2 or len(probabilities) != items:
        raise ValueError(f"probabilities of shape {probabilities.shape} for {items} items")
    known = probabilities[np.isfinite(probabilities).all(axis=1)]
    if known.size and (known.min() < -1e-6 or np.abs(known.sum(axis=1) - 1).max() > 1e-2):
        raise ValueError("probabilities must be at least 0 and sum to 1 over the categories")
