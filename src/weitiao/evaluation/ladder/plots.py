"""The plots of a comparison as inline SVG: an arm's place on the ladder, and what more labels bring.

Separate because they know geometry and nothing of pages; the scatter of cost against quality has a file of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation.ladder.axes import Axis, Factors, axis_over, factors_over
from weitiao.evaluation.ladder.names import arm_title, hue
from weitiao.evaluation.measures import Measure, number_text, score_text, told
from weitiao.evaluation.svg import element, line, picture, text, tip
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Series:
    """One arm at several label counts, and the curve fitted to it: count, value, low, high."""

    title: str
    hue: str
    points: list[tuple[float, Mapping[str, Any]]]
    fit: list[list[float]]


def scale(axis: Axis, ends_alone: bool = False) -> Markup:
    """The marks of an axis, or only its two ends, to stand above or below strips."""
    parts = []
    last = len(axis.marks) - 1
    for index, mark in enumerate(axis.marks):
        if (ends_alone and 0 < index < last) or (last > 4 and index == last - 1):  # else it runs into the last
            continue
        anchor = "start" if index == 0 else "end" if index == last else "middle"
        parts.append(text(axis.across(mark), 13, axis.words(mark), f"tick {anchor}"))
    return picture(18, t("Axis: {measure}", measure=axis.measure.title), "scale", *parts)


def strip(axis: Axis, arm: Mapping[str, Any], reference: float | None) -> Markup:
    """One arm: a dot on its 95 % interval, a tick below for each draw, and a line where the reference stands."""
    score = arm["scores"].get(axis.measure.name)
    parts = [line(axis.across(mark), "0%", axis.across(mark), "100%", "grid") for mark in axis.marks]
    if reference is not None:
        parts.append(line(axis.across(reference), "0%", axis.across(reference), "100%", "kept"))
    if score_text(axis.measure, score):
        parts.append(_centred(*_draws(axis, arm["spread"]), whisker(axis, arm_title(arm["name"]), score)))
    label = told(arm_title(arm["name"]), score_text(axis.measure, score))
    return picture(36, label, f"rung {hue(arm['family'])}", *parts)


def whisker(axis: Axis, title: str, score: Mapping[str, Any]) -> Markup:
    """A dot on its interval, lying, on the line where y is 0."""
    ends = axis.across(score["low"]), axis.across(score["high"])
    caps = [line(end, -5, end, 5, "bar") for end in ends]
    dot = element("circle", {"cx": axis.across(score["value"]), "cy": 0, "r": 4, "class": "dot"})
    words = tip(told(title, score_text(axis.measure, score)))
    return element("g", {}, words, line(ends[0], 0, ends[1], 0, "bar"), *caps, dot)


def small_strip(axis: Axis, title: str, family: str, score: Mapping[str, Any]) -> Markup:
    """One arm's dot and interval within a slice."""
    parts = [line(axis.across(mark), "0%", axis.across(mark), "100%", "grid") for mark in axis.marks]
    label = told(title, score_text(axis.measure, score))
    return picture(20, label, f"slice {hue(family)}", *parts, _centred(whisker(axis, title, score)))


def levels(axis: Axis) -> list[Markup]:
    """The marks of an upright axis, as lines across the plot."""
    parts = []
    for mark in axis.marks:
        parts += [line("0%", axis.down(mark), "100%", axis.down(mark), "grid")]
        parts += [text(-8, axis.down(mark), axis.words(mark), "tick end", 4)]
    return parts


def learning_curve(measure: Measure, series: Sequence[Series]) -> Markup:
    """Labels across by factors, the measure up; dots with intervals, the fitted curve within its band."""
    counts = [count for one in series for count, _ in one.points] + [point[0] for one in series for point in one.fit]
    values = [score[end] for one in series for _, score in one.points for end in ("low", "value", "high")]
    values += [point[1] for one in series for point in one.fit]
    if not counts or not values:
        return Markup("")
    down, across = axis_over(measure, values, 4), factors_over(counts, room=1.12)
    parts = [*levels(down), *_counts(across), *_measured_up_to(series, across)]
    parts += [_fit(one, down, across) for one in series if one.fit]
    for index, one in enumerate(series):
        shift = 6 * (index - (len(series) - 1) / 2)  # so that intervals at one count stand side by side
        parts += [_point(one, count, score, shift, down, across) for count, score in one.points]
    return picture(300, t("{measure} by number of labels", measure=measure.title), "learning", *parts)


def _centred(*children: Markup) -> Markup:
    return element("svg", {"y": "50%", "class": "stretched"}, *children)


def _draws(axis: Axis, spread: Mapping[str, Any]) -> list[Markup]:
    if len(spread["values"]) < 2:
        return []
    names = [*spread["names"], *[""] * len(spread["values"])]
    return [
        element("g", {}, tip(_draw_text(axis.measure, names[index], index, value)), _tick(axis, value))
        for index, value in enumerate(spread["values"])
    ]


def _tick(axis: Axis, value: float) -> Markup:
    return line(axis.across(value), 8, axis.across(value), 14, "draw")


def _draw_text(measure: Measure, name: object, index: int, value: float) -> str:
    called = str(name) if name not in ("", None) else t("draw {number}", number=index + 1)
    return f"{called}: {number_text(measure, value)}"


def _counts(across: Factors) -> list[Markup]:
    return [text(across.across(mark), "100%", f"{mark:,.0f}", "tick middle", 18) for mark in across.marks]


def _measured_up_to(series: Sequence[Series], across: Factors) -> list[Markup]:
    last = max((count for one in series for count, _ in one.points), default=0.0)
    beyond = max((point[0] for one in series for point in one.fit), default=0.0)
    if not last or beyond <= 1.05 * last:
        return []
    place = across.across(last)
    words = element("text", {"x": place, "y": 12, "dx": -6, "class": "tick end"}, t("measured up to here"))
    return [line(place, "0%", place, "100%", "kept"), words]


def _fit(one: Series, down: Axis, across: Factors) -> Markup:
    def corner(count: float, value: float) -> str:
        return f"{100 * across.share(count):.2f},{down.down(value).rstrip('%')}"

    top = [corner(count, high) for count, _, _, high in one.fit]
    bottom = [corner(count, low) for count, _, low, _ in reversed(one.fit)]
    middle = [corner(count, value) for count, value, _, _ in one.fit]
    band = element("polygon", {"points": " ".join([*top, *bottom]), "class": "band"})
    drawn = element("polyline", {"points": " ".join(middle), "class": "fitted"})
    attributes = {"viewBox": "0 0 100 100", "preserveAspectRatio": "none", "class": f"stretched {one.hue}"}
    return element("svg", attributes, tip(t("{arm}: fitted curve with its 95 % band", arm=one.title)), band, drawn)


def _point(one: Series, count: float, score: Mapping[str, Any], shift: float, down: Axis, across: Factors) -> Markup:
    ends = down.down(score["low"]), down.down(score["high"])
    name = t("{arm}, {count} labels", arm=one.title, count=f"{count:,.0f}")
    place = across.across(count)
    dot = element("circle", {"cx": place, "cy": down.down(score["value"]), "r": 5, "class": "dot"})
    moved = {"transform": f"translate({shift:.1f} 0)", "class": one.hue}
    shown = tip(told(name, score_text(down.measure, score)))
    return element("g", moved, shown, line(place, ends[0], place, ends[1], "bar"), dot)
