"""What the page shows beside sentences: splits, confusion, calibration, curves, tokens, facts, ready to be laid out.

Separate from ``sections.py`` because only the page draws; the card has words and one table.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation import measures, plots, sections, titles
from weitiao.evaluation.measures import Shown
from weitiao.words import t

MASK_TOKENS = 1500
MATRIX_CATEGORIES = 12  # with more, a table of numbers no longer fits a page: draw it


@dataclass(frozen=True, slots=True)
class Split:
    """One split's rows by category."""

    split: str
    title: str
    total: int
    counts: Mapping[str, int]
    plot: Markup


@dataclass(frozen=True, slots=True)
class Confusion:
    """Answers before or after: a table of cells (count, style class) for few categories, a drawing for many."""

    title: str
    rows: list[tuple[str, list[tuple[int, str]]]]
    heat: Markup | None
    mistakes: list[tuple[str, str, int, int]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The plot, and for each side its numbers: confidence, share right with interval, n."""

    plot: Markup
    tables: list[tuple[str, list[tuple[str, Shown, str]]]]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the mask proof, its line breaks made visible."""

    text: str
    learned: bool
    label: str  # of a mark, that it learns; else ""
    colour: int  # of the label's type


@dataclass(frozen=True, slots=True)
class Curve:
    """The curves, and the checks on the dev rows: step, numbers that have an interval, whether it was kept."""

    loss: Markup
    dev_loss: bool
    measures: list[tuple[str, Markup]]
    titles: list[str]
    steps: list[tuple[int, list[Shown | None], bool]]


def data(report: Mapping[str, Any]) -> dict[str, Any]:
    """What ``data.html`` lays out: what was read, and what became of every row."""
    names = categories(report)
    return {
        "balance": splits(report),
        "categories": names,
        "colours": names if len(names) <= plots.COLOURS else [],
        "reasons": [(titles.reason_title(name), count) for name, count in report["data"]["reasons"].items()],
        "reason_title": titles.reason_title,
        "outcome_title": titles.outcome_title,
    }


def repetition(report: Mapping[str, Any]) -> dict[str, Any]:
    """What ``settings.html`` lays out beside the command: with what settings, and of what the result was made."""
    return {"lineage": sections.lineage(report), "settings": settings(report)}


def splits(report: Mapping[str, Any]) -> list[Split]:
    """The splits that have rows, in their order."""
    names = categories(report)
    made = []
    for split in ("train", "dev", "test"):
        counts = report["data"]["counts"].get(split) or {}
        total = sum(counts.values())
        if total:
            plot = plots.label_balance(counts, names) if names else Markup("")
            made.append(Split(split, titles.split_title(split), total, counts, plot))
    return made


def categories(report: Mapping[str, Any]) -> list[str]:
    """The task's categories and any other that was counted; none when rows have no category."""
    counted = {name for counts in report["data"]["counts"].values() for name in counts or {}} - {""}
    known = report["task"]["categories"]
    return [*known, *sorted(counted - set(known))] if counted else []


def confusions(report: Mapping[str, Any]) -> list[Confusion]:
    """Before and after, of those that hold a matrix of the task's categories."""
    names = report["task"]["categories"]
    made = []
    for side, title in (("before", t("before tuning")), ("after", t("after tuning"))):
        matrix = report[side]["details"].get("confusion")
        if not matrix or len(matrix) != len(names):
            continue
        title = title if sections.paired(report) else t("answers")
        if len(names) > MATRIX_CATEGORIES:
            heat = plots.confusion_heat(matrix, names)
            made.append(Confusion(title, [], heat, sections.confusions(matrix, names)))
        else:
            rows = [(name, _cells(row, counts)) for row, (name, counts) in enumerate(zip(names, matrix, strict=True))]
            made.append(Confusion(title, rows, None, []))
    return made


def calibration(report: Mapping[str, Any]) -> Calibration | None:
    """How far confidence can be believed; None when it was not measured."""
    found = {side: report[side]["details"].get("calibration") or [] for side in ("before", "after")}
    bins = {side: plots.calibration_bins(rows) for side, rows in found.items()}
    if not any(bins.values()):
        return None
    names = {"before": t("before tuning"), "after": t("after tuning") if sections.paired(report) else t("measured")}
    tables = [(names[side], [_calibration_row(one) for one in rows]) for side, rows in bins.items() if rows]
    return Calibration(plots.reliability(bins["before"], bins["after"]), tables)


def curve(report: Mapping[str, Any]) -> Curve:
    """The loss, and the task's own measures on the dev rows."""
    checks = [one for one in report["evaluations"] if "step" in one]
    names = list(dict.fromkeys(name for one in checks for name in one.get("scores") or {}))
    headlines = measures.headlines(report["task"]["kind"], {name: {} for name in names})
    chosen = [measures.measure(name) for name in headlines if name != "loss"][:2]
    drawn = [(measure, plots.evaluation_curve(measure, checks)) for measure in chosen]
    numbers = [(one["step"], [_check(one, name) for name in names], bool(one.get("best"))) for one in checks]
    shown = [index for index in range(len(names)) if any(cells[index] for _, cells, _ in numbers)]
    return Curve(
        loss=plots.loss_curve(report["curve"], checks),
        dev_loss="loss" in names,
        measures=[(measure.title, plot) for measure, plot in drawn if plot],
        titles=[measures.measure(names[index]).title for index in shown],
        steps=[(step, [cells[index] for index in shown], best) for step, cells, best in numbers] if shown else [],
    )


def tokens(mask: Sequence[Mapping[str, Any]], types: Sequence[str]) -> list[Token]:
    """The first tokens of the mask proof."""
    return [_token(one, types) for one in mask[:MASK_TOKENS]]


def costs(cost: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Time, tokens and memory in words, of those that were measured."""
    rows = (
        (t("Time"), cost["seconds"], sections.duration),
        (t("Processor time"), cost["cpu_seconds"], sections.duration),
        (t("Tokens read"), cost["tokens"], "{:,.0f}".format),
        (t("Tokens per second"), cost["tokens_per_second"], "{:,.0f}".format),
        (t("Peak memory"), cost["peak_memory_bytes"], sections.size),
    )
    return [(title, write(value)) for title, value, write in rows if value is not None]


def settings(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and reason of each setting; those with a reason first."""
    rows = []
    for name, setting in report["settings"].items():
        reason = setting.get("reason") if isinstance(setting, Mapping) else None
        rows.append((name, _written(sections.setting_value(setting)), reason or ""))
    return sorted(rows, key=lambda row: row[2] == "")


def _cells(row: int, counts: Sequence[int]) -> list[tuple[int, str]]:
    total = sum(counts)
    return [
        (count, f"{'right' if row == column else 'wrong'} shade-{plots.shade(count, total)}")
        for column, count in enumerate(counts)
    ]


def _calibration_row(one: plots.Bin) -> tuple[str, Shown, str]:
    measure = measures.measure("accuracy")
    shown = measures.score_text(measure, {"value": one.right, "low": one.low, "high": one.high})
    return measures.percent(one.confidence, 0), shown or Shown("–", "–"), f"{one.count:,}"


def _check(evaluation: Mapping[str, Any], name: str) -> Shown | None:
    score = (evaluation.get("scores") or {}).get(name)
    return measures.score_text(measures.measure(name), score) if isinstance(score, Mapping) else None


def _token(one: Mapping[str, Any], types: Sequence[str]) -> Token:
    label = str(one.get("label") or "")
    name = label[2:]
    colour = types.index(name) % plots.COLOURS if name in types else 0
    return Token(str(one.get("text", "")).replace("\n", "↵\n"), bool(one.get("learned")), label if name else "", colour)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "–" if value is None else json.dumps(value, ensure_ascii=False)
