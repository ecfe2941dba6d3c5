"""The plots of a comparison: everything where its numbers say, and no name over another."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from sample_comparisons import classify_comparison, mark_comparison
from weitiao.evaluation.ladder import complete_comparison, plots, scatter, views
from weitiao.evaluation.ladder.axes import axis_over, factors_over
from weitiao.evaluation.ladder.costs import pace
from weitiao.evaluation.measures import measure

SCORE = {"value": 0.5, "low": 0.25, "high": 0.75, "count": 80}
ARM = {
    "name": "few-shot-8",
    "family": "prompt",
    "scores": {"accuracy": SCORE},
    "spread": {"of": "draws", "values": [0.25, 0.75], "names": ["one"]},
}


def _parsed(plot: Markup) -> Any:
    return ElementTree.fromstring(str(plot))


def _all(plot: Markup, name: str, kind: str = "") -> list[Any]:
    return [one for one in _parsed(plot).iter(name) if not kind or kind in (one.get("class") or "").split()]


def test_an_arm_stands_at_its_score_between_its_ends_with_a_tick_for_each_draw() -> None:
    axis = axis_over(measure("accuracy"), [0.0, 1.0])
    plot = plots.strip(axis, ARM, reference=0.75)
    (dot,) = _all(plot, "circle")
    assert dot.get("cx") == "50%"
    bar = _all(plot, "line", "bar")[0]
    assert (bar.get("x1"), bar.get("x2")) == ("25%", "75%")
    assert [tick.get("x1") for tick in _all(plot, "line", "draw")] == ["25%", "75%"]
    assert [line.get("x1") for line in _all(plot, "line", "kept")] == ["75%"]
    said = [one.text.replace("\N{NO-BREAK SPACE}", " ") for one in _all(plot, "title")]
    assert said == ["one: 25.0 %", "draw 2: 75.0 %", "8 examples: 50.0 %, 95 % interval 25.0 to 75.0 %, n = 80"]


def test_an_arm_without_an_interval_has_no_dot() -> None:
    axis = axis_over(measure("accuracy"), [0.0, 1.0])
    assert _all(plots.strip(axis, {**ARM, "scores": {"accuracy": {"value": 0.5}}}, None), "circle") == []


@pytest.mark.parametrize("values", [[0.97, 0.985], [0.31, 0.99], [0.5], [0.0, 1.0], []])
def test_an_axis_holds_its_values_and_does_not_leave_what_a_share_can_be(values: list[float]) -> None:
    axis = axis_over(measure("accuracy"), values)
    assert len(axis.marks) >= 2
    assert -1e-9 <= axis.marks[0] <= min(values, default=0) + 1e-9
    assert max(values, default=1) - 1e-9 <= axis.marks[-1] <= 1 + 1e-9
    assert len({axis.words(mark) for mark in axis.marks}) == len(axis.marks), "no two marks read the same"


@pytest.mark.parametrize("values", [[1e-6, 3.0], [0.02, 0.021], [50, 100, 3200], [7]])
def test_equal_factors_are_equal_steps(values: list[float]) -> None:
    axis = factors_over(values)
    assert 2 <= len(axis.marks) <= 8
    assert axis.share(axis.low) == 0
    assert axis.share(axis.high) == 1
    middle = (axis.low * axis.high) ** 0.5
    assert axis.share(middle) == pytest.approx(0.5)
    assert all(0 <= axis.share(mark) <= 1 for mark in axis.marks)


def test_a_time_is_written_in_a_unit_that_fits() -> None:
    shown = [pace(seconds) for seconds in (2e-7, 1.9e-4, 0.0009999, 0.0346, 0.9996, 2.0, 2.44, 59.7, 271)]
    assert shown == ["under 1 µs", "190 µs", "1 ms", "35 ms", "1000 ms", "2 s", "2.4 s", "1 min 0 s", "4 min 31 s"]


def test_no_name_covers_another_or_a_dot() -> None:
    report = complete_comparison(classify_comparison(rows=120))
    drawn = scatter.scatter(report, measure("accuracy"))
    assert drawn is not None
    for plot, width in ((drawn.wide, scatter.WIDE), (drawn.narrow, scatter.NARROW)):
        boxes = [_name_box(one, width) for one in _all(plot, "svg", "stretched")]
        assert len(boxes) == len(drawn.dots)
        for index, (name, _) in enumerate(boxes):
            others = [box for number, (other, dot) in enumerate(boxes) if number != index for box in (other, dot)]
            assert not [other for other in others if scatter._shared(name, other) > 6], index
            assert name[0] >= 0
            assert name[2] <= width


def _name_box(dot: Any, width: int) -> tuple[scatter.Box, scatter.Box]:
    x, y = float(dot.get("x").rstrip("%")) / 100 * width, float(dot.get("y"))
    name = next(dot.iter("text"))
    place = scatter.Place(float(name.get("x")), float(name.get("y")) - 4, name.get("class").split()[1])
    return place.box(x, y, scatter._width(name.text)), (x - 6, y - 6, x + 6, y + 6)


def test_names_that_stand_apart_in_the_narrowest_plot_stand_apart_in_a_wider_one() -> None:
    report = complete_comparison(classify_comparison(rows=120))
    drawn = scatter.scatter(report, measure("accuracy"))
    assert drawn is not None
    for width in (scatter.WIDE, 800, 1100):
        boxes = [_name_box(one, width)[0] for one in _all(drawn.wide, "svg", "stretched")]
        covered = sum(scatter._shared(one, other) for one in boxes for other in boxes if one is not other)
        assert covered < 12


def test_an_arm_whose_time_says_nothing_is_told_and_not_drawn() -> None:
    report = complete_comparison(classify_comparison(rows=60))
    drawn = scatter.scatter(report, measure("accuracy"))
    assert drawn is not None
    assert drawn.untimed == ["Commonest answer"]
    assert len(_all(drawn.wide, "circle")) == len(report["arms"]) - 1
    report["arms"] = report["arms"][:2]
    assert scatter.scatter(report, measure("accuracy")) is None


def test_a_learning_curve_has_a_dot_for_each_size_and_a_band_about_its_fit() -> None:
    report = complete_comparison(mark_comparison(rows=60))
    curve = views.curve(report)
    assert curve is not None
    sizes = [point["labels"] for points in report["curve"]["arms"].values() for point in points]
    assert len(_all(curve.plot, "circle")) == len(sizes)
    assert len(_all(curve.plot, "polygon", "band")) == len(_all(curve.plot, "polyline", "fitted")) == 2
    numbers = [float(part) for one in _all(curve.plot, "polygon") for part in re.split("[ ,]", one.get("points"))]
    assert all(0 <= number <= 100 for number in numbers)
    assert "measured up to here" in [one.text for one in _all(curve.plot, "text")]


def test_arms_of_one_family_have_different_colours_in_the_curve() -> None:
    report = classify_comparison(rows=60)
    report["arms"].append({**report["arms"][-1], "name": "tuned-full"})
    report["curve"]["arms"]["tuned-full"] = report["curve"]["arms"]["tuned-lora"]
    curve = views.curve(complete_comparison(report))
    assert curve is not None
    assert len({hue for hue, _ in curve.key}) == 3


@pytest.mark.parametrize("plot", ["wide", "narrow"])
def test_a_plot_is_one_described_picture_without_styles_links_or_identifiers(plot: str) -> None:
    drawn = scatter.scatter(complete_comparison(classify_comparison(rows=60)), measure("accuracy"))
    picture = _parsed(getattr(drawn, plot))
    assert picture.get("role") == "img"
    assert picture.get("aria-label")
    for element in picture.iter():
        assert not {"style", "href", "id", "onload"} & set(element.attrib)
