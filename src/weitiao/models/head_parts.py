"""How many logits exist at a time: a vocabulary is wide, so the head answers for a part of the positions at a time.

Separate because both engines and the estimate of memory must agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator

LOGITS = 16_000_000  # of one part: 32 MB in bfloat16


def head_parts(asked: int, vocabulary: int) -> Iterator[slice]:
    """``asked`` positions, cut so that a part has few logits."""
    size = max(1, LOGITS // vocabulary)
    for start in range(0, asked, size):
        yield slice(start, min(start + size, asked))
