"""What the report says, section by section, in the reader's language and without any markup.

Separate so that the page and the card, which only lay out, say the same; every view is made of a completed report.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from weitiao.evaluation import measures, plots
from weitiao.evaluation.measures import Effect, Measure, Shown
from weitiao.evaluation.statistics import wilson
from weitiao.words import t

CHANGES = ("fixed", "broken", "wrong", "right", "changed", "same")
FEW_ROWS = 30  # fewer test rows of a category than this make its interval too wide to lean on


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One measure before and after, ready to be laid out."""

    measure: Measure
    before: Shown | None
    after: Shown | None
    difference: Shown | None
    p: str
    effect: Effect
    strip: Markup

    @property
    def count(self) -> str:
        """The n of the test."""
        shown = self.after or self.before
        return shown.count if shown else ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity foretold before the first step, what it was, and how far off that was."""

    title: str
    planned: str
    real: str
    off: str


def paired(report: Mapping[str, Any]) -> bool:
    """Whether there is a before and an after to compare."""
    return bool(report["before"]["scores"] and report["after"]["scores"])


def metric_row(report: Mapping[str, Any], name: str) -> MetricRow:
    """The row of the measure called ``name``."""
    before, after = (report[side]["scores"].get(name) for side in ("before", "after"))
    return row_of(measures.measure(name), before, after, report["difference"].get(name))


def row_of(
    measure: Measure,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    difference: Mapping[str, Any] | None,
) -> MetricRow:
    """Two scores of one measure and their difference, as they are in a report."""
    return MetricRow(
        measure=measure,
        before=measures.score_text(measure, before),
        after=measures.score_text(measure, after),
        difference=measures.difference_text(measure, difference),
        p=measures.p_text(difference),
        effect=measures.effect(measure, difference),
        strip=plots.interval_strip(measure, before, after),
    )


def metric_rows(report: Mapping[str, Any]) -> list[MetricRow]:
    """Every measure of all test rows together that has a number with an interval."""
    names = measures.in_order({**report["before"]["scores"], **report["after"]["scores"]})
    return [row for name in names if (row := metric_row(report, name)).before or row.after]


def headline_rows(report: Mapping[str, Any]) -> list[MetricRow]:
    """The one to three measures that answer the question."""
    scores = {**report["before"]["scores"], **report["after"]["scores"]}
    rows = [metric_row(report, name) for name in measures.headlines(report["task"]["kind"], scores)]
    return [row for row in rows if row.before or row.after]


def category_rows(report: Mapping[str, Any]) -> list[tuple[str, int, list[MetricRow]]]:
    """For each category its name, its test rows, and its precision, recall and F1, where they were measured."""
    tested = test_counts(report)
    prefix = "span_" if report["task"]["kind"] == "mark" else ""
    stems = [f"{prefix}{stem}" for stem in ("precision", "recall", "f1")]
    rows = []
    for category in report["task"]["categories"]:
        cells = [metric_row(report, f"{stem}/{category}") for stem in stems]
        if any(cell.before or cell.after for cell in cells):
            rows.append((category, tested.get(category, 0), cells))
    return rows


def test_counts(report: Mapping[str, Any]) -> dict[str, int]:
    """Test rows of each category: as counted in the answers, else as counted in the split."""
    categories = report["task"]["categories"]
    if report["task"]["kind"] == "mark":
        table = report["after"]["details"].get("per_class") or report["before"]["details"].get("per_class") or []
        return {row["category"]: row["support"] for row in table}
    matrix = report["after"]["details"].get("confusion") or report["before"]["details"].get("confusion")
    if matrix and len(matrix) == len(categories):
        return {name: sum(row) for name, row in zip(categories, matrix, strict=True)}
    return dict(report["data"]["counts"].get("test") or {})


def confusions(
    matrix: Sequence[Sequence[int]], categories: Sequence[str], limit: int = 20
) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: right answer, given answer, count, rows of the right answer."""
    found = [
        (categories[row], categories[column], count, sum(counts))
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(found, key=lambda one: -one[2])[:limit]


def change_counts(report: Mapping[str, Any]) -> dict[str, int]:
    """How many listed rows there are of each change, in the order of :data:`CHANGES`; none that is zero."""
    counts = dict.fromkeys(CHANGES, 0)
    for item in report["items"]:
        counts[item["change"]] = counts.get(item["change"], 0) + 1
    return {change: count for change, count in counts.items() if count}


def kept_sentence(report: Mapping[str, Any]) -> str:
    """Which checkpoint was kept, and why; "" when none is marked."""
    best = [one for one in report["evaluations"] if one.get("best") and "step" in one]
    if not best:
        return ""
    step, scores = best[-1]["step"], best[-1].get("scores") or {}
    chosen = setting_value(report["settings"].get("metric_for_best_model"))
    rank = [chosen, *measures.headlines(report["task"]["kind"], {name: {} for name in scores}), "loss", *scores]
    for name in rank:
        if name in scores and _is_best(measures.measure(name), scores[name], report["evaluations"]):
            return t(
                "The checkpoint of step {step} was kept, because {measure} on the dev rows was best there. "
                "The test rows had no say in it.",
                step=step,
                measure=measures.measure(name).title,
            )
    return t("The checkpoint of step {step} was kept as the best on the dev rows. The test rows had no say.", step=step)


def estimates(cost: Mapping[str, Any]) -> list[Estimate]:
    """Time and memory as planned before the first step, and as they were."""
    rows = (
        (t("Time"), cost["planned"]["seconds"], cost["seconds"], duration),
        (t("Peak memory"), cost["planned"]["memory_bytes"], cost["peak_memory_bytes"], size),
    )
    return [
        Estimate(title, write(planned), write(real), off(planned, real))
        for title, planned, real, write in rows
        if planned and real
    ]


def off(planned: float, real: float) -> str:
    """How far the estimate was off, in percent of what was planned."""
    share = round((real - planned) / planned, 2)
    if share == 0:
        return t("as estimated")
    if share > 0:
        return t("{share} more than estimated", share=measures.percent(share, 0))
    return t("{share} less than estimated", share=measures.percent(-share, 0))


def duration(seconds: float) -> str:
    """Seconds in words: ``42 s``, ``3 min 42 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return t("{seconds} s", seconds=f"{seconds:.1f}" if seconds < 10 else whole)
    if whole < 3600:
        return t("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    return t("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:,.{2 if count < 10 * factor else 1}f} {unit}"
    return f"{count:.0f} B"


def comparisons(report: Mapping[str, Any]) -> list[str]:
    """What else would have got such numbers: the commonest answer alone, and chance for the calibration error."""
    details = report["after"]["details"] or report["before"]["details"]
    said = []
    majority, items = details.get("majority"), details.get("items")
    if majority and items:
        score = wilson(round(majority["share"] * items), items).json()
        shown = measures.score_text(measures.measure("accuracy"), score)
        said.append(
            t(
                "For comparison: always answering “{category}” would be right for {value} of the test rows "
                "(95 % interval {interval}).",
                category=majority["category"],
                value=shown.value if shown else "",
                interval=shown.interval if shown else "",
            )
        )
    said += _of_marks(details)
    if details.get("ece_by_chance") is not None:
        said.append(
            t(
                "With so few rows, a model whose confidence is perfectly right would show a calibration error of "
                "about {share} by chance.",
                share=measures.percent(details["ece_by_chance"], 1),
            )
        )
    return said


def _of_marks(details: Mapping[str, Any]) -> list[str]:
    """F1 where less is asked than the right type and both borders, and what was written but is not in the text."""
    weaker, measure = details.get("weaker") or {}, measures.measure("span_f1")
    borders, overlap = (measures.score_text(measure, weaker.get(name)) for name in ("borders", "overlap"))
    said = []
    if borders and overlap:
        said.append(
            t(
                "Where only the borders must be right, F1 is {borders} (95 % interval {in_borders}); "
                "where the type must be right and a part of the span is enough, {overlap} ({in_overlap}).",
                borders=borders.value,
                in_borders=borders.interval,
                overlap=overlap.value,
                in_overlap=overlap.interval,
            )
        )
    if details.get("unmatched"):
        said.append(
            t("Written and not in the text: {count}. Each counts as a wrong mark.", count=f"{details['unmatched']:,}")
        )
    return said


def omissions(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Measures of the last answers that are not defined, with the reason."""
    omitted = (report["after"]["details"] or report["before"]["details"]).get("omitted") or {}
    return [(measures.measure(name).title, reason) for name, reason in omitted.items()]


def limits(report: Mapping[str, Any]) -> list[str]:
    """What the numbers do not say, in sentences."""
    said = limits_of_any_test()
    few = [name for name, count in test_counts(report).items() if count < FEW_ROWS and name]
    if few and report["task"]["kind"] == "classify":
        said.append(
            t(
                "Fewer than {count} test rows each, so read these categories with care: {names}.",
                count=FEW_ROWS,
                names=t(", ").join([*few[:10], *(["…"] if len(few) > 10 else [])]),
            )
        )
    if paired(report):
        said.append(t("What the model forgot of its other abilities was not measured here."))
    return said


def limits_of_any_test() -> list[str]:
    """What no test on rows of the same source can say."""
    return [
        t(
            "An interval says how far chance in drawing the test rows may have moved a number. "
            "It does not cover data that differ."
        ),
        t("The test rows come from the same source as the training rows. Texts from elsewhere can give other results."),
    ]


def command(report: Mapping[str, Any]) -> str:
    """The command that gives this report again."""
    if report["command"]:
        return str(report["command"])
    run = shlex.quote(report["run"] or "RUN")
    if report["before"]["scores"] or report["curve"]:
        return f"weitiao train runs/{run}/settings.yaml"
    return f"weitiao evaluate {run} --data {shlex.quote(report['data']['path'] or 'DATA')}"


def weights(model: Mapping[str, Any]) -> str:
    """How many weights there are, and how many of them learned; "" when it is not known."""
    count, trained = model["parameters"], model["trained"]
    if not count:
        return ""
    if trained is None:
        return t("{count} in all", count=f"{count:,}")
    return t(
        "{trained} of {count} learned ({share})",
        trained=f"{trained:,}",
        count=f"{count:,}",
        share=measures.percent(trained / count, 2),
    )


def lineage(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the result comes from: title and fingerprint, of those that are known."""
    titles = {
        "base": t("Digest of the base model"),
        "data": t("Digest of the data"),
        "code": t("Code"),
        "seed": t("Seed"),
        "parent": t("Tuned from the run"),
        "settings": t("Digest of the settings"),
        "template": t("Digest of the chat template"),
        "engine": t("Engine"),
        "moment": t("The date that the template writes"),
    }
    return [
        (titles.get(name, name), str(value)) for name, value in report["lineage"].items() if value not in (None, "")
    ]


def setting_value(setting: Any) -> Any:
    """The value of a setting, with or without its reason beside it."""
    return setting.get("value") if isinstance(setting, Mapping) else setting


def _is_best(measure: Measure, score: Any, evaluations: Sequence[Mapping[str, Any]]) -> bool:
    value = _value(score)
    others = [_value((one.get("scores") or {}).get(measure.name)) for one in evaluations]
    known = [other for other in others if other is not None]
    return value is not None and value == (max(known) if measure.higher_is_better else min(known))


def _value(score: Any) -> float | None:
    value = score.get("value") if isinstance(score, Mapping) else score
    return float(value) if isinstance(value, int | float) else None
