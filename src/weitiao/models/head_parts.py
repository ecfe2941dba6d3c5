"""How many logits exist at a time: a vocabulary is wide, so the head answers for a part of the positions at a time.

Separate because both engines and the estimate of memory must agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator

LOGITS = 16_000_000  # of one part: 32 MB in bfloat16
EVEN = 8  # oneDNN's products of an odd number of rows are up to a quarter slower; docs/log.md


def head_parts(asked: int, vocabulary: int) -> Iterator[slice]:
    """``asked`` positions, cut into parts of about one size, so that a part has few logits."""
    most = max(1, LOGITS // vocabulary)
    if most > EVEN:
        most -= most % EVEN
    size = min(most, evened(-(-asked // -(-asked // most)))) if asked else 1
    for start in range(0, asked, size):
        yield slice(start, min(start + size, asked))


def evened(rows: int) -> int:
    """``rows`` or a few more, of which products are quick."""
    return -(-rows // EVEN) * EVEN
