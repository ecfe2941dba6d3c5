"""Cost against quality: time for an item across by factors, the measure up, each dot named where there is room.

Separate because names that do not cover each other need a search of their own. Places across are shares of the width
and places of names are pixels from their dot: names that stand apart in the narrowest plot do so in every wider one.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation.ladder.axes import Axis, axis_over, factors_over
from weitiao.evaluation.ladder.costs import pace
from weitiao.evaluation.ladder.names import arm_title, hue, in_order
from weitiao.evaluation.ladder.plots import levels
from weitiao.evaluation.measures import Measure, score_text, told
from weitiao.evaluation.svg import element, line, picture, text, tip
from weitiao.words import t

WIDE = 620  # pixels at least, with names
NARROW = 250  # pixels at least, with numbers
_HEIGHT = {WIDE: 400, NARROW: 320}
_SHORTEST = 1e-6  # seconds; less says nothing but that there was nothing to do
_LINE = 15  # height of a name

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Dot:
    """An arm at its time and score, and what stands beside it."""

    number: int
    title: str
    hue: str
    seconds: float
    score: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scatter:
    """The plot with names and the plot with numbers, the dots that the numbers mean, and the arms without a time."""

    wide: Markup
    narrow: Markup
    dots: list[Dot]
    untimed: list[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name stands, from its dot: pixels right and down, and which end of it is there."""

    right: float
    down: float
    anchor: str

    def box(self, x: float, y: float, width: float) -> Box:
        """What the name covers when its dot is at ``x``, ``y``."""
        left = x + self.right - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, y + self.down - _LINE / 2, left + width, y + self.down + _LINE / 2


def scatter(report: Mapping[str, Any], measure: Measure) -> Scatter | None:
    """Every arm whose time and score are known; None for fewer than two."""
    arms = in_order(report["arms"])
    timed = [arm for arm in arms if (arm["cost"]["seconds_per_item"] or 0) >= _SHORTEST]
    drawn = [arm for arm in timed if score_text(measure, arm["scores"].get(measure.name))]
    if len(drawn) < 2:
        return None
    dots = [
        Dot(
            number=index,
            title=arm_title(arm["name"]),
            hue=hue(arm["family"]),
            seconds=arm["cost"]["seconds_per_item"],
            score=arm["scores"][measure.name],
        )
        for index, arm in enumerate(drawn, 1)
    ]
    untimed = [arm_title(arm["name"]) for arm in arms if arm not in drawn]
    return Scatter(_plot(measure, dots, WIDE), _plot(measure, dots, NARROW), dots, untimed)


def places(
    centres: Sequence[tuple[float, float]], bars: Sequence[Box], widths: Sequence[float], size: Box
) -> list[Place]:
    """A place for each name, chosen one by one, the most crowded dot first, where it covers the least."""
    taken = [*bars, *[(x - 7, y - 7, x + 7, y + 7) for x, y in centres]]
    chosen: dict[int, Place] = {}
    for index in sorted(range(len(centres)), key=lambda one: -_neighbours(centres, one)):
        x, y = centres[index]

        def price(place: Place, x: float = x, y: float = y, width: float = widths[index]) -> float:
            box = place.box(x, y, width)
            outside = max(0.0, size[0] - box[0]) + max(0.0, box[2] - size[2])
            outside += max(0.0, size[1] - box[1]) + max(0.0, box[3] - size[3])
            return (
                sum(_shared(box, other) for other in taken) + 1000 * outside + abs(place.down) + 0.1 * abs(place.right)
            )

        best = min(_candidates(), key=price)
        chosen[index] = best
        taken.append(best.box(x, y, widths[index]))
    return [chosen[index] for index in range(len(centres))]


def _plot(measure: Measure, dots: Sequence[Dot], width: int) -> Markup:
    height, named = _HEIGHT[width], width == WIDE
    down = axis_over(measure, [dot.score[end] for dot in dots for end in ("low", "value", "high")])
    across = factors_over([dot.seconds for dot in dots], room=1.6, most=6 if named else 4)
    parts = levels(down)
    for mark in across.marks:
        x = across.across(mark)
        parts += [line(x, "0%", x, "100%", "grid"), text(x, "100%", pace(mark), "tick middle", 18)]
    labels = [dot.title if named else str(dot.number) for dot in dots]
    centres = [(width * across.share(dot.seconds), _pixels(down, dot.score["value"], height)) for dot in dots]
    bars = [
        (x - 2, _pixels(down, dot.score["high"], height), x + 2, _pixels(down, dot.score["low"], height))
        for dot, (x, _) in zip(dots, centres, strict=True)
    ]
    found = places(centres, bars, [_width(label) for label in labels], (0, -9, width, height))
    for dot, label, place, (_, y) in zip(dots, labels, found, centres, strict=True):
        parts.append(_dot(dot, label, place, across.across(dot.seconds), y, (down, height)))
    label = t("{measure} against the time for an item", measure=measure.title)
    return picture(height, label, "scatter", *parts)


def _dot(dot: Dot, label: str, place: Place, x: str, y: float, scale: tuple[Axis, int]) -> Markup:
    down, height = scale
    ends = [_pixels(down, dot.score[end], height) - y for end in ("high", "low")]
    words = told(dot.title, score_text(down.measure, dot.score))
    parts = [tip(words + "\n" + t("{time} an item", time=pace(dot.seconds))), line(0, ends[0], 0, ends[1], "bar")]
    if abs(place.down) > 1.5 * _LINE:  # too far to be understood without a line
        parts.append(line(0, 0, place.right, place.down, "leader"))
    parts.append(element("circle", {"cx": 0, "cy": 0, "r": 6, "class": "dot"}))
    parts.append(element("text", {"x": place.right, "y": place.down + 4, "class": f"name {place.anchor}"}, label))
    return element("svg", {"x": x, "y": y, "class": f"stretched {dot.hue}"}, *parts)


def _candidates() -> list[Place]:
    beside = [Place(side, down, anchor) for down in _steps() for side, anchor in ((11, "start"), (-11, "end"))]
    return beside + [Place(0, down, "middle") for down in (-17.0, 18.0, -32.0, 33.0)]


def _steps() -> list[float]:
    return [0.0, *(sign * _LINE * step for step in (1, 2, 3, 4, 5) for sign in (-1.0, 1.0))]


def _pixels(axis: Axis, value: float, height: int) -> float:
    return height * float(axis.down(value).rstrip("%")) / 100


def _width(label: str) -> float:
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in label)
    return 12.0 * wide + 6.7 * (len(label) - wide) + 4


def _shared(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0


def _neighbours(centres: Sequence[tuple[float, float]], index: int) -> int:
    x, y = centres[index]
    return sum(abs(x - other) < 120 and abs(y - above) < 30 for other, above in centres)
