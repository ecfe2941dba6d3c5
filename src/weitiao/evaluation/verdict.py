"""Whether tuning was worth it, in plain sentences that claim no more than the test set showed.

Separate because the command line, the page and the card open with the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weitiao.evaluation.statistics import Difference, Score, detectable, detectable_share
from weitiao.example import Kind
from weitiao.words import t

FEW_ITEMS = 50

_SHOWN_FOR: dict[Kind, tuple[str, ...]] = {
    "classify": ("accuracy", "micro_f1", "macro_f1", "exact_match", "ece"),
    "reply": ("loss", "chrf", "rouge_l", "exact_match"),
    "continue": ("bits_per_byte", "blank_accuracy"),
    "mark": ("span_f1", "span_precision", "span_recall"),
}


def verdict(
    kind: Kind,
    before_scores: Mapping[str, Score],
    after_scores: Mapping[str, Score],
    differences: Mapping[str, Difference],
) -> list[str]:
    """One sentence for each headline metric of ``kind``, the most important first, in the current language.

    A metric was raised or lowered only when the interval of its difference excludes zero and p < 0.05
    (``Difference.shown``); else no difference could be shown. With fewer than 50 items the last sentence says which
    differences so few could have shown at all (``statistics.detectable_share``, ``statistics.detectable``).
    """
    names = [
        name for name in _SHOWN_FOR[kind] if name in differences and name in before_scores and name in after_scores
    ]
    if not names:
        return [t("Before and after could not be compared: no metric is defined for both.")]
    said = [_sentence(_wording(name), before_scores[name], after_scores[name], differences[name]) for name in names]
    headline, count = names[0], min(before_scores[names[0]].count, after_scores[names[0]].count)
    if count < FEW_ITEMS:
        said.append(_limits_of_few(headline, count, differences[headline]))
    return said


@dataclass(frozen=True)
class _Wording:
    title: str
    digits: int
    percent: bool

    def number(self, value: float) -> str:
        return f"{100 * value:.{self.digits}f} %" if self.percent else f"{value:.{self.digits}f}"

    def change(self, difference: Difference) -> str:
        value, low, high = (self._signed(part) for part in (difference.value, difference.low, difference.high))
        change = t("{number} points", number=value) if self.percent else value
        return f"{change} [{low.lstrip('+')}, {high.lstrip('+')}]"

    def size(self, value: float) -> str:
        return t("{number} points", number=f"{100 * value:.0f}") if self.percent else self.number(value)

    def _signed(self, value: float) -> str:
        scaled = round(100 * value if self.percent else value, self.digits) + 0.0  # no minus zero
        return f"{scaled:+.{self.digits}f}".replace("-", "−")


def _wording(name: str) -> _Wording:
    wordings = {
        "accuracy": _Wording(t("accuracy"), 1, percent=True),
        "macro_f1": _Wording(t("macro-F1"), 1, percent=True),
        "micro_f1": _Wording(t("micro-F1"), 1, percent=True),
        "span_f1": _Wording(t("the span F1"), 1, percent=True),
        "span_precision": _Wording(t("the span precision"), 1, percent=True),
        "span_recall": _Wording(t("the span recall"), 1, percent=True),
        "ece": _Wording(t("the calibration error (lower is better)"), 1, percent=True),
        "loss": _Wording(t("the loss per token (lower is better)"), 3, percent=False),
        "bits_per_byte": _Wording(t("the bits per byte (lower is better)"), 3, percent=False),
        "blank_accuracy": _Wording(t("the share of hidden tokens guessed"), 1, percent=True),
        "chrf": _Wording(t("the chrF score"), 1, percent=False),
        "rouge_l": _Wording(t("the ROUGE-L score"), 1, percent=True),
        "exact_match": _Wording(t("the share of exact answers"), 1, percent=True),
    }
    return wordings[name]


def _sentence(wording: _Wording, before: Score, after: Score, difference: Difference) -> str:
    values = {
        "metric": wording.title,
        "before": wording.number(before.value),
        "after": wording.number(after.value),
        "change": wording.change(difference),
        "count": f"{min(before.count, after.count):,}",
    }
    if not difference.shown:
        return t(
            "No difference in {metric} could be shown: {before} before, {after} after ({change}, n = {count}).",
            **values,
        )
    if difference.value > 0:
        return t("Tuning raised {metric} from {before} to {after} ({change}, n = {count}).", **values)
    return t("Tuning lowered {metric} from {before} to {after} ({change}, n = {count}).", **values)


def _limits_of_few(name: str, count: int, difference: Difference) -> str:
    wording, counted = _wording(name), name in ("accuracy", "exact_match")
    smallest = detectable_share(count) if counted else detectable(difference)
    values = {
        "count": count,
        "metric": wording.title,
        "size": wording.size(min(smallest, 1.0) if counted else smallest),
    }
    if counted and smallest >= 1:
        return t("{count} test items are too few to show any difference in {metric}.", **values)
    return t(
        "{count} test items could only show a difference in {metric} of about {size} or more (80 % power).", **values
    )
