"""The ladder: a row for each arm, with its score, its distance to the reference in plain words, and its cost.

Separate because the page and the Markdown lay out the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation import measures
from weitiao.evaluation.ladder import plots
from weitiao.evaluation.ladder.axes import Axis, axis_over
from weitiao.evaluation.ladder.costs import arm_costs
from weitiao.evaluation.ladder.names import arm_meaning, arm_title, by_family, draws_text, family_title, hue
from weitiao.evaluation.measures import Effect, Measure, Shown
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Rung:
    """One arm, ready to be laid out. ``difference`` is this arm minus the reference, ``effect`` what it shows.

    ``useless``: it is not shown to be better than the commonest answer.
    """

    name: str
    title: str
    meaning: str
    reference: bool
    score: Shown | None
    strip: Markup
    spread: str
    unusable: Shown | None
    difference: Shown | None
    note: str
    useless: bool
    effect: Effect
    costs: list[str]


@dataclass(frozen=True, slots=True)
class Family:
    """The arms of one kind."""

    title: str
    hue: str
    rungs: list[Rung]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every arm, the axis on which all stand, and all that was measured besides."""

    measure: Measure
    axis: Markup
    families: list[Family]
    metrics: list[Measure]
    table: list[tuple[str, list[Shown | None]]]


def ladder(report: Mapping[str, Any]) -> Ladder:
    """The rows of ``report``, family by family."""
    measure = measures.measure(report["headline"])
    axis = ladder_axis(report, measure)
    families = [
        Family(family_title(name), hue(name), [rung(report, arm, axis) for arm in arms])
        for name, arms in by_family(report["arms"]).items()
    ]
    return Ladder(measure, plots.scale(axis), families, *_every_measure(report))


def rung(report: Mapping[str, Any], arm: Mapping[str, Any], axis: Axis) -> Rung:
    """The row of one arm."""
    measure, name = axis.measure, arm["name"]
    score = arm["scores"].get(measure.name)
    turned = _turned(report["differences"].get(name))
    values = arm["spread"]["values"]
    ends = [measures.number_text(measure, value) for value in (min(values), max(values))] if len(values) > 1 else []
    return Rung(
        name=name,
        title=arm_title(name),
        meaning=arm_meaning(arm, report["task"]["kind"]),
        reference=name == report["reference"],
        score=measures.score_text(measure, score),
        strip=plots.strip(axis, arm, _value(report, report["reference"], measure)),
        spread=draws_text(arm["spread"]["of"], len(values), *ends) if ends else "",
        unusable=measures.score_text(measures.measure("accuracy"), arm["unusable"]),
        difference=measures.difference_text(measure, turned),
        note=_note(turned),
        useless=name in report["above_baseline"] and _effect(measure, report["above_baseline"][name]) != "better",
        effect=_effect(measure, turned),
        costs=arm_costs(arm["cost"]),
    )


def ladder_axis(report: Mapping[str, Any], measure: Measure) -> Axis:
    """The axis that holds the interval and the draws of every arm."""
    values: list[float] = []
    for arm in report["arms"]:
        score = arm["scores"].get(measure.name)
        if measures.score_text(measure, score):
            values += [score[end] for end in ("low", "value", "high")] + arm["spread"]["values"]
    return axis_over(measure, values)


def detectable_sentence(report: Mapping[str, Any]) -> str:
    """How small a difference these items could have shown; "" when it is not known."""
    size, measure = report["detectable"], measures.measure(report["headline"])
    if not isinstance(size, int | float) or size <= 0:
        return ""
    shown = t("{number} points", number=f"{100 * size:.1f}") if measure.unit == "share" else f"{size:.3g}"
    return t(
        "So many items could have shown a difference of about {size} or more; a smaller one may be there unseen.",
        size=shown,
    )


def left_out(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The arms that were not tried, with the reason."""
    return [(arm_title(one["name"]), one["reason"]) for one in report["left_out"]]


def _every_measure(report: Mapping[str, Any]) -> tuple[list[Measure], list[tuple[str, list[Shown | None]]]]:
    names = measures.in_order({name: score for arm in report["arms"] for name, score in arm["scores"].items()})
    rows = {
        name: [measures.score_text(measures.measure(name), arm["scores"].get(name)) for arm in report["arms"]]
        for name in names
    }
    kept = [name for name in names if any(rows[name])]
    table = [(arm_title(arm["name"]), [rows[name][index] for name in kept]) for index, arm in enumerate(report["arms"])]
    return [measures.measure(name) for name in kept], table


def _turned(difference: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Reference minus arm, as it is kept, turned into arm minus reference, as a row of the arm says it."""
    if not difference or not measures.difference_text(measures.measure(""), difference):
        return None
    return {**difference, "value": -difference["value"], "low": -difference["high"], "high": -difference["low"]}


def _effect(measure: Measure, difference: Mapping[str, Any] | None) -> Effect:
    """What a difference shows once it is corrected for the number of arms."""
    if not difference:
        return ""
    found = measures.effect(measure, _corrected(difference))
    return "unclear" if found and difference.get("shown") is False else found


def _corrected(difference: Mapping[str, Any]) -> dict[str, Any]:
    return {**difference, "p": difference.get("adjusted_p", difference.get("p"))}


def _note(turned: Mapping[str, Any] | None) -> str:
    if not turned:
        return ""
    p, level = measures.p_text(_corrected(turned)), turned.get("level")
    if isinstance(level, int | float) and 0.5 < level < 1 and p:
        return t("{p}, {level} interval", p=p, level=measures.percent(level, 1 if level > 0.951 else 0))
    return p


def _value(report: Mapping[str, Any], name: str, measure: Measure) -> float | None:
    for arm in report["arms"]:
        score = arm["scores"].get(measure.name)
        if arm["name"] == name and measures.score_text(measure, score):
            return float(score["value"])
    return None
