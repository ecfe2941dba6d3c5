"""What each metric is called, what it means in one plain sentence, and how its numbers are written with their interval.

Separate because the page, the card and the plots must say the same things of a metric, and never a number alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from weitiao.words import t

Unit = Literal["share", "index", "hundred", "amount"]
Effect = Literal["better", "worse", "unclear", ""]

ORDER = (
    "accuracy",
    "micro_f1",
    "macro_f1",
    "span_f1",
    "span_precision",
    "span_recall",
    "auroc",
    "ece",
    "brier",
    "loss",
    "perplexity",
    "bits_per_byte",
    "blank_accuracy",
    "exact_match",
    "chrf",
    "bleu",
    "rouge_l",
)
HEADLINES: dict[str, tuple[str, ...]] = {
    "classify": ("accuracy", "micro_f1", "macro_f1", "exact_match"),
    "mark": ("span_f1", "span_precision", "span_recall"),
    "reply": ("loss", "chrf", "rouge_l", "exact_match"),
    "continue": ("bits_per_byte", "blank_accuracy", "loss", "perplexity"),
}
"""By the kind of a task, what answers its question, the most telling first."""

_FEW = 3


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric for people. ``unit``: a share is shown in percent, an index from 0 to 1, a hundred from 0 to 100."""

    name: str
    title: str
    meaning: str
    unit: Unit
    higher_is_better: bool

    @property
    def limits(self) -> tuple[float, float] | None:
        """The smallest and largest value possible, or None when there is no largest."""
        return {"share": (0.0, 1.0), "index": (0.0, 1.0), "hundred": (0.0, 100.0), "amount": None}[self.unit]


@dataclass(frozen=True, slots=True)
class Shown:
    """A number in words: never shown without its interval. ``count`` is the n behind it, "" when it was not given."""

    value: str
    interval: str
    count: str = ""


def measure(name: str) -> Measure:
    """The measure called ``name``, such as ``accuracy`` or ``f1/spam``; an unknown one is shown under its own name."""
    stem, _, label = name.partition("/")
    known = _per_category(name, stem, label) if label else _plain().get(stem)
    return known or Measure(name, name, "", "amount", True)


def in_order(names: Mapping[str, Any]) -> list[str]:
    """The names of measures of all rows together, best known first, without those of one category."""
    rank = {name: position for position, name in enumerate(ORDER)}
    return sorted((name for name in names if "/" not in name), key=lambda name: (rank.get(name, len(rank)), name))


def headlines(kind: str, scores: Mapping[str, Any]) -> list[str]:
    """The one to three measures that answer the question for a task of ``kind``, of those in ``scores``."""
    chosen = [name for name in HEADLINES.get(kind, ()) if name in scores][:_FEW]
    classes = [name for name in scores if name.startswith("f1/")]
    if kind == "classify" and len(classes) == 2:
        # Of two categories, the one that is harder to find is the one that people ask about.
        chosen.append(min(classes, key=lambda name: _finite(scores[name].get("value")) or 0.0))
    return chosen or in_order(scores)[:_FEW]


def score_text(measure: Measure, score: Mapping[str, Any] | None) -> Shown | None:
    """``{"value", "low", "high", "count"}`` in words; None when the value or its interval is missing."""
    value, low, high = _triple(score)
    if score is None or value is None or low is None or high is None:
        return None
    digits = _digits(measure.unit, (value, low, high))
    interval = t(
        "{low} to {high}", low=_number(measure.unit, low, digits, bare=True), high=_number(measure.unit, high, digits)
    )
    count = score.get("count")
    return Shown(_number(measure.unit, value, digits), interval, f"{count:,}" if isinstance(count, int) else "")


def difference_text(measure: Measure, difference: Mapping[str, Any] | None) -> Shown | None:
    """A signed difference in words, shares in percentage points; None when the value or its interval is missing."""
    value, low, high = _triple(difference)
    if value is None or low is None or high is None:
        return None
    digits = _digits(measure.unit, (value, low, high))
    scale = 100.0 if measure.unit == "share" else 1.0
    shown, bottom, top = (_signed(part * scale, digits) for part in (value, low, high))
    if measure.unit == "share":
        shown = t("{number} points", number=shown)
    return Shown(shown, t("{low} to {high}", low=bottom, high=top))


def told(name: str, shown: Shown | None) -> str:
    """What a hover title says of a number: ``before: 87.6 %, 95 % interval 85.2 to 89.7 %, n = 850``."""
    if shown is None:
        return name
    words = t("{side}: {value}, 95 % interval {interval}", side=name, value=shown.value, interval=shown.interval)
    return f"{words}, n = {shown.count}" if shown.count else words


def effect(measure: Measure, difference: Mapping[str, Any] | None) -> Effect:
    """What the difference shows: nothing clear where its interval holds zero or p >= 0.05; "" where there is none."""
    value, low, high = _triple(difference)
    if value is None or low is None or high is None:
        return ""
    p = _finite(difference.get("p")) if difference else None
    if low <= 0.0 <= high or (p is not None and p >= 0.05):
        return "unclear"
    return "better" if (value > 0) == measure.higher_is_better else "worse"


def p_text(difference: Mapping[str, Any] | None) -> str:
    """``p < 0.001`` or ``p = 0.034``; "" when it was not given."""
    p = _finite(difference.get("p")) if difference else None
    if p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(share: float, digits: int) -> str:
    """A share in percent, as the language writes it; the sign never stands alone on the next line."""
    return t("{number} %", number=f"{share * 100:.{digits}f}").replace(" ", "\N{NO-BREAK SPACE}")


def number_text(measure: Measure, value: float) -> str:
    """One of several numbers that are themselves a spread, and so have no interval each."""
    return _number(measure.unit, value, _digits(measure.unit, (value,)))


def axis_text(unit: Unit, value: float, digits: int) -> str:
    """A mark on the axis of a plot."""
    return _number(unit, value, digits)


def _number(unit: Unit, value: float, digits: int, bare: bool = False) -> str:
    if unit == "share":
        return f"{value * 100:.{digits}f}" if bare else percent(value, digits)
    return f"{value:,.{digits}f}"


def _signed(value: float, digits: int) -> str:
    return f"{value:+,.{digits}f}".replace("-", "−")


def _digits(unit: Unit, values: tuple[float, ...]) -> int:
    if unit != "amount":
        return 3 if unit == "index" else 1
    # As many as the interval bears: two significant digits of its half width.
    half = (max(values) - min(values)) / 2
    return min(3, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 3


def _triple(score: Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    if not score:
        return None, None, None
    return _finite(score.get("value")), _finite(score.get("low")), _finite(score.get("high"))


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _per_category(name: str, stem: str, label: str) -> Measure | None:
    made = {
        "precision": (
            t("Precision, {label}", label=label),
            t("Of the rows that were called “{label}”, the share that really are.", label=label),
        ),
        "recall": (
            t("Recall, {label}", label=label),
            t("Of the rows that really are “{label}”, the share that was found.", label=label),
        ),
        "f1": (
            t("F1, {label}", label=label),
            t("Finding every “{label}” and raising no false alarm, in one number: 100 % is perfect.", label=label),
        ),
        "span_precision": (
            t("Precision, {label}", label=label),
            t("Of the spans that were marked “{label}”, the share that is right.", label=label),
        ),
        "span_recall": (
            t("Recall, {label}", label=label),
            t("Of the spans that really are “{label}”, the share that was found.", label=label),
        ),
        "span_f1": (
            t("F1, {label}", label=label),
            t("Finding every “{label}” and marking nothing else, in one number: 100 % is perfect.", label=label),
        ),
    }.get(stem)
    return Measure(name, made[0], made[1], "share", True) if made else None


def _plain() -> dict[str, Measure]:
    rows: tuple[tuple[str, str, str, Unit, bool], ...] = (
        ("accuracy", t("Accuracy"), t("The share of test rows that got the right answer."), "share", True),
        ("macro_f1", t("Macro F1"), t("F1 of each category, averaged so that a rare one counts fully."), "share", True),
        ("micro_f1", t("Micro F1"), t("F1 over the decisions of all categories together."), "share", True),
        ("span_f1", t("Span F1"), t("Finding every span and marking nothing else, in one number."), "share", True),
        (
            "span_precision",
            t("Span precision"),
            t("Of the spans that were marked, the share with the right type and borders."),
            "share",
            True,
        ),
        (
            "span_recall",
            t("Span recall"),
            t("Of the spans that should be marked, the share that was found."),
            "share",
            True,
        ),
        ("auroc", t("AUROC"), t("How well the probabilities rank: 1 is perfect, 0.5 is guessing."), "index", True),
        ("ece", t("Calibration error"), t("How far confidence is from being right, on average."), "share", False),
        (
            "brier",
            t("Brier score"),
            t("Squared error of the probabilities; a sure mistake costs most."),
            "amount",
            False,
        ),
        ("loss", t("Loss"), t("How surprised the model is by the right answer, in nats."), "amount", False),
        ("perplexity", t("Perplexity"), t("As if choosing among so many tokens at each step."), "amount", False),
        ("bits_per_byte", t("Bits per byte"), t("Bits it takes to predict one byte of the text."), "amount", False),
        ("blank_accuracy", t("Blank accuracy"), t("The share of hidden tokens that were guessed."), "share", True),
        ("exact_match", t("Exact match"), t("The share of answers that equal the reference."), "share", True),
        ("chrf", t("chrF"), t("Overlap with the reference in short runs of characters, up to 100."), "hundred", True),
        ("bleu", t("BLEU"), t("Overlap with the reference in runs of words, up to 100."), "hundred", True),
        ("rouge_l", t("ROUGE-L"), t("The longest sequence of words shared with the reference."), "share", True),
    )
    return {row[0]: Measure(*row) for row in rows}
