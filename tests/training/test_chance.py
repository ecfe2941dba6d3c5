import random

import numpy as np
import torch

from weitiao.training.chance import generator, seed_for


def test_each_purpose_and_place_has_a_seed_of_its_own() -> None:
    places = [("order", epoch) for epoch in range(50)]
    places += [("dropout", step, part) for step in range(50) for part in range(8)]
    assert len({seed_for(seed, *place) for seed in range(3) for place in places}) == 3 * len(places)


def test_indices_are_not_run_together() -> None:
    assert seed_for(0, "dropout", 1, 12) != seed_for(0, "dropout", 11, 2)
    assert seed_for(1, "order", 2) != seed_for(12, "order")


def test_a_seed_stays_the_same_in_every_process_and_version() -> None:
    """A run that is resumed by a later version must draw the same; these numbers may never change."""
    assert seed_for(0, "order", 0) == 7955589716765508323
    assert seed_for(7, "dropout", 3, 1) == 6486171862587694833
    assert 0 <= min(seed_for(seed, "x") for seed in range(1000)) < 2**63


def test_a_generator_repeats_itself_and_touches_no_global_state() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    first = generator(3, "order", 1).permutation(100)
    assert np.array_equal(first, generator(3, "order", 1).permutation(100))
    assert not np.array_equal(first, generator(3, "order", 2).permutation(100))
    assert before[0] == random.getstate()
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[index]
    assert torch.equal(before[2], torch.get_rng_state())
