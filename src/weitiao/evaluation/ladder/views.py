"""What stands beside the ladder: learning curve, slices, side effects, calibration, prompts, thresholds, limits.

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
from weitiao.evaluation.ladder.axes import axis_over
from weitiao.evaluation.ladder.costs import pace
from weitiao.evaluation.ladder.names import arm_title, by_family, hue, role_title
from weitiao.evaluation.ladder.report_json import number
from weitiao.evaluation.measures import Measure, Shown
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
class Slice:
    """Some of the test items, and how the arms did on them: title, style class, strip, score."""

    title: str
    extent: str
    count: str
    few: bool
    rows: list[tuple[str, str, Markup, Shown]]


@dataclass(frozen=True, slots=True)
class Slices:
    """One way of cutting the test; ``table`` has every arm, ``arms`` its columns."""

    title: str
    slices: list[Slice]
    scale: Markup
    arms: list[str]
    table: list[tuple[str, list[Shown | None]]]


@dataclass(frozen=True, slots=True)
class SideEffect:
    """What tuning did elsewhere: a measure before and after, and the change in percent of before."""

    title: str
    row: sections.MetricRow
    change: str


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
    """Decisions by what mistakes cost: the costs, the weights, and the mean cost with and without them."""

    title: str
    costs: list[tuple[str, str, str]]
    weights: list[tuple[str, str]]
    plain: Shown | None
    chosen: Shown | None
    difference: Shown | None
    effect: measures.Effect
    changed: str
    sentence: str


def curve(report: Mapping[str, Any]) -> Curve | None:
    """The learning curve; None where no arm was measured at several label counts."""
    given = report["curve"]
    measure = measures.measure(given["metric"] or report["headline"])
    series, tables = [], []
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


def slices(report: Mapping[str, Any]) -> list[Slices]:
    """Every way of cutting the test that has scores: by length, by category."""
    titles = {"length": t("By length of the text"), "category": t("By category")}
    made = []
    for kind in dict.fromkeys(["category", "length", *report["slices"]]):
        rows = [row for row in report["slices"].get(kind, []) if row["scores"]]
        if rows:
            made.append(_slices(report, titles.get(kind, kind), rows, named=kind == "category"))
    return made


def side_effects(report: Mapping[str, Any]) -> list[SideEffect]:
    """General text in each language, then the tasks of the parents."""
    languages = {"en": t("General text in English"), "zh": t("General text in Chinese")}
    loss = measures.measure("loss")
    made = [
        SideEffect(languages.get(name, name), _effect_row(loss, one), _change(one))
        for name, one in report["side_effects"]["general"].items()
    ]
    for one in report["side_effects"]["parents"]:
        title = t("What “{run}” was tuned for: {task}", run=one["run"], task=one["task"])
        made.append(SideEffect(title, _effect_row(measures.measure(one["metric"]), one), ""))
    return [one for one in made if one.row.before or one.row.after]


def calibration(report: Mapping[str, Any]) -> list[Reliability]:
    """Each arm that gave probabilities."""
    made = []
    for arm in _in_order(report):
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
        for arm in _in_order(report)
        if arm["settings"] or arm["prompt"] or arm["run"]
    ]


def threshold(report: Mapping[str, Any]) -> Threshold | None:
    """What weighing the answers by the cost of mistakes brought; None where it was not asked for."""
    given, measure = report["threshold"], Measure("cost", t("Mean cost of an item"), "", "amount", False)
    plain, chosen = (measures.score_text(measure, given[name]) for name in ("plain", "chosen"))
    if not chosen and not given["sentence"]:
        return None
    return Threshold(
        title=arm_title(given["arm"]),
        costs=[(row["gold"], row["given"], f"{row['cost']:g}") for row in given["costs"]],
        weights=[(name, f"{value:.3g}") for name, value in given["weights"].items()],
        plain=plain,
        chosen=chosen,
        difference=measures.difference_text(measure, given["difference"]),
        effect=measures.effect(measure, given["difference"]),
        changed="" if given["changed"] is None else f"{given['changed']:,.0f}",
        sentence=given["sentence"],
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


def quality(arm: Mapping[str, Any], measure: Measure) -> float:
    """The arm's score of ``measure``, turned so that higher is better; minus infinity where it is not known."""
    value = number(arm["scores"].get(measure.name, {}).get("value"))
    if value is None:
        return float("-inf")
    return value if measure.higher_is_better else -value


def _own_hue(family: str, series: Sequence[plots.Series]) -> str:
    taken = sum(one.hue.startswith(hue(family)) for one in series)
    return f"{hue(family)} more-{min(taken, 3)}" if taken else hue(family)


def _slices(report: Mapping[str, Any], title: str, rows: Sequence[Mapping[str, Any]], named: bool) -> Slices:
    measure = measures.measure(report["headline"])
    arms = [arm for arm in _in_order(report) if any(arm["name"] in row["scores"] for row in rows)]
    chosen = _representatives(report, arms, measure)
    shown = {
        (index, name): score
        for index, row in enumerate(rows)
        for name, score in row["scores"].items()
        if measures.score_text(measure, score)
    }
    axis = axis_over(measure, [shown[key][end] for key in shown for end in ("low", "value", "high")], 4)
    made = []
    for index, row in enumerate(rows):
        cells = []
        for arm in chosen:
            score = shown.get((index, arm["name"]))
            if score:
                words = arm_title(arm["name"])
                drawn = plots.small_strip(axis, words, arm["family"], score)
                cells.append((words, hue(arm["family"]), drawn, measures.score_text(measure, score)))
        count = number(row["count"])
        made.append(
            Slice(
                title=row["name"] if named else _length_title(row["name"]),
                extent=_extent(row),
                count="" if count is None else f"{count:,.0f}",
                few=count is not None and count < sections.FEW_ROWS,
                rows=cells,
            )
        )
    table = [
        (one.title, [measures.score_text(measure, row["scores"].get(arm["name"])) for arm in arms])
        for one, row in zip(made, rows, strict=True)
    ]
    return Slices(title, made, plots.scale(axis, ends_alone=True), [arm_title(arm["name"]) for arm in arms], table)


def _representatives(
    report: Mapping[str, Any], arms: Sequence[dict[str, Any]], measure: Measure
) -> list[dict[str, Any]]:
    """The best of each family, and the reference: few enough to be compared slice by slice."""
    chosen = []
    for members in by_family(list(arms)).values():
        best = max(members, key=lambda arm: quality(arm, measure))
        chosen += [arm for arm in members if arm is best or arm["name"] == report["reference"]]
    return chosen


def _in_order(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [arm for members in by_family(report["arms"]).values() for arm in members]


def _length_title(name: str) -> str:
    return {"short": t("short"), "middle": t("middle"), "long": t("long")}.get(name, name)


def _extent(row: Mapping[str, Any]) -> str:
    low, high = number(row["from"]), number(row["to"])
    if low is None and high is None:
        return ""
    if low is None or high is None:
        low, high = low or 0, high
        return t("from {low} characters", low=f"{low:,.0f}") if high is None else _characters(low, high)
    return _characters(low, high)


def _characters(low: float, high: float) -> str:
    return t("{low} to {high} characters", low=f"{low:,.0f}", high=f"{high:,.0f}")


def _effect_row(measure: Measure, one: Mapping[str, Any]) -> sections.MetricRow:
    return sections.row_of(measure, one["before"], one["after"], one["difference"])


def _change(one: Mapping[str, Any]) -> str:
    before, after = (number(one[side].get("value")) for side in ("before", "after"))
    if not before or after is None:
        return ""
    share = (after - before) / before
    words = measures.percent(abs(share), 1)
    return t("{share} higher", share=words) if share >= 0 else t("{share} lower", share=words)


def _seconds(value: Any) -> str:
    known = number(value)
    return pace(known) if known else "–"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
