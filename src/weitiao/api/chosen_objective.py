"""How plain texts are learned from: decided once, from the model, the kind of the data and the settings.

Separate because checking, planning, training and answering must decide alike, and before any row is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from weitiao.codec import Codec
from weitiao.errors import SettingsError
from weitiao.example import Kind
from weitiao.models.source import ModelSource
from weitiao.models.use import is_encoder, model_config
from weitiao.objectives.objective import Objective, ObjectiveName, Options, make_objective
from weitiao.settings import TOKEN_KINDS, Settings
from weitiao.words import t

_ASKED_FOR_BY = {  # the objectives that a setting is for
    "hidden_share": ("masked", "infill"),
    "whole_words": ("masked",),
    "blanks": ("infill",),
    "join_documents": ("causal", "prefix"),
}


@dataclass(frozen=True, slots=True)
class ChosenObjective:
    """The objective, and why; the reason is empty where the user chose."""

    name: ObjectiveName
    reason: str = ""


def decide_objective(settings: Settings, source: ModelSource, kind: Kind) -> ChosenObjective:
    """The objective that ``settings`` ask for, or the one that suits. Raises SettingsError."""
    encoder = is_encoder(model_config(source))
    if kind != "continue":
        return _of_another_kind(settings, kind)
    if settings.objective == "auto":
        chosen = (
            ChosenObjective("masked", t("the model reads in both directions, and writes no words"))
            if encoder
            else ChosenObjective("causal", t("the model writes from left to right"))
        )
    else:
        chosen = ChosenObjective(settings.objective)
    if encoder != (chosen.name == "masked"):
        raise SettingsError(
            t("objective {name} does not fit {model}", name=chosen.name, model=source.name),
            t("masked is for encoders, which see every token from both sides; the others are for models that write"),
        )
    if chosen.name != "causal" and settings.method in TOKEN_KINDS:
        raise SettingsError(
            t(
                "method {method} puts virtual tokens before a text, which only objective causal reads",
                method=settings.method,
            ),
            t("use another method, such as lora or full"),
        )
    _check_used(settings, chosen.name)
    return chosen


def objective_of(name: ObjectiveName, settings: Settings, codec: Codec) -> Objective:
    """The objective called ``name`` with what ``settings`` say of it. Raises ModelError for lacking control tokens."""
    return make_objective(name, codec, Options(settings.hidden_share, settings.whole_words, settings.blanks))


def _of_another_kind(settings: Settings, kind: Kind) -> ChosenObjective:
    if settings.objective not in ("auto", "causal"):
        raise SettingsError(
            t("objective is {name}, and the kind of these data is {kind}", name=settings.objective, kind=kind),
            t("leave objective out, or read the data as plain texts: --kind continue"),
        )
    return ChosenObjective("causal")


def _check_used(settings: Settings, name: ObjectiveName) -> None:
    for setting, objectives in _ASKED_FOR_BY.items():
        changed = getattr(settings, setting) != type(settings).model_fields[setting].default
        if changed and name not in objectives:
            raise SettingsError(
                t("{setting} does nothing with objective {name}", setting=setting, name=name),
                t("leave {setting} out; it is for {names}", setting=setting, names=", ".join(objectives)),
            )
