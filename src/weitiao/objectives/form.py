"""The form in which a model is asked: the one place that leads from examples to the rows of any objective.

Separate because training, checking, scoring and predicting must make the same rows of the same examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weitiao.codec import Codec
from weitiao.data.ledger import Dropped
from weitiao.example import Example, Task
from weitiao.objectives import category, causal
from weitiao.objectives.causal import Encoded, Learn

Answered = Literal["words", "first", "last"]


@dataclass(frozen=True)
class Form:
    """``answered``: in words behind the text, or by a category head at the text's first or last token."""

    codec: Codec
    cutoff_len: int  # the most tokens of a row
    learn: Learn = "replies"
    answered: Answered = "words"


def rows_of(examples: Sequence[Example], task: Task, form: Form) -> list[Encoded | Dropped]:
    """Each example as a row of at most ``form.cutoff_len`` tokens, or why there is none."""
    if form.answered == "words":
        return causal.encode(examples, task, form.codec, form.cutoff_len, form.learn)
    return category.encode(examples, task, form.codec, form.cutoff_len, form.answered == "first")
