"""The form in which a model is asked: the one place that leads from examples to the rows of any objective.

Separate because training, checking, scoring and predicting must make the same rows of the same examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weitiao.codec import Codec, Encoding
from weitiao.data.ledger import Dropped
from weitiao.example import Example, Task, content_key
from weitiao.objectives import category, causal, mark
from weitiao.objectives.bio import label_names
from weitiao.objectives.causal import Causal, Encoded, Learn
from weitiao.objectives.masked import Masked
from weitiao.objectives.objective import Objective
from weitiao.objectives.row import IGNORE, Row, parts

CAUSAL = Causal()
Answered = Literal["words", "first", "last"]


@dataclass(frozen=True)
class Form:
    """``answered``: in words behind the text, or by a head at the first or last token of the text, or of each piece.
    ``objective`` is that of plain texts.
    """

    codec: Codec
    cutoff_len: int  # the most tokens of a row
    learn: Learn = "replies"
    answered: Answered = "words"
    objective: Objective = CAUSAL


def rows_of(examples: Sequence[Example], task: Task, form: Form) -> list[Encoded | Dropped]:
    """Each example as a row of at most ``form.cutoff_len`` tokens, or why there is none."""
    if task.kind == "continue":
        return form.objective.encode(examples, form.codec)
    if task.kind == "mark" and form.answered != "words":
        return mark.encode(examples, task, form.codec, form.cutoff_len, form.answered == "first")
    if form.answered == "words":
        return causal.encode(examples, task, form.codec, form.cutoff_len, form.learn)
    return category.encode(examples, task, form.codec, form.cutoff_len, form.answered == "first")


def scored_row(example: Example, row: Row, form: Form) -> Row:
    """The row of ``example`` as it is scored. What is hidden of it follows from the text alone: before and after
    tuning, and in every run, it is the same. Of a text that is too long then the beginning is scored.
    """
    if isinstance(form.objective, Causal):
        return row
    beginning = parts(row, form.objective.most(form.cutoff_len))[0]
    return form.objective.draw(beginning, np.random.default_rng(content_key(example)))


def shown(example: Example, encoded: Encoded, form: Form) -> Encoding:
    """The tokens of ``example`` for a person to see, and which of them are learned; of what is drawn, one drawing."""
    if isinstance(form.objective, Causal):
        return encoded.encoding
    row = scored_row(example, encoded.row, form)
    learned = row.targets != IGNORE
    if not isinstance(form.objective, Masked):  # learned is what follows, where it stands in the row
        learned = np.append(False, learned[:-1] & (row.tokens[1:] == row.targets[:-1]))
    return Encoding(row.tokens, learned, complete=True)


def token_labels(encoded: Encoded, task: Task, form: Form) -> tuple[str, ...]:
    """The label that each token of a marked text learns, "" where none; empty where what is learned is no label."""
    if task.kind != "mark" or form.answered == "words":
        return ()
    names = label_names(task.categories)
    return tuple("" if target == IGNORE else names[target] for target in encoded.row.targets.tolist())
