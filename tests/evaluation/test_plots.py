"""The plots: marks where their numbers are, numbers with their intervals in the titles, nothing that breaks a page."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest
from markupsafe import Markup

import sample_reports
from weitiao.evaluation import plots, svg
from weitiao.evaluation.measures import measure

SCORE = {"value": 0.5, "low": 0.25, "high": 0.75, "count": 80}


def _parsed(plot: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(plot)


def _all(plot: Markup, tag: str, kind: str = "") -> list[ElementTree.Element]:
    return [one for one in _parsed(plot).iter(tag) if kind in (one.get("class") or "")]


def _titles(plot: Markup) -> list[str]:
    return [(one.text or "").replace("\N{NO-BREAK SPACE}", " ") for one in _parsed(plot).iter("title")]


def _made() -> Iterator[tuple[str, Markup]]:
    report = sample_reports.classify_report(rows=120)
    before, after = report["before"], report["after"]
    yield "strip", plots.interval_strip(measure("accuracy"), before["scores"]["accuracy"], after["scores"]["accuracy"])
    yield "heat", plots.confusion_heat(after["details"]["confusion"], ["ham", "spam"])
    bins = [plots.calibration_bins(side["details"]["calibration"]) for side in (before, after)]
    yield "calibration", plots.reliability(*bins)
    yield "balance", plots.label_balance(report["data"]["counts"]["train"], ["ham", "spam"])
    yield "loss", plots.loss_curve(report["curve"], report["evaluations"])
    yield "dev", plots.evaluation_curve(measure("macro_f1"), report["evaluations"])


@pytest.mark.parametrize(("name", "plot"), list(_made()))
def test_a_plot_is_one_described_picture_without_styles_links_or_identifiers(name: str, plot: Markup) -> None:
    picture = _parsed(plot)
    assert picture.tag == "svg"
    assert picture.get("role") == "img"
    assert picture.get("aria-label")
    for element in picture.iter():
        assert not {"style", "href", "id", "onload"} & set(element.attrib)
        assert not any("nan" in value for value in element.attrib.values())


def test_a_dot_stands_at_its_value_and_its_bar_spans_the_interval() -> None:
    plot = plots.interval_strip(measure("accuracy"), None, SCORE)
    (dot,) = _all(plot, "circle")
    assert dot.get("cx") == "50%"
    bar = _all(plot, "line", "bar")[0]
    assert (bar.get("x1"), bar.get("x2")) == ("25%", "75%")
    assert _titles(plot) == ["after: 50.0 %, 95 % interval 25.0 to 75.0 %, n = 80"]


def test_a_measure_without_an_end_has_an_axis_that_holds_its_intervals() -> None:
    before, after = {"value": 31, "low": 20, "high": 44, "count": 9}, {"value": 7, "low": 6, "high": 8, "count": 9}
    plot = plots.interval_strip(measure("perplexity"), before, after)
    places = [float((line.get(end) or "").rstrip("%")) for line in _all(plot, "line", "bar") for end in ("x1", "x2")]
    assert 0 <= min(places) < max(places) <= 100
    assert len(set(places)) == 4, "no end of an interval was cut off at the border"


def test_nothing_is_drawn_without_an_interval() -> None:
    assert plots.interval_strip(measure("accuracy"), {"value": 0.5}, None) == ""
    assert plots.loss_curve([], []) == ""
    assert plots.evaluation_curve(measure("accuracy"), [{"step": 3, "scores": {}}]) == ""


def test_a_cell_of_confusion_darkens_with_its_share_of_the_row() -> None:
    assert [plots.shade(count, 100) for count in (0, 1, 50, 100)] == [0, 1, 5, 9]
    assert plots.shade(0, 0) == 0
    plot = plots.confusion_heat([[3, 1], [0, 0]], ["甲", "<b>"])
    assert _titles(plot) == ["3 of 4 “甲” were called “甲”", "1 of 4 “甲” were called “<b>”"]
    assert "<b>" not in plot


def test_calibration_leaves_out_empty_bins_and_draws_the_others_where_they_are() -> None:
    bins = plots.calibration_bins(
        [
            {"count": 0, "confidence": None, "accuracy": None, "interval": None},
            {"count": 40, "confidence": 0.9, "accuracy": 0.75, "interval": [0.6, 0.86]},
        ]
    )
    plot = plots.reliability([], bins)
    (dot,) = _all(plot, "circle")
    assert (dot.get("cx"), dot.get("cy")) == ("90%", "25%")
    assert _titles(plot) == ["after: 90 % sure, 75.0 % right (95 % interval 60.0 to 86.0 %), n = 40"]


def test_the_parts_of_a_balance_fill_the_bar() -> None:
    plot = plots.label_balance({"a": 1, "b": 3}, ["a", "b", "c"])
    bars = _all(plot, "rect")
    assert [bar.get("width") for bar in bars] == ["25.000%", "75.000%"]
    assert bars[1].get("x") == "25.000%"
    assert _titles(plot)[1] == "b: 3 rows, 75.0 %"


def test_the_kept_checkpoint_is_marked_in_the_loss_curve() -> None:
    curve = [{"step": step, "loss": 1 / step, "learning_rate": 1e-4} for step in range(1, 11)]
    plot = plots.loss_curve(curve, [{"step": 5, "scores": {"loss": 0.2}, "best": True}])
    (kept,) = _all(plot, "line", "kept")
    assert kept.get("x1") == "50%"
    assert "step 3: training loss 0.333\nlearning rate 0.0001" in _titles(plot)


def test_a_long_curve_is_thinned_by_means_that_keep_its_whole_length() -> None:
    curve = [{"step": step, "loss": 2.0 + (step % 2)} for step in range(1, 10_001)]
    plot = plots.loss_curve(curve, [])
    points = (_all(plot, "polyline")[0].get("points") or "").split()
    assert len(points) <= 240
    assert points[-1].startswith("100.00,")
    assert "steps 1 to 42, mean: training loss 2.500" in _titles(plot)


def test_a_loss_that_is_not_finite_is_left_out() -> None:
    curve = [{"step": step, "loss": loss} for step, loss in enumerate((2.0, math.nan, None, 1.0), 1)]
    plot = plots.loss_curve(curve, [])
    assert "nan" not in plot
    assert len((_all(plot, "polyline")[0].get("points") or "").split()) == 2


def test_a_dev_point_without_an_interval_shows_no_number() -> None:
    evaluations = [{"step": step, "scores": {"accuracy": 0.8 + step / 100}} for step in (2, 4)]
    assert _titles(plots.evaluation_curve(measure("accuracy"), evaluations)) == [
        "step 2 · Accuracy",
        "step 4 · Accuracy",
    ]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.0123, 0.0124), (-5, 5000), (3, 3), (0, 0), (1e-9, 2e-9)])
def test_ticks_are_round_few_and_enclose_the_values(low: float, high: float) -> None:
    marks, digits = svg.ticks(low, high, 5)
    assert 2 <= len(marks) <= 9
    assert marks[0] <= low <= high <= marks[-1]
    written = [f"{mark:.{digits}f}" for mark in marks]
    assert len(set(written)) == len(written)


def test_text_and_attributes_are_escaped() -> None:
    made = svg.element("text", {"x": '"><script>'}, "</text><script>", Markup("<tspan></tspan>"))
    assert not re.search("<script", made)
    assert "<tspan>" in made
