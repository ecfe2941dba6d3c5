"""Texts that are almost the same: MinHash over character 5-grams, banded, then compared exactly (Broder, 1997).

Separate because this is pure computation on strings. Characters, not words, so that Chinese needs no segmentation. A
band agrees by chance only, so each candidate pair is compared in full: what is found is true, and what is missed is
rare (0.2 % at 0.8).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WIDTH = 5  # characters in a shingle
THRESHOLD = 0.8  # of the shingles of two texts, the share that both have
_BANDS, _BAND_ROWS = 20, 6
_HASHES = _BANDS * _BAND_ROWS
_NEIGHBOURS = 9
_BLOCK_CHARACTERS = 1 << 16  # a block's arrays stay in the processor's cache
_PAIRS_AT_ONCE = 1 << 14
_REMEMBERED = 1 << 12
_SLACK = 0.15  # four standard deviations of a similarity estimated from 120 hashes

UInt64 = npt.NDArray[np.uint64]
UInt32 = npt.NDArray[np.uint32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """``row`` is almost ``other``; both are indices, ``alike`` is the share of their shingles that both have."""

    row: int
    other: int
    alike: float


def near_pairs(texts: Sequence[str], splits: Sequence[int], threshold: float = THRESHOLD) -> list[Pair]:
    """Pairs that share at least ``threshold`` of their shingles: enough to join every group, and every leak.

    Across splits ``row`` is the one of the higher split, which appears once so; within a split ``row`` is the later
    one. Pairs that follow from others are left out: of a thousand equal texts there are 999 pairs. Expects normalised
    texts; those under five characters count as one shingle.
    """
    if len(texts) < 2:
        return []
    signatures = _signatures(texts)
    shingles: dict[int, UInt64] = {}
    parent = list(range(len(texts)))
    leaked: set[int] = set()
    pairs: list[Pair] = []
    for first, second in _likely(signatures, _candidates(signatures), threshold - _SLACK):
        row, other = (second, first) if splits[second] >= splits[first] else (first, second)
        crosses = splits[row] != splits[other]
        one, two = _root(parent, first), _root(parent, second)
        if row in leaked if crosses else one == two:
            continue
        alike = _jaccard(*(_remembered(shingles, texts, index) for index in (first, second)))
        if alike >= threshold:
            pairs.append(Pair(row, other, alike))
            parent[max(one, two)] = min(one, two)
            if crosses:
                leaked.add(row)
    return pairs


def _remembered(shingles: dict[int, UInt64], texts: Sequence[str], index: int) -> UInt64:
    if index not in shingles:
        if len(shingles) >= _REMEMBERED:
            shingles.clear()
        shingles[index] = _shingles(texts[index])
    return shingles[index]


def _signatures(texts: Sequence[str]) -> UInt32:  # [texts, hashes]
    signatures = np.empty((len(texts), _HASHES), np.uint32)
    generator = np.random.Generator(np.random.PCG64(5))
    factors = generator.integers(1 << 32, size=_HASHES, dtype=np.uint32) | np.uint32(1)
    offsets = generator.integers(1 << 32, size=_HASHES, dtype=np.uint32)
    for start, stop in _blocks(texts):
        hashes, starts = _hashed(texts[start:stop])
        short = (hashes >> np.uint64(32)).astype(np.uint32)
        for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            signatures[start:stop, column] = np.minimum.reduceat(short * factor + offset, starts)
    return signatures


def _candidates(signatures: UInt32) -> Int64:
    """Pairs that agree in a whole band, as first * texts + second, ascending; of a crowd, those near in order."""
    count = len(signatures)
    found: list[Int64] = []
    for band in range(_BANDS):
        keys = np.zeros(count, np.uint64)
        for column in range(band * _BAND_ROWS, (band + 1) * _BAND_ROWS):
            keys = _scrambled(keys ^ signatures[:, column])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        for distance in range(1, min(_NEIGHBOURS, count - 1) + 1):
            same = np.flatnonzero(keys[distance:] == keys[:-distance])
            found.append(order[same] * count + order[same + distance])
        firsts = np.searchsorted(keys, keys)
        far = np.flatnonzero(np.arange(count) - firsts > _NEIGHBOURS)
        found.append(order[firsts[far]] * count + order[far])
    return np.unique(np.concatenate(found))


def _likely(signatures: UInt32, pairs: Int64, least: float) -> Iterator[tuple[int, int]]:
    """Those pairs whose signatures agree at ``least`` so often."""
    count = len(signatures)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        firsts, seconds = np.divmod(pairs[start : start + _PAIRS_AT_ONCE], count)
        agreeing = (signatures[firsts] == signatures[seconds]).mean(axis=1) >= least
        yield from zip(firsts[agreeing].tolist(), seconds[agreeing].tolist(), strict=True)


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    start = size = 0
    for index, text in enumerate(texts):
        size += len(text)
        if size >= _BLOCK_CHARACTERS:
            yield start, index + 1
            start, size = index + 1, 0
    if start < len(texts):
        yield start, len(texts)


def _hashed(texts: Sequence[str]) -> tuple[UInt64, Int64]:
    """A hash of each shingle of each text, one text after the other, and where each text's begin."""
    padded = [text.ljust(WIDTH, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.cumsum([len(text) for text in padded])
    hashes = np.zeros(len(codes) - WIDTH + 1, np.uint64)
    for offset in range(WIDTH):
        hashes = _scrambled(hashes ^ codes[offset : offset + len(hashes)])
    inside = np.ones(len(codes), bool)
    for offset in range(1, WIDTH):
        inside[ends - offset] = False
    starts = np.concatenate(([0], ends[:-1])) - (WIDTH - 1) * np.arange(len(texts))
    return hashes[inside[: len(hashes)]], starts


def _scrambled(keys: UInt64) -> UInt64:
    keys = keys * np.uint64(0x9E3779B97F4A7C15)
    return keys ^ (keys >> np.uint64(32))


def _shingles(text: str) -> UInt64:
    return np.unique(_hashed([text])[0])


def _jaccard(first: UInt64, second: UInt64) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index
