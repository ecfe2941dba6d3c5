"""The arms of a comparison: every way of getting the task done that is asked for, or that model and data allow.

Separate because which arms there are is decided before any of them answers, and what is left out says why.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from weitiao.data.samples import cached
from weitiao.errors import SettingsError
from weitiao.example import Task
from weitiao.models.source import ModelSource
from weitiao.models.use import Use
from weitiao.settings import METHODS, Settings
from weitiao.words import t

Family = Literal["baseline", "small", "prompt", "tuned", "parent", "endpoint"]

ENCODERS = ("minilm-l6",)
"""The samples that the embedding arm looks for."""

_PLAIN: dict[str, Family] = {
    "majority": "baseline",
    "small": "small",
    "embedding": "small",
    "zero-shot": "prompt",
    "parent": "parent",
    "endpoint": "endpoint",
}
_SHOTS = re.compile(r"(few-shot|nearest)-([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Arm:
    """One way. ``name`` says it all: ``few-shot-8`` shows eight solved examples, ``tuned-lora`` learns by LoRA."""

    name: str
    family: Family

    @property
    def shots(self) -> int:
        """How many solved examples its prompt shows."""
        found = _SHOTS.fullmatch(self.name)
        return int(found[2]) if found else 0

    @property
    def method(self) -> str:
        """By which method it is tuned; empty when it is not."""
        return self.name.removeprefix("tuned-") if self.family == "tuned" else ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An arm that does not suit, and why."""

    name: str
    reason: str


def plan_arms(settings: Settings, task: Task, source: ModelSource, use: Use | None) -> tuple[list[Arm], list[LeftOut]]:
    """The arms in the order of the ladder, and those of the usual ones that do not suit.

    ``use`` is what the untuned model's head answers. Raises SettingsError for an arm that does not exist, or that was
    asked for and does not suit.
    """
    asked = settings.arms != "all"
    names = [_full_name(name, settings) for name in (settings.arms if asked else _usual(settings, task, source))]
    arms, left_out = [], []
    for name in dict.fromkeys(names):
        arm = Arm(name, _family(name))
        reason = _unsuited(arm, settings, task, source, use)
        if reason and asked:
            problem = t("the arm {name} cannot be tried: {reason}", name=name, reason=reason)
            raise SettingsError(problem, t("leave it out of arms"))
        if reason:
            left_out.append(LeftOut(name, reason))
        else:
            arms.append(arm)
    return arms, left_out


def check_names(settings: Settings) -> None:
    """Raise SettingsError for an arm that does not exist, before any data are read."""
    for name in settings.arms if settings.arms != "all" else ():
        _family(_full_name(name, settings))


def encoder_at_hand(settings: Settings) -> str:
    """The encoder that the embedding arm takes: the one that was named, or one that lies in the cache; else empty."""
    return settings.encoder or next((name for name in ENCODERS if cached(name)), "")


def _usual(settings: Settings, task: Task, source: ModelSource) -> list[str]:
    shown = {"classify": (2, 8, 32), "mark": (8,)}.get(task.kind, (2, 8))
    names = ["majority", "small"]
    names += ["embedding"] if task.kind == "classify" else []
    names += ["parent" if source.run else "zero-shot", *(f"few-shot-{count}" for count in shown)]
    names += ["nearest-4"] if task.kind == "classify" else []
    return [*names, *(["endpoint"] if settings.endpoint else []), "tuned"]


def _full_name(name: str, settings: Settings) -> str:
    return f"tuned-{settings.method}" if name == "tuned" else name


def _family(name: str) -> Family:
    if name in _PLAIN:
        return _PLAIN[name]
    if _SHOTS.fullmatch(name):
        return "prompt"
    if name.startswith("tuned-") and name.removeprefix("tuned-") in METHODS:
        return "tuned"
    every = [*_PLAIN, "few-shot-8", "nearest-8", "tuned", *(f"tuned-{method}" for method in METHODS)]
    near = difflib.get_close_matches(name, every, n=1)
    hint = t("did you mean {names}?", names=near[0]) if near else t("there are: {names}", names=", ".join(every[:9]))
    raise SettingsError(t("there is no arm {name}", name=name), hint)


def _unsuited(arm: Arm, settings: Settings, task: Task, source: ModelSource, use: Use | None) -> str:
    """Why ``arm`` cannot be tried; empty when it can."""
    writes = use is not None and use.head == "words"
    if arm.family == "prompt" and not writes:
        return t("{model} writes no words, so it cannot be prompted", model=source.name)
    if arm.family in ("prompt", "endpoint") and task.several:
        return t("a text may have several categories, and a prompt is answered with one")
    if arm.name == "majority" and task.kind == "reply":
        return t("there is no commonest reply")
    if arm.name == "embedding" and task.kind != "classify":
        return t("it sorts texts into categories, and does nothing else")
    if arm.name == "embedding" and not encoder_at_hand(settings):
        return t("no encoder is at hand; fetch one with: weitiao samples {name}", name=ENCODERS[-1])
    if arm.name == "endpoint" and not (settings.endpoint and settings.endpoint_model):
        return t("name it with endpoint and endpoint_model")
    if arm.name == "parent" and not source.run:
        return t("{model} is not a run", model=source.name)
    return ""
