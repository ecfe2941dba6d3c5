"""Which head answers: words of the vocabulary, or categories. Decided once, from model, task and settings.

Separate because checking, planning, training and answering must decide alike, and before any row is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weitiao.errors import SettingsError
from weitiao.example import Task
from weitiao.models.source import ModelSource
from weitiao.models.use import WORDS, Head, Use, is_encoder, model_config, needs_words, own_use, place_of
from weitiao.objectives.bio import label_names
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
        return "words" if self.head == "words" else "category"


def decide_head(settings: Settings, source: ModelSource, task: Task) -> ChosenHead:
    """The head that ``settings.head`` asks for, or the one that suits. Raises SettingsError and ModelError."""
    chosen = _chosen(settings, source, task)
    if chosen.head == "words":
        needs_words(source)
    elif task.kind not in ("classify", "mark"):
        raise SettingsError(
            t("head is category, and the kind of these data is {kind}", kind=task.kind),
            t("leave head out: only texts that are classified or marked have categories"),
        )
    return chosen


def answered(head: Head, source: ModelSource) -> Answered:
    """Where a model with that head is asked."""
    return "words" if head == "words" else place_of(model_config(source))


def use_for(head: Head, task: Task) -> Use:
    """What the model is loaded for."""
    if head == "tokens":
        return Use(head, tuple(label_names(task.categories)))
    return WORDS if head == "words" else Use(head, task.categories)


def _chosen(settings: Settings, source: ModelSource, task: Task) -> ChosenHead:
    if task.kind == "mark" and settings.head != "words":
        why = t("it labels each piece of the text, with a confidence; words lets a causal model list what it finds")
        return ChosenHead("tokens", why if settings.head == "auto" else "")
    if settings.head != "auto":
        return ChosenHead(settings.head)
    if task.kind != "classify":
        return ChosenHead("words", t("the answer is text"))
    if own_use(source) not in (None, WORDS):
        return ChosenHead("category", t("the model has one already"))
    if is_encoder(model_config(source)):
        return ChosenHead("category", t("the model reads in both directions, and writes no words"))
    return ChosenHead("words", t("the model writes, and says the category's name; category gives it a head of its own"))
