"""How the arms did on parts of the test: by category, by length of the text.

Separate because each part is a small ladder of its own, of few arms on an axis that all parts share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation import measures
from weitiao.evaluation.ladder import plots
from weitiao.evaluation.ladder.axes import Axis, axis_over
from weitiao.evaluation.ladder.names import arm_title, by_family, hue, in_order
from weitiao.evaluation.measures import Measure, Shown
from weitiao.evaluation.report_json import number
from weitiao.evaluation.sections import FEW_ROWS
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Place:
    """One arm within a slice."""

    title: str
    hue: str
    strip: Markup
    score: Shown | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the test items, and how the chosen arms did on them. ``few``: too few items to lean on."""

    title: str
    extent: str
    count: str
    few: bool
    places: list[Place]


@dataclass(frozen=True, slots=True)
class Slices:
    """One way of cutting the test; ``table`` has every arm, ``arms`` its columns."""

    title: str
    slices: list[Slice]
    scale: Markup
    arms: list[str]
    table: list[tuple[str, list[Shown | None]]]


def slices(report: Mapping[str, Any]) -> list[Slices]:
    """Every way of cutting the test that has scores."""
    titles = {"category": t("By category"), "length": t("By length of the text")}
    cuts = {kind: [row for row in rows if row["scores"]] for kind, rows in report["slices"].items()}
    order = [kind for kind in dict.fromkeys([*titles, *cuts]) if cuts.get(kind)]
    return [_cut(report, titles.get(kind, kind), cuts[kind]) for kind in order]


def quality(arm: Mapping[str, Any], measure: Measure) -> float:
    """The arm's score of ``measure``, turned so that higher is better; minus infinity where it is not known."""
    value = number(arm["scores"].get(measure.name, {}).get("value"))
    if value is None:
        return float("-inf")
    return value if measure.higher_is_better else -value


def _cut(report: Mapping[str, Any], title: str, rows: Sequence[Mapping[str, Any]]) -> Slices:
    measure = measures.measure(report["headline"])
    arms = [arm for arm in in_order(report["arms"]) if any(arm["name"] in row["scores"] for row in rows)]
    chosen = _representatives(report, arms, measure)
    scores = [score for row in rows for score in row["scores"].values() if measures.score_text(measure, score)]
    axis = axis_over(measure, [score[end] for score in scores for end in ("low", "value", "high")], 4)
    made = [_slice(row, chosen, axis) for row in rows]
    table = [
        (one.title, [measures.score_text(measure, row["scores"].get(arm["name"])) for arm in arms])
        for one, row in zip(made, rows, strict=True)
    ]
    return Slices(title, made, plots.scale(axis, ends_alone=True), [arm_title(arm["name"]) for arm in arms], table)


def _slice(row: Mapping[str, Any], arms: Sequence[Mapping[str, Any]], axis: Axis) -> Slice:
    count, places = number(row["count"]), []
    for arm in arms:
        title, score = arm_title(arm["name"]), row["scores"].get(arm["name"])
        shown = measures.score_text(axis.measure, score)
        strip = plots.small_strip(axis, title, arm["family"], score) if shown else Markup("")
        places.append(Place(title, hue(arm["family"]), strip, shown))
    return Slice(
        title=_title(row),
        extent=_extent(row),
        count="" if count is None else f"{count:,.0f}",
        few=count is not None and count < FEW_ROWS,
        places=places,
    )


def _representatives(
    report: Mapping[str, Any], arms: Sequence[dict[str, Any]], measure: Measure
) -> list[dict[str, Any]]:
    """The best of each family, and the reference: few enough to be compared slice by slice."""
    chosen = []
    for members in by_family(arms).values():
        best = max(members, key=lambda arm: quality(arm, measure))
        chosen += [arm for arm in members if arm is best or arm["name"] == report["reference"]]
    return chosen


def _title(row: Mapping[str, Any]) -> str:
    if number(row["from"]) is None and number(row["to"]) is None:
        return str(row["name"])
    return {"short": t("short"), "middle": t("middle"), "long": t("long")}.get(row["name"], row["name"])


def _extent(row: Mapping[str, Any]) -> str:
    low, high = number(row["from"]), number(row["to"])
    if high is not None:
        return t("{low} to {high} characters", low=f"{low or 0:,.0f}", high=f"{high:,.0f}")
    return "" if low is None else t("from {low} characters", low=f"{low:,.0f}")
