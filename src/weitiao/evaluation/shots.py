"""Which solved examples stand before an item in a prompt: a balanced draw for all items, or each item's nearest ones.

Separate because the choice must never leak: examples come from the training split alone, and none of them says almost
what an item says. All choices rest on hashes of the examples, so the order of the file changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from weitiao.data.near import near_pairs
from weitiao.evaluation.ngrams import TWICE, Sparse, View, folded, joined, learned, vectors
from weitiao.example import Example, Spans, Task, content_key, names_of

VIEWS: tuple[View, ...] = ("words", "characters")
MOST_EXAMPLES = 20_000  # among which the nearest are looked for: those with the lowest hashes
_ITEMS_AT_ONCE = 256


def apart(train: Sequence[Example], items: Sequence[Example]) -> list[Example]:
    """The examples of ``train`` whose text is not almost that of any of ``items``."""
    splits = [0] * len(items) + [1] * len(train)
    pairs = near_pairs([*folded(items), *folded(train)], splits)
    leaking = {pair.row - len(items) for pair in pairs if splits[pair.row] != splits[pair.other]}
    return [example for number, example in enumerate(train) if number not in leaking]


def balanced(train: Sequence[Example], task: Task, count: int, seed: int) -> tuple[Example, ...]:
    """``count`` examples in turn of each category, or of each kind of mark, or of those that have none.

    A larger ``count`` holds all of a smaller one with the same ``seed``. Pass only examples that stand :func:`apart`
    from the items. Fewer come back when there are fewer.
    """
    left: dict[str, list[Example]] = {name: [] for name in ("", *task.categories)}
    for example in sorted(train, key=lambda one: _drawn(one.id, seed), reverse=True):
        for name in _groups(example):
            left[name].append(example)
    turn = sorted(left, key=lambda name: _drawn(name, seed))
    chosen: dict[str, Example] = {}
    while len(chosen) < count and any(left.values()):
        for name in turn:
            free = _next(left[name], chosen) if len(chosen) < count else None
            if free is not None:
                chosen[free.id] = free
    return tuple(sorted(chosen.values(), key=lambda one: _drawn(f"place {one.id}", seed)))


def nearest(train: Sequence[Example], items: Sequence[Example], count: int) -> Mapping[str, tuple[Example, ...]]:
    """By the id of each item the ``count`` examples most like it, the most similar last: next to the question.

    Similar by the cosine of TF-IDF over words and characters. What says almost what any item says is left out first.
    """
    known = sorted(apart(train, items), key=lambda one: (content_key(one), one.id))[:MOST_EXAMPLES]
    if not known or not items:
        return {item.id: () for item in items}
    texts = folded(known)
    ngrams, parts = zip(*(learned(texts, view, least=TWICE) for view in VIEWS), strict=True)
    order = most_similar(joined(parts), vectors(ngrams, folded(items)), count)
    return {item.id: tuple(known[place] for place in row[::-1]) for item, row in zip(items, order, strict=True)}


def most_similar(known: Sparse, asked: Sparse, count: int) -> list[list[int]]:
    """Of each row of ``asked`` where the ``count`` most similar rows of ``known`` stand, the first of equals first."""
    rows: list[list[int]] = []
    turned = known.T.tocsc()
    for start in range(0, asked.shape[0], _ITEMS_AT_ONCE):
        alike = (asked[start : start + _ITEMS_AT_ONCE] @ turned).toarray()
        rows += np.argsort(-alike, axis=1, kind="stable")[:, :count].tolist()
    return rows


def _next(left: list[Example], chosen: Mapping[str, Example]) -> Example | None:
    """Take from the end of ``left`` up to one that is not ``chosen``."""
    while left:
        example = left.pop()
        if example.id not in chosen:
            return example
    return None


def _groups(example: Example) -> tuple[str, ...]:
    if isinstance(example.label, Spans):
        return tuple(sorted({span.name for span in example.label.spans})) or ("",)
    return names_of(example.label) or ("",)


def _drawn(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"shots {seed} {name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
