"""What tuning did elsewhere, for people: general text and earlier tasks before and after, with the change in percent.

Separate because the page of a run and that of a comparison say it in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weitiao.evaluation import measures, sections
from weitiao.evaluation.measures import Measure
from weitiao.evaluation.report_json import number
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class SideEffect:
    """What tuning did elsewhere: a measure before and after, and the change in percent of before."""

    title: str
    row: sections.MetricRow
    change: str


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


def _effect_row(measure: Measure, one: Mapping[str, Any]) -> sections.MetricRow:
    return sections.row_of(measure, one["before"], one["after"], one["difference"])


def _change(one: Mapping[str, Any]) -> str:
    before, after = (number(one[side].get("value")) for side in ("before", "after"))
    if not before or after is None:
        return ""
    share = (after - before) / before
    words = measures.percent(abs(share), 1)
    return t("{share} higher", share=words) if share >= 0 else t("{share} lower", share=words)
