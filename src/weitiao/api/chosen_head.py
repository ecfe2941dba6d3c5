"""Which head answers: words of the vocabulary, or categories. Decided once, from model, task and settings.

Separate because checking, planning, training and answering must decide alike, and before any row is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weitiao.errors import SettingsError
from weitiao.example import Task
from weitiao.models.source import ModelSource
from weitiao.models.use import Head, Use, is_encoder, model_config, needs_words, own_use, place_of
from weitiao.objectives.bio import label_names
from weitiao.objectives.category import MOST_SEVERAL
from weitiao.objectives.form import Answered
from weitiao.settings import Settings
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class ChosenHead:
    """The head, and why; the reason is empty where the user chose."""

    head: Head
    reason: str = ""

    @property
    def setting(self) -> Literal["words", "category"]:
        """The value of the setting ``head`` that chooses it: what marks pieces is a head of its own too."""
        return "words" if self.head in ("words", "blanks") else "category"


def decide_head(settings: Settings, source: ModelSource, task: Task) -> ChosenHead:
    """The head that ``settings.head`` asks for, or the one that suits. Raises SettingsError and ModelError."""
    if task.kind == "continue" and settings.head != "category" and is_encoder(model_config(source)):
        return ChosenHead("blanks")
    chosen = _chosen(settings, source, task)
    if chosen.head == "words":
        needs_words(source)
        if task.several:
            raise SettingsError(
                t("head is words, and texts here have several categories at once"), t("use head: category")
            )
    elif task.kind not in ("classify", "mark"):
        raise SettingsError(
            t("head is category, and the kind of these data is {kind}", kind=task.kind),
            t("leave head out: only texts that are classified or marked have categories"),
        )
    elif settings.question:
        raise SettingsError(
            t("question is “{question}”, and a head of the model's own is asked none", question=settings.question[:80]),
            t("leave question out, or write head: words"),
        )
    elif task.several and len(task.categories) > MOST_SEVERAL:
        raise SettingsError(
            t(
                "there are {count} categories, of which a text may have several: at most {limit} can be told apart",
                count=len(task.categories),
                limit=MOST_SEVERAL,
            ),
            t("join or leave out the rarest"),
        )
    return chosen


def answered(head: Head, source: ModelSource) -> Answered:
    """Where a model with that head is asked."""
    return "words" if head in ("words", "blanks") else place_of(model_config(source))


def use_for(head: Head, task: Task) -> Use:
    """What the model is loaded for."""
    if head == "tokens":
        return Use(head, tuple(label_names(task.categories)))
    return Use(head, task.categories, task.several) if head == "category" else Use(head)


def _chosen(settings: Settings, source: ModelSource, task: Task) -> ChosenHead:
    if task.kind == "mark" and settings.head != "words":
        why = t("it labels each piece of the text, with a confidence; words lets a causal model list what it finds")
        return ChosenHead("tokens", why if settings.head == "auto" else "")
    if settings.head != "auto":
        return ChosenHead(settings.head)
    if task.kind != "classify":
        return ChosenHead("words", t("the answer is text"))
    own = own_use(source)
    if own is not None and own.head == "category":
        return ChosenHead("category", t("the model has one already"))
    if task.several:
        return ChosenHead("category", t("a text may have several categories at once"))
    if is_encoder(model_config(source)):
        return ChosenHead("category", t("the model reads in both directions, and writes no words"))
    return ChosenHead("words", t("the model writes, and says the category's name; category gives it a head of its own"))
