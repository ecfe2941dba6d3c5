"""The prefix LM's border."""

from __future__ import annotations

import numpy as np

from weitiao.objectives.prefix import Prefix
from weitiao.objectives.row import IGNORE, Row


def test_what_follows_the_border_is_predicted_and_nothing_before_it() -> None:
    whole = Row("a", np.arange(9, dtype=np.int32), np.arange(1, 10, dtype=np.int32))
    borders = set()
    for seed in range(100):
        row = Prefix().draw(whole, np.random.default_rng(seed))
        borders.add(row.prefix)
        assert row.targets.tolist() == [*[IGNORE] * (row.prefix - 1), *range(row.prefix, 10)]
        assert (row.tokens == whole.tokens).all()
    assert borders == set(range(1, 10))
