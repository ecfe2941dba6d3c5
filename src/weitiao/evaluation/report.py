"""``report.html``: a pure function of ``report.json``, in either language. ``card.md`` has a file of its own.

Separate because nothing here measures anything; what holds the sections together is in ``frame.py``.
"""

import contextvars
from collections.abc import Mapping
from typing import Any

from weitiao.evaluation import figures, plots, sections, titles
from weitiao.evaluation.card import card_markdown
from weitiao.evaluation.effects import side_effects
from weitiao.evaluation.frame import SHARED, Section, embedded, whole_page
from weitiao.evaluation.report_json import complete
from weitiao.words import Language, set_language, t

__all__ = ["card_markdown", "report_html"]


def report_html(report: Mapping[str, Any], language: Language) -> str:
    """The page of ``report`` (the content of ``report.json``), whole and self-contained."""
    return contextvars.copy_context().run(_page, report, language)


def _page(report: Mapping[str, Any], language: Language) -> str:
    set_language(language)
    report = complete(report)
    values = {"report": report, **_told(report), **_drawn(report), **_rows(report)}
    return whole_page(SHARED, language, report["run"], _contents(report, values), values)


def _told(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "paired": sections.paired(report),
        "marks": report["task"]["kind"] == "mark",
        "task": titles.kind_title(report["task"]["kind"]),
        "method": titles.method_title(report["model"]["method"]),
        "weights": sections.weights(report["model"]),
        "headlines": sections.headline_rows(report),
        "metrics": sections.metric_rows(report),
        "category_rows": sections.category_rows(report),
        "comparisons": sections.comparisons(report),
        "omissions": sections.omissions(report),
        "limits": sections.limits(report),
        "changes": _changes(report),
        "side_effects": side_effects(report),
        "items_title": _items_title(report),
        "kept": sections.kept_sentence(report),
        "estimates": sections.estimates(report["cost"]),
    }


def _drawn(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **figures.data(report),
        **figures.repetition(report),
        "command": sections.command(report),
        "confusion": figures.confusions(report),
        "calibration": figures.calibration(report),
        "curve": figures.curve(report),
        "costs": figures.costs(report["cost"]),
        "mask": figures.tokens(report["mask"], report["task"]["categories"]),
        "labelled": any(token.get("label") for token in report["mask"]),
        "learned_count": sum(bool(token.get("learned")) for token in report["mask"]),
    }


def _rows(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"items_json": embedded(report["items"]), "words_json": embedded(_item_words(report))}


def _items_title(report: Mapping[str, Any]) -> str:
    if not sections.paired(report):
        return t("Row by row")
    return t("Fixed and broken") if report["task"]["kind"] in ("classify", "mark") else t("Replies side by side")


def _changes(report: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    counts = sections.change_counts(report)
    return [(change, _change_title(report, change), count) for change, count in counts.items()]


def _change_title(report: Mapping[str, Any], change: str) -> str:
    return titles.change_title(change, sections.paired(report))


def _item_words(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the script writes around the rows, and the order of the changes."""
    paired = sections.paired(report)
    return {
        "changes": {change: _change_title(report, change) for change in sections.CHANGES},
        "answers": report["task"]["kind"] in ("classify", "mark"),
        "paired": paired,
        "types": report["task"]["categories"] if report["task"]["kind"] == "mark" else [],
        "colours": plots.COLOURS,
        "gold": t("right answer") if report["task"]["kind"] in ("classify", "mark") else t("reference"),
        "before": t("before"),
        "after": t("after") if paired else t("answer"),
        "text": t("text"),
        "percent": t("{number} %", number="{number}"),
        "confidence": t("{share} sure", share="{share}"),
        "status": t("{shown} of {matching} matching rows are shown", shown="{shown}", matching="{matching}"),
        "none": t("No row matches."),
        "empty": t("(empty)"),
    }


def _contents(report: Mapping[str, Any], values: Mapping[str, Any]) -> list[Section]:
    """The sections that have something to show, in order, with their titles."""
    all_sections = (
        ("verdict", t("The result"), True),
        ("task", t("What was asked"), report["task"]["kind"] or report["mask"]),
        ("data", t("The data"), report["data"]["ledger"] or report["data"]["path"] or values["balance"]),
        ("scores", t("Before and after") if values["paired"] else t("How good it is"), values["metrics"]),
        ("effects", t("What tuning did elsewhere"), values["side_effects"] or report["side_effects"]["note"]),
        ("items", values["items_title"], report["items"]),
        ("curve", t("How it learned"), values["curve"].loss or values["curve"].measures or values["kept"]),
        ("cost", t("What it cost"), values["costs"] or values["estimates"]),
        ("settings", t("Settings"), True),
    )
    return [Section(name, title) for name, title, present in all_sections if present]
