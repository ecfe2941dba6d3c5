"""The small model: what a laptop learns from the training rows in seconds, and what tuning must beat to be worth it.

Of categories and of marks a logistic regression, of replies the one that was given to the most similar question.
Separate because it knows of no language model: it is made of training examples alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from weitiao.evaluation.answers import Answers
from weitiao.evaluation.nearest_reply import KnownReplies, known_replies, replies_of
from weitiao.evaluation.small_categories import SmallCategories, categories_of, small_categories
from weitiao.evaluation.small_tagger import SmallTagger, marks_of, small_tagger
from weitiao.example import Example, Task

SmallModel = SmallCategories | SmallTagger | KnownReplies


def small_model(train: Sequence[Example], task: Task) -> SmallModel:
    """The model that ``train`` teaches, whatever the order of the rows; there is none of plain texts (``continue``)."""
    match task.kind:
        case "classify":
            return small_categories(train, task)
        case "mark":
            return small_tagger(train, task)
        case "reply":
            return known_replies(train)
        case _:
            raise ValueError(f"no small model of kind {task.kind}")


def answers(model: SmallModel, items: Sequence[Example], task: Task) -> Answers:
    """Its answers to ``items``, whose labels it is not shown."""
    match model:
        case SmallCategories():
            return categories_of(model, items, task)
        case SmallTagger():
            return marks_of(model, items, task)
        case KnownReplies():
            return replies_of(model, items)
