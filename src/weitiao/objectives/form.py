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
from weitiao.objectives import category, causal, mark
from weitiao.objectives.bio import label_names
from weitiao.objectives.causal import Encoded, Learn
from weitiao.objectives.row import IGNORE

Answered = Literal["words", "first", "last"]


@dataclass(frozen=True)
class Form:
    """``answered``: in words behind the text, or by a head at the first or last token of the text, or of each piece."""

    codec: Codec
    cutoff_len: int  # the most tokens of a row
    learn: Learn = "replies"
    answered: Answered = "words"


def rows_of(examples: Sequence[Example], task: Task, form: Form) -> list[Encoded | Dropped]:
    """Each example as a row of at most ``form.cutoff_len`` tokens, or why there is none."""
    if task.kind == "mark" and form.answered != "words":
        return mark.encode(examples, task, form.codec, form.cutoff_len, form.answered == "first")
    if form.answered == "words":
        return causal.encode(examples, task, form.codec, form.cutoff_len, form.learn)
    return category.encode(examples, task, form.codec, form.cutoff_len, form.answered == "first")


def token_labels(encoded: Encoded, task: Task, form: Form) -> tuple[str, ...]:
    """The label that each token of a marked text learns, "" where none; empty where what is learned is no label."""
    if task.kind != "mark" or form.answered == "words":
        return ()
    names = label_names(task.categories)
    return tuple("" if target == IGNORE else names[target] for target in encoded.row.targets.tolist())
