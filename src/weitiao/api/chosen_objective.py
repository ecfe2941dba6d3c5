"""How plain texts are learned from: decided once, from the model, the kind of the data and the settings.

Separate because checking, planning, training and answering must decide alike, and before any row is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from weitiao.errors import SettingsError
from weitiao.example import Kind
from weitiao.models.source import ModelSource
from weitiao.models.use import is_encoder, model_config
from weitiao.objectives.objective import ObjectiveName
from weitiao.settings import TOKEN_KINDS, Settings
from weitiao.words import t

_HIDES: dict[ObjectiveName, tuple[str, ...]] = {
    "masked": ("tokens", "words"),
    "infill": ("spans", "sentences", "document", "mixed"),
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


def _of_another_kind(settings: Settings, kind: Kind) -> ChosenObjective:
    if settings.objective not in ("auto", "causal"):
        raise SettingsError(
            t("objective is {name}, and the kind of these data is {kind}", name=settings.objective, kind=kind),
            t("leave objective out, or read the data as plain texts: --kind continue"),
        )
    return ChosenObjective("causal")


def _check_used(settings: Settings, name: ObjectiveName) -> None:
    allowed = _HIDES.get(name, ())
    if settings.hide is not None and settings.hide not in allowed:
        raise SettingsError(
            t("hide is {value}, which objective {name} does not do", value=settings.hide, name=name),
            t("leave hide out, or write one of: {names}", names=", ".join(allowed))
            if allowed
            else t("leave hide out: this objective hides nothing but what follows"),
        )
    if settings.join_documents and name in _HIDES:
        raise SettingsError(
            t("join_documents is for objectives causal and prefix, not for {name}", name=name),
            t("leave join_documents out"),
        )
