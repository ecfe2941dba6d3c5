"""Randomness as a function of (seed, purpose, epoch, index): nothing to save, nothing seeded globally."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(seed: int, purpose: str, *indices: int) -> int:
    """A 63-bit seed of its own for each purpose and place."""
    text = ":".join([str(seed), purpose, *map(str, indices)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A numpy generator of its own for each purpose and place."""
    return np.random.default_rng(seed_for(seed, purpose, *indices))
