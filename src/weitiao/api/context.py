"""What of a conversation still fits into a model's context: the oldest whole turns fall out first, and it is said.

Separate because ``chat`` and ``predict`` must shorten alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.example import Message
from weitiao.objectives.causal import without_oldest_turn


@dataclass(frozen=True, slots=True)
class Fitted:
    """The turns that are left, and their prompt, which may still be too long when only one question is left."""

    messages: tuple[Message, ...]
    prompt: NDArray[np.int32]  # [T]
    left_out: int  # turns, questions and answers alike


def fit(messages: Sequence[Message], codec: Codec, limit: int) -> Fitted:
    """Leave out the oldest questions with their answers until the prompt has at most ``limit`` tokens."""
    kept = tuple(messages)
    prompt = codec.encode_prompts([kept])[0]
    while len(prompt) > limit and (fewer := without_oldest_turn(kept)) is not None:
        kept = fewer
        prompt = codec.encode_prompts([kept])[0]
    return Fitted(kept, prompt, len(messages) - len(kept))
