"""Which rows make a step, and how they are laid out: by length or packed, never seeing each other.

A step is ``batch_size`` rows, drawn at random: sorting by length happens only inside a step, because length goes with
the class, and batches of one class teach badly. How a step is cut into micro-batches changes nothing but speed: sums
are added and divided once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weitiao.objectives.row import IGNORE, Row
from weitiao.training.chance import generator

PASS_PRICE = 64  # tokens that a forward pass costs beyond its own: reading the weights, and Python; docs/log.md


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows laid out for one forward pass. Padding stands right and is asked nothing."""

    tokens: NDArray[np.int64]  # [rows, length]
    positions: NDArray[np.int64]  # [rows, length]; they restart where a packed row begins
    targets: NDArray[np.int64]  # [rows, length]; IGNORE where nothing is asked
    prefixes: NDArray[np.int64] | None = None  # [rows] tokens that are seen from everywhere; None where no row has any
    within: NDArray[np.int64] | None = None  # [rows, length] the position inside a blank; None where all are 0

    @property
    def asked(self) -> int:
        """How many positions are asked for a prediction."""
        return int((self.targets != IGNORE).sum())


def steps_per_epoch(rows: int, rows_per_step: int) -> int:
    """How many steps an epoch has; the last one may be smaller."""
    return -(-rows // rows_per_step)


def steps_of_epoch(rows: int, rows_per_step: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """The row numbers of each step of ``epoch``: every row once, in an order of its own each epoch."""
    order = generator(seed, "order", epoch).permutation(rows)
    for start in range(0, rows, rows_per_step):
        yield order[start : start + rows_per_step]


def micro_batches(lengths: Sequence[int], capacity: int, price: int = PASS_PRICE) -> list[list[int]]:
    """Cut the rows of a step into micro-batches of similar length, at most ``capacity`` tokens each with padding.

    Of all cuts of the rows sorted by length the cheapest: padded tokens, and a fixed ``price`` for each. A row longer
    than ``capacity`` stands alone. Returns positions in ``lengths``, longest rows first.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    cheapest = [0.0] + [float("inf")] * len(order)  # of the first n rows
    begins = [0] * (len(order) + 1)  # where the last micro-batch of the first n rows begins
    for end in range(1, len(order) + 1):
        for begin in range(end - 1, -1, -1):
            tokens = lengths[order[begin]] * (end - begin)
            if tokens > capacity and end - begin > 1:
                break
            cost = cheapest[begin] + tokens + price
            if cost < cheapest[end]:
                cheapest[end], begins[end] = cost, begin
    cuts, end = [], len(order)
    while end:
        cuts.append(order[begins[end] : end])
        end = begins[end]
    return cuts[::-1]


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Fill packs of ``capacity`` tokens, first fit with the longest rows first. A longer row stands alone."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    packs: list[list[int]] = []
    room: list[int] = []
    for index in order:
        fitting = next((number for number, left in enumerate(room) if left >= lengths[index]), None)
        if fitting is None:
            packs.append([index])
            room.append(capacity - lengths[index])
        else:
            packs[fitting].append(index)
            room[fitting] -= lengths[index]
    return packs


def padded(rows: Sequence[Row], both_ways: bool = False) -> Batch:
    """Rows below each other, padded right to the longest. Padding repeats token 0 and is asked nothing.

    ``both_ways``: for a model whose positions see those behind them too.
    """
    length = max(len(row.tokens) for row in rows)
    tokens = np.zeros((len(rows), length), dtype=np.int64)
    targets = np.full((len(rows), length), IGNORE, dtype=np.int64)
    positions = np.broadcast_to(np.arange(length), tokens.shape).copy()
    within = np.zeros((len(rows), length), dtype=np.int64) if any(row.positions is not None for row in rows) else None
    for number, row in enumerate(rows):
        tokens[number, : len(row.tokens)] = row.tokens
        targets[number, : len(row.targets)] = row.targets
        if within is not None and row.positions is not None:
            positions[number, : len(row.tokens)], within[number, : len(row.tokens)] = row.positions.T
    prefixes = np.array([len(row.tokens) if both_ways else row.prefix for row in rows])
    return Batch(tokens, positions, targets, prefixes if prefixes.any() else None, within)


def packed(rows: Sequence[Row]) -> Batch:
    """Rows behind each other in one; positions restart, which is how transformers keeps them from seeing each other.

    They have no prefixes and no second positions.
    """
    assert not any(row.prefix or row.positions is not None for row in rows), "what has a prefix is not packed"
    tokens = np.concatenate([row.tokens for row in rows]).astype(np.int64)
    targets = np.concatenate([row.targets for row in rows]).astype(np.int64)
    positions = np.concatenate([np.arange(len(row.tokens)) for row in rows])
    return Batch(tokens[None], positions[None], targets[None])


def after(batch: Batch, prefix: int) -> Batch:
    """``batch`` with its positions counted from behind a prefix."""
    return replace(batch, positions=batch.positions + prefix)


def batches_of_step(rows: Sequence[Row], capacity: int, packing: bool, both_ways: bool = False) -> list[Batch]:
    """The micro-batches of one step. Rows of a model that attends ``both_ways`` are never packed."""
    lengths = [len(row.tokens) for row in rows]
    if packing and not both_ways:
        return [packed([rows[index] for index in group]) for group in pack(lengths, capacity)]
    return [padded([rows[index] for index in group], both_ways) for group in micro_batches(lengths, capacity)]
