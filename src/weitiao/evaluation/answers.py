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

from weitiao.example import Kind, Task

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
HALF = 0.5  # the probability from which on one of several categories is given


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
    held: Mask | None = None  # [items, categories] which it has, where an item may have several

    def __post_init__(self) -> None:
        fields = [self.predicted, self.loss_sum, self.loss_count, self.byte_count, self.generated]
        fields += [] if self.hit_count is None else [self.hit_count]
        if any(len(field) != len(self.gold) for field in fields):
            raise ValueError(f"{len(self.gold)} gold answers, but fields of lengths {[len(field) for field in fields]}")
        if self.probabilities is not None:
            _check_probabilities(self.probabilities, len(self.gold), of_one=self.held is None)

    def __len__(self) -> int:
        return len(self.gold)


def category_answers(gold: Sequence[Sequence[str]], task: Task, shares: NDArray[np.float64]) -> Answers:
    """Answers of kind classify: ``gold`` names each item's categories, ``shares`` [items, categories] how likely.

    Without ``task.several`` the likeliest category is given, with it each that is at least as likely as not.
    """
    held = np.array([[name in names for name in task.categories] for names in gold], dtype=np.bool_)
    held = held.reshape(len(gold), len(task.categories))
    most = np.arange(len(task.categories)) == shares.argmax(axis=1)[:, None]
    right = np.where(held, shares, 1 - shares if task.several else 1.0)
    return Answers(
        kind="classify",
        gold=tuple(_joined(names, task.categories) for names in held),
        predicted=tuple(_joined(names, task.categories) for names in (shares >= HALF if task.several else most)),
        probabilities=shares,
        loss_sum=-np.log(np.maximum(right, 1e-300)).sum(axis=1),
        loss_count=np.ones(len(gold), dtype=np.int64),
        byte_count=np.array([len("".join(names).encode()) for names in gold], dtype=np.int64),
        generated=np.zeros(len(gold), dtype=np.bool_),
        held=held if task.several else None,
    )


def _joined(held: Mask, categories: Sequence[str]) -> str:
    return ", ".join(name for name, holds in zip(categories, held, strict=True) if holds)


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
        None if answers.held is None else answers.held[chosen],
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


def confidences(answers: Answers) -> NDArray[np.floating[Any]] | None:
    """How sure the model is of each answer: of the category given, or of the least sure of several decisions."""
    if answers.probabilities is None:
        return None
    if answers.held is None:
        sure: NDArray[np.floating[Any]] = answers.probabilities.max(axis=1)
        return sure
    least: NDArray[np.floating[Any]] = np.maximum(answers.probabilities, 1 - answers.probabilities).min(axis=1)
    return least


def _check_probabilities(probabilities: NDArray[np.floating[Any]], items: int, of_one: bool) -> None:
    if probabilities.ndim != 2 or len(probabilities) != items:
        raise ValueError(f"probabilities of shape {probabilities.shape} for {items} items")
    known = probabilities[np.isfinite(probabilities).all(axis=1)]
    if known.size and not of_one and (known.min() < -1e-6 or known.max() > 1 + 1e-6):
        raise ValueError("probabilities must be between 0 and 1")
    if known.size and of_one and (known.min() < -1e-6 or np.abs(known.sum(axis=1) - 1).max() > 1e-2):
        raise ValueError("probabilities must be at least 0 and sum to 1 over the categories")
