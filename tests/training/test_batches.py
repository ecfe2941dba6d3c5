from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_training import random_rows
from weitiao.objectives.row import IGNORE, Row
from weitiao.training import batches
from weitiao.training.batches import (
    batches_of_step,
    micro_batches,
    pack,
    packed,
    padded,
    steps_of_epoch,
    steps_per_epoch,
)

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40)
CAPACITIES = st.integers(16, 600)


def test_padding_is_never_asked() -> None:
    rows = random_rows(20)
    batch = padded(rows)
    for number, row in enumerate(rows):
        assert (batch.targets[number, len(row.tokens) :] == IGNORE).all()
        assert np.array_equal(batch.targets[number, : len(row.tokens)], row.targets)
        assert np.array_equal(batch.tokens[number, : len(row.tokens)], row.tokens)
    assert batch.asked == sum(row.asked for row in rows)


def test_padding_stands_right_so_that_no_earlier_position_sees_it() -> None:
    rows = random_rows(5)
    batch = padded(rows)
    assert (batch.positions == np.arange(batch.tokens.shape[1])).all()
    assert all((batch.tokens[number, len(row.tokens) :] == 0).all() for number, row in enumerate(rows))


def test_positions_restart_where_a_packed_row_begins() -> None:
    rows = random_rows(4)
    batch = packed(rows)
    assert batch.tokens.shape == (1, sum(len(row.tokens) for row in rows))
    assert batch.positions[0].tolist() == [place for row in rows for place in range(len(row.tokens))]
    assert batch.targets[0].tolist() == [target for row in rows for target in row.targets]


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, capacity=CAPACITIES)
@pytest.mark.parametrize("cut", [micro_batches, pack])
def test_a_cut_holds_every_row_once(
    cut: Callable[[Sequence[int], int], list[list[int]]], lengths: list[int], capacity: int
) -> None:
    assert sorted(index for group in cut(lengths, capacity) for index in group) == list(range(len(lengths)))


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, capacity=CAPACITIES)
def test_a_micro_batch_stays_within_its_capacity(lengths: list[int], capacity: int) -> None:
    for group in micro_batches(lengths, capacity):
        assert len(group) == 1 or max(lengths[index] for index in group) * len(group) <= capacity


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=7), capacity=CAPACITIES)
def test_no_other_cut_into_micro_batches_is_cheaper(lengths: list[int], capacity: int) -> None:
    """Tokens with padding, and the price of a pass, against every cut of the rows sorted by length."""

    def cost(groups: Sequence[Sequence[int]]) -> int:
        return sum(max(group) * len(group) + batches.PASS_PRICE for group in groups)

    rows = sorted(lengths, reverse=True)
    costs = []
    for cuts in product([False, True], repeat=len(rows) - 1):
        ends = [place + 1 for place, cut in enumerate(cuts) if cut]
        groups = [rows[start:end] for start, end in zip([0, *ends], [*ends, len(rows)], strict=True)]
        if all(len(group) == 1 or group[0] * len(group) <= capacity for group in groups):
            costs.append(cost(groups))
    assert cost([[lengths[index] for index in group] for group in micro_batches(lengths, capacity)]) == min(costs)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, capacity=CAPACITIES)
def test_a_pack_stays_within_its_capacity_and_two_never_fit_into_one(lengths: list[int], capacity: int) -> None:
    sums = sorted(sum(lengths[index] for index in group) for group in pack(lengths, capacity))
    groups = pack(lengths, capacity)
    assert all(len(group) == 1 or sum(lengths[index] for index in group) <= capacity for group in groups)
    assert len(sums) < 2 or sums[0] + sums[1] > capacity


def test_rows_of_one_length_go_together_and_need_no_padding() -> None:
    assert micro_batches([7] * 10, 35) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_every_row_comes_once_an_epoch() -> None:
    steps = list(steps_of_epoch(103, 8, seed=0, epoch=0))
    assert sorted(np.concatenate(steps).tolist()) == list(range(103))
    assert [len(step) for step in steps] == [8] * 12 + [7]
    assert len(steps) == steps_per_epoch(103, 8)


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(list(steps_of_epoch(50, 8, seed, epoch))).tolist()  # type: ignore[no-any-return]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize("packing", [False, True])
def test_a_steps_targets_are_all_in_its_batches_however_it_is_cut(packing: bool) -> None:
    rows = random_rows(30)
    for capacity in (16, 64, 4096):
        parts = batches_of_step(rows, capacity, packing)
        asked = sorted(int(target) for batch in parts for target in batch.targets[batch.targets != IGNORE])
        assert asked == sorted(int(target) for row in rows for target in row.targets if target != IGNORE)


def test_a_row_longer_than_the_capacity_stands_alone_and_whole() -> None:
    long = Row("long", np.arange(100, dtype=np.int32), np.arange(100, dtype=np.int32))
    for packing in (False, True):
        parts = batches_of_step([*random_rows(3, longest=10), long], 32, packing)
        assert [batch.tokens.shape for batch in parts if batch.tokens.size >= 100] == [(1, 100)]
