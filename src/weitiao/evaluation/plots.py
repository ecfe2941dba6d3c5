"""The plots of a report as inline SVG: intervals, confusion, calibration, label balance, loss.

Separate because they know geometry and nothing of files or pages. Every dot carries its number, interval and n as a
hover title; every plot stands beside a table with the same numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation.measures import Measure, axis_text, percent, score_text, told
from weitiao.evaluation.svg import element, line, picture, position, text, ticks, tip
from weitiao.words import t

COLOURS = 8
_CURVE_POINTS = 240


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a calibration plot: answers of about the same confidence, and the share of them that was right."""

    confidence: float
    right: float
    low: float
    high: float
    count: int


def interval_strip(measure: Measure, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Markup:
    """One measure before and after, each a dot on its 95 % interval, over an axis of its own."""
    drawn = [(side, score) for side, score in (("before", before), ("after", after)) if score_text(measure, score)]
    if not drawn:
        return Markup("")
    marks, digits = _axis(measure, [score for _, score in drawn if score])
    low, high = marks[0], marks[-1]
    height = 22 * len(drawn) + 22
    parts = []
    for mark in marks:
        place = position(mark, low, high)
        anchor = "start" if mark == low else "end" if mark == high else "middle"
        parts.append(line(place, 0, place, height - 20, "grid"))
        parts.append(text(place, height - 4, axis_text(measure.unit, mark, digits), f"tick {anchor}"))
    for row, (side, score) in enumerate(drawn):
        parts.append(_interval(measure, side, score or {}, low, high, 12 + 22 * row))
    return picture(height, t("{measure}, before and after", measure=measure.title), "strip", *parts)


def confusion_heat(matrix: Sequence[Sequence[int]], categories: Sequence[str]) -> Markup:
    """A square for each pair of right and given answer, darker with its share of the row; made for many categories."""
    side = 100.0 / max(1, len(categories))
    cells = []
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts):
            if not count:
                continue
            place = {"x": column * side, "y": row * side, "width": side, "height": side}
            kind = f"cell {'right' if row == column else 'wrong'} shade-{shade(count, total)}"
            words = t(
                "{count} of {total} “{right}” were called “{given}”",
                count=count,
                total=total,
                right=categories[row],
                given=categories[column],
            )
            cells.append(element("rect", {**place, "class": kind}, tip(words)))
    label = t("Confusion: right answers down, given answers across")
    frame = element("rect", {"x": 0, "y": 0, "width": 100, "height": 100, "class": "frame"})
    return element(
        "svg", {"class": "plot heat", "viewBox": "0 0 100 100", "role": "img", "aria-label": label}, frame, *cells
    )


def shade(count: int, total: int) -> int:
    """How dark a cell is, 0 to 9, by its share of ``total``; 0 only when empty."""
    return min(9, math.ceil(9 * count / total)) if total and count else 0


def reliability(
    before: Sequence[Bin], after: Sequence[Bin], names: tuple[str, str] | None = None, height: int = 260
) -> Markup:
    """Confidence across, share that was right up; on the diagonal, confidence can be believed.

    ``names`` are what the hover titles call the two, where they are not before and after.
    """
    called = names or (t("before"), t("after"))
    parts = [line("0%", "100%", "100%", "0%", "diagonal")]
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = position(mark, 0, 1)
        down = position(1 - mark, 0, 1)
        parts += [line(place, "0%", place, "100%", "grid"), line("0%", down, "100%", down, "grid")]
        parts += [
            text(place, "100%", percent(mark, 0), "tick middle", 18),
            text(-8, down, percent(mark, 0), "tick end", 4),
        ]
    largest = max([one.count for one in (*before, *after)], default=1)
    for side, title, bins in (("before", called[0], before), ("after", called[1], after)):
        parts += [_calibration_dot(side, title, one, largest) for one in bins]
    return picture(height, t("Calibration: confidence against how often it was right"), "square", *parts)


def calibration_bins(bins: Sequence[Mapping[str, Any]]) -> list[Bin]:
    """The bins of ``report.json`` that hold any answer."""
    made = []
    for one in bins:
        count, right, interval = int(one.get("count") or 0), one.get("accuracy"), one.get("interval")
        if count and right is not None and interval:
            made.append(Bin(float(one.get("confidence") or 0.0), float(right), interval[0], interval[1], count))
    return made


def label_balance(counts: Mapping[str, int], categories: Sequence[str]) -> Markup:
    """One split as one bar, divided among the categories in their order."""
    total = sum(counts.values())
    parts: list[Markup] = []
    start = 0.0
    for index, name in enumerate(categories):
        width = 100.0 * counts.get(name, 0) / total if total else 0.0
        if width:
            words = t(
                "{name}: {count} rows, {share}",
                name=name,
                count=f"{counts[name]:,}",
                share=percent(width / 100, 1),
            )
            place = {"x": f"{start:.3f}%", "y": 0, "width": f"{width:.3f}%", "height": 18}
            parts.append(element("rect", {**place, "class": f"colour-{index % COLOURS}"}, tip(words)))
        start += width
    return picture(18, t("Label balance"), "balance", *parts)


def loss_curve(curve: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]) -> Markup:
    """Training loss by step, with the loss on the dev rows where it was measured; a line marks the kept checkpoint."""
    points = _bucketed([(one["step"], one.get("loss"), one.get("learning_rate")) for one in curve if "step" in one])
    checked = _evaluated("loss", evaluations)
    values = [value for _, _, value, _ in points] + [value for _, value, _ in checked]
    if not values:
        return Markup("")
    last = _last_step(curve, evaluations)
    low = 0.0 if min(values) < 0.5 * max(values) else min(values)
    marks, digits = ticks(low, max(values), 5)
    parts = [*_frame(marks, digits, "amount", last), *_kept(evaluations, last)]
    if points:
        path = " ".join(f"{_x(step, last):.2f},{_y(value, marks):.2f}" for _, step, value, _ in points)
        drawn = element("polyline", {"points": path, "class": "curve"})
        parts.append(_stretched(drawn))
    parts += [_curve_tip(points, index, last) for index in range(len(points))]
    measure = Measure("loss", t("Loss on dev rows"), "", "amount", False)
    parts += [_evaluation_dot(measure, one, last, marks) for one in checked]
    return picture(240, t("Training loss by step"), "curve", *parts)


def evaluation_curve(measure: Measure, evaluations: Sequence[Mapping[str, Any]]) -> Markup:
    """One measure on the dev rows by step, each dot with its interval where it has one."""
    checked = _evaluated(measure.name, evaluations)
    if not checked:
        return Markup("")
    last = _last_step((), evaluations)
    ends = [part for _, value, shown in checked for part in (value, *_ends(shown))]
    marks, digits = ticks(min(ends), max(ends), 4)
    if measure.limits:
        marks = [mark for mark in marks if measure.limits[0] - 1e-9 <= mark <= measure.limits[1] + 1e-9]
    digits = max(0, digits - 2) if measure.unit == "share" else digits
    parts = [*_frame(marks, digits, measure.unit, last), *_kept(evaluations, last)]
    path = " ".join(f"{_x(step, last):.2f},{_y(value, marks):.2f}" for step, value, _ in checked)
    parts.append(_stretched(element("polyline", {"points": path, "class": "through"})))
    parts += [_evaluation_dot(measure, one, last, marks) for one in checked]
    return picture(150, t("{measure} on dev rows by step", measure=measure.title), "curve", *parts)


def _axis(measure: Measure, scores: Sequence[Mapping[str, Any]]) -> tuple[list[float], int]:
    if measure.limits:
        low, high = measure.limits
        return [low + (high - low) * quarter / 4 for quarter in range(5)], 2 if measure.unit == "index" else 0
    ends = [score[end] for score in scores for end in ("low", "high", "value")]
    return ticks(min(ends), max(ends), 4)


def _interval(measure: Measure, side: str, score: Mapping[str, Any], low: float, high: float, y: int) -> Markup:
    shown = score_text(measure, score)
    words = told(t("before") if side == "before" else t("after"), shown)
    ends = position(score["low"], low, high), position(score["high"], low, high)
    bar = line(ends[0], y, ends[1], y, "bar")
    caps = [line(end, y - 4, end, y + 4, "bar") for end in ends]
    dot = element("circle", {"cx": position(score["value"], low, high), "cy": y, "r": 5, "class": "dot"})
    return element("g", {"class": side}, tip(words), bar, *caps, dot)


def _calibration_dot(side: str, title: str, one: Bin, largest: int) -> Markup:
    x, y = position(one.confidence, 0, 1), position(1 - one.right, 0, 1)
    words = t(
        "{side}: {confidence} sure, {right} right (95 % interval {low} to {high}), n = {count}",
        side=title,
        confidence=percent(one.confidence, 0),
        right=percent(one.right, 1),
        low=f"{100 * one.low:.1f}",
        high=percent(one.high, 1),
        count=f"{one.count:,}",
    )
    bar = line(x, position(1 - one.low, 0, 1), x, position(1 - one.high, 0, 1), "bar")
    dot = element("circle", {"cx": x, "cy": y, "r": 3.0 + 5.0 * math.sqrt(one.count / largest), "class": "dot"})
    return element("g", {"class": side}, tip(words), bar, dot)


Point = tuple[int, int, float, float | None]  # first step, last step, mean loss, learning rate of the last


def _bucketed(steps: Sequence[tuple[int, float | None, float | None]]) -> list[Point]:
    finite = [(step, loss, rate) for step, loss, rate in steps if isinstance(loss, int | float) and math.isfinite(loss)]
    size = max(1, math.ceil(len(finite) / _CURVE_POINTS))
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(group[0][0], group[-1][0], sum(one[1] for one in group) / len(group), group[-1][2]) for group in groups]


def _evaluated(name: str, evaluations: Sequence[Mapping[str, Any]]) -> list[tuple[int, float, Mapping[str, Any]]]:
    found = []
    for one in evaluations:
        score = (one.get("scores") or {}).get(name)
        score = score if isinstance(score, Mapping) else {"value": score}
        value = score.get("value")
        if "step" in one and isinstance(value, int | float) and math.isfinite(value):
            found.append((one["step"], float(value), score))
    return found


def _ends(score: Mapping[str, Any]) -> list[float]:
    return [score[end] for end in ("low", "high") if isinstance(score.get(end), int | float)]


def _last_step(curve: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]) -> int:
    return max([one.get("step", 0) for one in (*curve, *evaluations)], default=0) or 1


def _x(step: float, last: int) -> float:
    return 100.0 * step / last


def _y(value: float, marks: Sequence[float]) -> float:
    return 100.0 * (1 - (value - marks[0]) / (marks[-1] - marks[0]))


def _stretched(*children: Markup) -> Markup:
    # A path knows no percentages: a picture in the picture, stretched, with strokes that keep their width.
    return element("svg", {"viewBox": "0 0 100 100", "preserveAspectRatio": "none", "class": "stretched"}, *children)


def _frame(marks: Sequence[float], digits: int, unit: Any, last: int) -> list[Markup]:
    parts = []
    for mark in marks:
        down = position(marks[-1] - mark, 0, marks[-1] - marks[0])
        parts += [line("0%", down, "100%", down, "grid"), text(-8, down, axis_text(unit, mark, digits), "tick end", 4)]
    steps = [mark for mark in ticks(0, last, 5)[0] if mark <= last]
    return parts + [
        text(position(mark, 0, last), "100%", f"{mark:,.0f}", "tick middle", 18) for mark in steps if mark == int(mark)
    ]


def _kept(evaluations: Sequence[Mapping[str, Any]], last: int) -> list[Markup]:
    steps = [one["step"] for one in evaluations if one.get("best") and "step" in one]
    if not steps:
        return []
    place = position(steps[-1], 0, last)
    side = "end" if steps[-1] > last / 2 else "start"
    return [
        line(place, "0%", place, "100%", "kept"),
        element("text", {"x": place, "y": 12, "dx": -6 if side == "end" else 6, "class": f"tick {side}"}, t("kept")),
    ]


def _curve_tip(points: Sequence[Point], index: int, last: int) -> Markup:
    first, step, loss, rate = points[index]
    begin = 0.0 if index == 0 else (points[index - 1][1] + step) / 2
    end = float(last) if index + 1 == len(points) else (step + points[index + 1][1]) / 2
    where = t("step {step}", step=step) if first == step else t("steps {first} to {last}, mean", first=first, last=step)
    words = t("{where}: training loss {loss}", where=where, loss=f"{loss:.3f}")
    if rate is not None:
        words += "\n" + t("learning rate {rate}", rate=f"{rate:.3g}")
    place = {"x": position(begin, 0, last), "y": 0, "width": f"{max(0.0, 100 * (end - begin) / last):.3f}%"}
    return element("rect", {**place, "height": "100%", "class": "touch"}, tip(words))


def _evaluation_dot(measure: Measure, one: tuple[int, float, Mapping[str, Any]], last: int, marks: Any) -> Markup:
    step, value, score = one
    x = position(step, 0, last)
    shown = score_text(measure, score)
    words = t("step {step}", step=step)
    words = f"{words} · {told(measure.title, shown)}" if shown else f"{words} · {measure.title}"
    ends = [f"{_y(end, marks):.2f}%" for end in _ends(score)]
    bar = [line(x, ends[0], x, ends[1], "bar")] if len(ends) == 2 else []
    dot = element("circle", {"cx": x, "cy": f"{_y(value, marks):.2f}%", "r": 5, "class": "dot"})
    return element("g", {"class": "after"}, tip(words), *bar, dot)
