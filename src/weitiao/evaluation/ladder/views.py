"""What stands beside the ladder: learning curve, side effects, calibration, prompts, thresholds, limits.

Separate from ``rungs.py`` because each of these may be absent, and the page then has no such section.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation import measures, sections
from weitiao.evaluation import plots as run_plots
from weitiao.evaluation.ladder import plots
from weitiao.evaluation.ladder.costs import pace
from weitiao.evaluation.ladder.names import arm_title, hue, in_order, role_title
from weitiao.evaluation.measures import Measure, Shown
from weitiao.evaluation.report_json import number
from weitiao.words import t

FEW_ITEMS = 50


@dataclass(frozen=True, slots=True)
class Curve:
    """The learning curve, what was read off it, its key (style class, title) and its numbers by arm."""

    measure: Measure
    plot: Markup
    sentences: list[tuple[str, str]]
    key: list[tuple[str, str]]
    tables: list[tuple[str, list[tuple[str, Shown, str]]]]


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far an arm's confidence can be believed, and its calibration error."""

    title: str
    hue: str
    plot: Markup
    error: Shown | None


@dataclass(frozen=True, slots=True)
class Asked:
    """How an arm was asked: its settings, and the turns of its first prompt with who speaks."""

    title: str
    name: str
    settings: list[tuple[str, str]]
    turns: list[tuple[str, str, str]]
    run: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Decisions by what mistakes cost: the mean cost of an item by the likeliest and by the cheapest answer.

    ``mistakes`` are right answer, given answer and cost, ``weights`` those of the answers' probabilities.
    """

    title: str
    mistakes: list[tuple[str, str, str]]
    weights: list[tuple[str, str]]
    plain: Shown | None
    cost: Shown | None
    difference: Shown | None
    effect: measures.Effect


def curve(report: Mapping[str, Any]) -> Curve | None:
    """The learning curve; None where no arm was measured at several label counts."""
    given = report["curve"]
    measure = measures.measure(given["metric"] or report["headline"])
    series: list[plots.Series] = []
    tables = []
    families = {arm["name"]: arm["family"] for arm in report["arms"]}
    for name, points in given["arms"].items():
        known = [(one, shown) for one in points if (shown := measures.score_text(measure, one["score"]))]
        if not known:
            continue
        kept = [(float(one["labels"]), one["score"]) for one, _ in known]
        fit = given["fits"].get(name, {}).get("curve", [])
        series.append(plots.Series(arm_title(name), _own_hue(families[name], series), kept, fit))
        rows = [(f"{one['labels']:,.0f}", shown, _seconds(one["seconds"])) for one, shown in known]
        tables.append((arm_title(name), rows))
    if not series:
        return None
    sentences = [(arm_title(name), one["sentence"]) for name, one in given["fits"].items() if one["sentence"]]
    key = [(one.hue, one.title) for one in series]
    return Curve(measure, plots.learning_curve(measure, series), sentences, key, tables)


def calibration(report: Mapping[str, Any]) -> list[Reliability]:
    """Each arm that gave probabilities."""
    made = []
    for arm in in_order(report["arms"]):
        bins = arm["details"].get("calibration")
        drawn = run_plots.calibration_bins(bins) if isinstance(bins, list) else []
        if drawn:
            title = arm_title(arm["name"])
            plot = run_plots.reliability([], drawn, (title, title), 150)
            error = measures.score_text(measures.measure("ece"), arm["scores"].get("ece"))
            made.append(Reliability(title, hue(arm["family"]), plot, error))
    return made


def asked(report: Mapping[str, Any]) -> list[Asked]:
    """Each arm with how it was asked, of those that have settings or a prompt."""
    return [
        Asked(
            title=arm_title(arm["name"]),
            name=arm["name"],
            settings=[(name, _written(value)) for name, value in arm["settings"].items()],
            turns=[(one["role"], role_title(one["role"]), one["content"]) for one in arm["prompt"]],
            run=arm["run"],
        )
        for arm in in_order(report["arms"])
        if arm["settings"] or arm["prompt"] or arm["run"]
    ]


def threshold(report: Mapping[str, Any]) -> Threshold | None:
    """What weighing the answers by the cost of mistakes brought; None where it was not asked for."""
    given, measure = report["threshold"], Measure("cost", t("mean cost of an item"), "", "amount", False)
    cost, names = measures.score_text(measure, given["cost"]), given["categories"]
    if not cost:
        return None
    mistakes = [
        (right, wrong, f"{given['costs'][row][column]:g}")
        for row, right in enumerate(names)
        for column, wrong in enumerate(names)
        if row != column
    ]
    return Threshold(
        title=arm_title(given["arm"]),
        mistakes=mistakes,
        weights=[(name, f"{weight:.3g}") for name, weight in zip(names, given["weights"], strict=True)],
        plain=measures.score_text(measure, given["plain"]),
        cost=cost,
        difference=measures.difference_text(measure, given["difference"]),
        effect=measures.effect(measure, given["difference"]),
    )


def limits(report: Mapping[str, Any]) -> list[str]:
    """What the ladder does not say, in sentences."""
    said = sections.limits_of_any_test()
    families = {arm["family"] for arm in report["arms"]}
    if families & {"prompt", "endpoint"}:
        said.append(t("Prompts could be worded otherwise; only the wordings shown below were tried."))
    if scores := [arm for arm in report["arms"] if arm["cost"]["seconds_per_item"]]:
        said.append(t("Times were taken on one machine, one item after the other or in small groups."))
    count = report["items_count"]
    if isinstance(count, int) and count < FEW_ITEMS and scores:
        said.append(t("{count} test items are few: what is not shown here may still be so.", count=count))
    return said


def _own_hue(family: str, series: Sequence[plots.Series]) -> str:
    taken = sum(one.hue.startswith(hue(family)) for one in series)
    return f"{hue(family)} more-{min(taken, 3)}" if taken else hue(family)


def _seconds(value: Any) -> str:
    known = number(value)
    return pace(known) if known else "–"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
