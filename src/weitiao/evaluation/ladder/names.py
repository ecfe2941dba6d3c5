"""The arms of a comparison in words: what each is called, what it does, to which family it belongs.

Separate because the ladder, the plots, the rows and the Markdown must call an arm the same.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.words import t

FAMILIES = ("baseline", "small", "prompt", "endpoint", "parent", "tuned")
METHODS = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "loraplus": "LoRA+",
    "pissa": "PiSSA",
    "olora": "OLoRA",
    "adalora": "AdaLoRA",
    "ia3": "IA³",
    "bitfit": "BitFit",
}


def arm_title(name: str) -> str:
    """A short title for the arm called ``name``; an unknown one is shown under its own name."""
    plain = {
        "majority": t("Commonest answer"),
        "small": t("Small model"),
        "embedding": t("Sentence vectors"),
        "zero-shot": t("Zero-shot"),
        "parent": t("Parent model"),
        "endpoint": t("Endpoint"),
    }
    if name in plain:
        return plain[name]
    few = re.fullmatch(r"(few-shot|nearest)-(\d{1,4})", name)
    if few and few[1] == "few-shot":
        return t("{count} examples", count=few[2])
    if few:
        return t("{count} nearest examples", count=few[2])
    if name.startswith("tuned-"):
        method = name.removeprefix("tuned-")
        return t("Tuned ({method})", method=METHODS.get(method, method))
    return name


def arm_meaning(arm: Mapping[str, Any], kind: str) -> str:
    """What the arm does, in a few words; "" for one of an unknown family."""
    if arm["family"] == "prompt":
        return _prompt_meaning(arm["name"])
    if arm["family"] == "small" and arm["name"] == "embedding":
        return t("vectors of a frozen encoder under a small classifier")
    if arm["family"] == "small" and kind == "reply":
        return t("gives the reply of the most similar training question")
    meanings = {
        "baseline": t("says what is most frequent in the training rows"),
        "small": t("counts words and characters; no language model"),
        "tuned": t("the model learned from the training rows"),
        "parent": t("the model that this one was tuned from, as it was"),
        "endpoint": t("a model elsewhere, asked over the network"),
    }
    return meanings.get(arm["family"], "")


def family_title(family: str) -> str:
    """A family of arms in words."""
    titles = {
        "baseline": t("Knowing only the commonest answer"),
        "small": t("Small models"),
        "prompt": t("Prompting, nothing learns"),
        "endpoint": t("Models elsewhere"),
        "parent": t("The model before"),
        "tuned": t("Tuning"),
    }
    return titles.get(family, family or t("Others"))


def by_family(arms: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The arms of each family in their order; families in the order of :data:`FAMILIES`, unknown ones last."""
    found: dict[str, list[dict[str, Any]]] = {family: [] for family in FAMILIES}
    for arm in arms:
        found.setdefault(arm["family"], []).append(arm)
    return {family: members for family, members in found.items() if members}


def in_order(arms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The arms in the order of the ladder."""
    return [arm for members in by_family(arms).values() for arm in members]


def hue(family: str) -> str:
    """The style class of a family's colour."""
    return f"hue-{family if family in FAMILIES else 'other'}"


def role_title(role: str) -> str:
    """Who speaks in a prompt."""
    return {"system": t("system"), "user": t("user"), "assistant": t("assistant")}.get(role, role)


def draws_text(of: str, count: int, low: str, high: str) -> str:
    """How far an arm's score went from draw to draw."""
    values = {"count": count, "low": low, "high": high}
    if of == "questions":
        return t("{count} wordings of the prompt: {low} to {high}", **values)
    if of == "seeds":
        return t("{count} seeds: {low} to {high}", **values)
    return t("{count} draws of examples: {low} to {high}", **values)


def _prompt_meaning(name: str) -> str:
    if name == "zero-shot":
        return t("the question alone, without an example")
    if name.startswith("nearest-"):
        return t("the training rows most like the text stand before it")
    return t("solved training rows stand before the text")
