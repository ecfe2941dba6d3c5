"""BERT's masks: how many, of what kind, whole words, new ones each epoch and the same ones again."""

from __future__ import annotations

import numpy as np
import pytest

from weitiao.objectives.masked import Masked, hidden_tokens
from weitiao.objectives.row import IGNORE, NEVER_HIDDEN, Row

MASK = 4
ORDINARY = np.arange(5, 400, dtype=np.int32)


def text(count: int, units: np.ndarray | None = None) -> Row:
    tokens = np.concatenate([[2], np.arange(100, 100 + count), [3]]).astype(np.int32)
    inside = np.arange(count) if units is None else units
    every = np.concatenate([[NEVER_HIDDEN], inside, [NEVER_HIDDEN]]).astype(np.int32)
    return Row("a", tokens, np.full(len(tokens), IGNORE, dtype=np.int32), units=every)


def drawn(row: Row, seed: int = 0, share: float = 0.15) -> Row:
    return Masked(MASK, ORDINARY, share).draw(row, np.random.default_rng(seed))


def test_fifteen_percent_of_the_tokens_are_asked_where_they_stood() -> None:
    row = text(200)
    found = drawn(row)
    asked = found.targets != IGNORE
    assert asked.sum() == 30
    assert (found.targets[asked] == row.tokens[asked]).all()
    assert (found.tokens[~asked] == row.tokens[~asked]).all()
    assert found.prefix == len(row.tokens)  # every position sees every other


def test_of_the_hidden_eighty_percent_are_masks_ten_another_token_and_ten_stay() -> None:
    row = text(100)
    kinds = np.zeros(3)
    for seed in range(400):
        found = drawn(row, seed)
        asked = found.targets != IGNORE
        now, was = found.tokens[asked], row.tokens[asked]
        kinds += [(now == MASK).sum(), ((now != MASK) & (now != was)).sum(), (now == was).sum()]
        assert np.isin(now[(now != MASK) & (now != was)], ORDINARY).all()
    assert kinds / kinds.sum() == pytest.approx([0.8, 0.1, 0.1], abs=0.015)  # three standard errors of 6,000 draws


def test_what_begins_and_ends_a_text_is_never_hidden() -> None:
    row = text(3)
    for seed in range(50):
        found = drawn(row, seed, share=0.9)
        assert found.targets[0] == found.targets[-1] == IGNORE
        assert (found.tokens[[0, -1]] == row.tokens[[0, -1]]).all()


def test_one_token_at_least_is_asked() -> None:
    assert drawn(text(1)).asked == 1


def test_a_word_is_hidden_as_a_whole() -> None:
    units = np.repeat(np.arange(40), 3)
    row = text(120, units)
    assert row.units is not None
    hidden = hidden_tokens(row.units, 0.15, np.random.default_rng(0))
    assert hidden.sum() == 18
    assert {int(hidden[row.units == unit].sum()) for unit in range(40)} == {0, 3}


def test_a_word_longer_than_the_share_is_still_hidden() -> None:
    assert hidden_tokens(np.zeros(9, dtype=np.int32), 0.15, np.random.default_rng(0)).all()


def test_the_same_generator_gives_the_same_masks_and_another_gives_others() -> None:
    row = text(100)
    assert (drawn(row, 1).tokens == drawn(row, 1).tokens).all()
    assert (drawn(row, 1).tokens != drawn(row, 2).tokens).any()
