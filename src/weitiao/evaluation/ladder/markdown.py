"""The report of a comparison as Markdown, for a terminal, a pull request or a card: the same rows without plots.

Separate from the page because Markdown has neither plots nor rows that open.
"""

import contextvars
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weitiao.evaluation import figures, measures, titles
from weitiao.evaluation.effects import side_effects
from weitiao.evaluation.ladder import views
from weitiao.evaluation.ladder.page import command
from weitiao.evaluation.ladder.report_json import complete_comparison
from weitiao.evaluation.ladder.rungs import Rung, detectable_sentence, ladder, left_out
from weitiao.evaluation.ladder.slices import slices
from weitiao.evaluation.markdown import markdown_environment
from weitiao.words import Language, set_language, t

_OWN = Path(__file__).parent / "page"


def comparison_markdown(report: Mapping[str, Any], language: Language) -> str:
    """The report as Markdown: verdict, ladder, curve, slices, side effects, data, how to do it again."""
    return contextvars.copy_context().run(_markdown, report, language)


def _markdown(report: Mapping[str, Any], language: Language) -> str:
    set_language(language)
    report = complete_comparison(report)
    values = {
        "report": report,
        "headline": measures.measure(report["headline"]),
        "task": titles.kind_title(report["task"]["kind"]),
        "ladder": ladder(report),
        "effect": _effect,
        "detectable": detectable_sentence(report),
        "curve": views.curve(report),
        "cuts": slices(report),
        "side_effects": side_effects(report),
        "threshold": views.threshold(report),
        "left_out": left_out(report),
        "limits": views.limits(report),
        "command": command(report),
        "reasons": figures.data(report)["reasons"],
        "lineage": figures.repetition(report)["lineage"],
    }
    return markdown_environment(_OWN).get_template("comparison.md").render(values)


def _effect(rung: Rung) -> str:
    if rung.reference:
        return t("the reference")
    return {"better": t("does better"), "worse": t("does worse"), "unclear": t("not shown different")}.get(
        rung.effect, "–"
    )
