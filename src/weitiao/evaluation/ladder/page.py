"""The page of a comparison: a pure function of its ``report.json``, in either language.

Separate because nothing here measures anything; what holds the sections together is in ``evaluation/frame.py``.
"""

import contextvars
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weitiao.evaluation import figures, measures, sections, titles
from weitiao.evaluation.effects import side_effects
from weitiao.evaluation.frame import Section, embedded, whole_page
from weitiao.evaluation.ladder import views
from weitiao.evaluation.ladder.names import arm_title, hue, in_order
from weitiao.evaluation.ladder.report_json import complete_comparison
from weitiao.evaluation.ladder.rungs import detectable_sentence, ladder, left_out
from weitiao.evaluation.ladder.scatter import scatter
from weitiao.evaluation.ladder.slices import quality, slices
from weitiao.words import Language, set_language, t

_OWN = Path(__file__).parent / "page"


def comparison_html(report: Mapping[str, Any], language: Language) -> str:
    """The page of ``report`` (the content of a comparison's ``report.json``), whole and self-contained."""
    return contextvars.copy_context().run(_page, report, language)


def command(report: Mapping[str, Any]) -> str:
    """The command that gives this comparison again."""
    if report["command"]:
        return str(report["command"])
    model, data = (shlex.quote(part or name) for part, name in _sources(report))
    return f"weitiao compare --model {model} --data {data}"


def _page(report: Mapping[str, Any], language: Language) -> str:
    set_language(language)
    report = complete_comparison(report)
    values = {
        "report": report,
        **_compared(report),
        **_about(report),
        **_items(report),
        **figures.data(report),
        **figures.repetition(report),
        "command": command(report),
    }
    return whole_page(_OWN, language, report["comparison"], _contents(report, values), values)


def _sources(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(report["model"]["name"], "MODEL"), (report["data"]["path"], "DATA")]


def _compared(report: Mapping[str, Any]) -> dict[str, Any]:
    measure = measures.measure(report["headline"])
    return {
        "headline": measure,
        "ladder": ladder(report),
        "detectable": detectable_sentence(report),
        "left_out": left_out(report),
        "limits": views.limits(report),
        "scatter": scatter(report, measure),
        "curve": views.curve(report),
        "cuts": slices(report),
        "side_effects": side_effects(report),
        "calibration": views.calibration(report),
        "asked": views.asked(report),
        "threshold": views.threshold(report),
    }


def _about(report: Mapping[str, Any]) -> dict[str, Any]:
    kind = titles.kind_title(report["task"]["kind"])
    count = report["items_count"]
    facts = [
        t("{count} test items", count=f"{count:,}") if isinstance(count, int) else "",
        t("{count} ways of doing it", count=len(report["arms"])) if report["arms"] else "",
        report["model"]["name"],
    ]
    return {
        "task": kind,
        "method": "",
        "weights": sections.weights(report["model"]),
        "mask": [],
        "facts": [fact for fact in facts if fact],
        "costs": figures.costs({"tokens": None, "tokens_per_second": None, **report["cost"]}),
    }


def _items(report: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of the test, whose answers to put side by side first, and what the script writes around them."""
    answered = {name for item in report["items"] for name in item["answers"]}
    names = [arm["name"] for arm in in_order(report["arms"]) if arm["name"] in answered]
    return {
        "choices": [(name, arm_title(name)) for name in names],
        "first": _first_pair(report, names),
        "items_json": embedded(report["items"]),
        "words_json": embedded(_words(report, names)),
    }


def _first_pair(report: Mapping[str, Any], names: list[str]) -> tuple[str, str]:
    """The reference and the best prompt, or what is nearest to them."""
    one = report["reference"] if report["reference"] in names else (names or [""])[-1]
    others = [arm for arm in report["arms"] if arm["name"] in names and arm["name"] != one]
    prompts = [arm for arm in others if arm["family"] == "prompt"] or others
    measure = measures.measure(report["headline"])
    best = max(prompts, key=lambda arm: quality(arm, measure), default={"name": one})
    return one, best["name"]


def _words(report: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    judged = any(item["right"] for item in report["items"])
    families = {arm["name"]: arm["family"] for arm in report["arms"]}
    return {
        "arms": {name: arm_title(name) for name in names},
        "hues": {name: hue(families[name]) for name in names},
        "judged": judged,
        "outcomes": _outcomes(judged),
        "answers": report["task"]["kind"] in ("classify", "mark"),
        "gold": t("right answer") if report["task"]["kind"] in ("classify", "mark") else t("reference"),
        "text": t("text"),
        "percent": t("{number} %", number="{number}"),
        "confidence": t("{share} sure", share="{share}"),
        "status": t("{shown} of {matching} matching rows are shown", shown="{shown}", matching="{matching}"),
        "none": t("No row matches."),
        "empty": t("(empty)"),
        "right": t("answered right"),
        "wrong": t("answered wrong"),
        "others": t("The other arms"),
    }


def _outcomes(judged: bool) -> dict[str, str]:
    """What can come of a row when two arms have answered, in the order in which the rows are listed."""
    if not judged:
        return {"different": t("answers differ"), "same": t("same answer")}
    return {
        "one": t("only {arm} right", arm="{one}"),
        "other": t("only {arm} right", arm="{other}"),
        "neither": t("both wrong"),
        "both": t("both right"),
    }


def _contents(report: Mapping[str, Any], values: Mapping[str, Any]) -> list[Section]:
    """The sections that have something to show, in order, with their titles."""
    data = report["data"]
    all_sections = (
        ("verdict", t("The result"), True),
        ("ladder", t("The ladder"), report["arms"]),
        ("price", t("Cost against quality"), values["scatter"]),
        ("curve", t("What more labels bring"), values["curve"]),
        ("slices", t("Where it is good, and where not"), values["cuts"]),
        ("items", t("Row by row"), report["items"] and values["choices"]),
        ("effects", t("What tuning did elsewhere"), values["side_effects"] or report["side_effects"]["note"]),
        ("calibration", t("Can its confidence be believed?"), values["calibration"]),
        ("prompts", t("How each was asked"), values["asked"]),
        ("threshold", t("When mistakes cost differently"), values["threshold"]),
        ("task", t("What was asked"), report["task"]["kind"]),
        ("data", t("The data"), data["ledger"] or data["path"] or values["balance"]),
        ("settings", t("Settings"), True),
    )
    return [Section(name, title) for name, title, present in all_sections if present]
