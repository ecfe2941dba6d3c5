"""How a comparison says its parts: an arm, an amount with its interval, how long it took.

Separate because the rules of what may be claimed (``ladder_verdict.py``) are hard enough without the words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.evaluation.measures import measure
from weitiao.words import t

Arm = Mapping[str, Any]  # of a comparison's report

_MOST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Amount:
    """By how much one arm is better than another in ``metric``: positive is better, also where lower is better."""

    value: float
    low: float
    high: float
    metric: str

    @property
    def size(self) -> str:
        """Without its sign: ``21 points``, ``1 point``, ``0.21``."""
        number = self._written[0]
        if not self._share:
            return number
        return t("{number} point", number=number) if number == "1" else t("{number} points", number=number)

    @property
    def interval(self) -> str:
        """``[17, 25]``."""
        return f"[{self._written[1]}, {self._written[2]}]"

    @property
    def level(self) -> bool:
        """Whether nothing is left of it, as it is written."""
        return float(self._written[0].replace(",", "")) == 0

    def reversed(self) -> Amount:
        """Seen from the other arm."""
        return Amount(-self.value, -self.high, -self.low, self.metric)

    @property
    def _share(self) -> bool:
        return measure(self.metric).unit == "share"

    @property
    def _written(self) -> tuple[str, str, str]:
        scale = 100 if self._share else 1
        return in_figures(self.value * scale, self.low * scale, self.high * scale)


def in_figures(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A value without its sign, and the ends of its interval, with as many digits as the interval bears.

    An end that is not zero is not written as zero where zero lies outside.
    """
    half, nearest = (high - low) / 2, min(abs(low), abs(high)) if low > 0 or high < 0 else math.inf
    digits = next(
        (d for d in range(_MOST_DIGITS) if half >= 1.5 * 10.0**-d and nearest >= 0.5 * 10.0**-d), _MOST_DIGITS
    )
    digits = digits if half > 0 else 1
    size, *ends = (f"{round(number, digits) + 0.0:,.{digits}f}" for number in (abs(value), low, high))
    return size, ends[0].replace("-", "−"), ends[1].replace("-", "−")


def metric_name(metric: str) -> str:
    """A metric in the middle of a sentence."""
    names = {
        "accuracy": t("accuracy"),
        "macro_f1": t("macro-F1"),
        "micro_f1": t("micro-F1"),
        "span_f1": t("span F1"),
        "exact_match": t("exact answers"),
        "loss": t("loss per token"),
        "bits_per_byte": t("bits per byte"),
        "chrf": "chrF",
        "bleu": "BLEU",
        "rouge_l": "ROUGE-L",
    }
    return names.get(metric, measure(metric).title)


def arm_name(arm: Arm, arms: Sequence[Arm]) -> str:
    """An arm among ``arms`` in the middle of a sentence."""
    name, family = str(arm["name"]), arm["family"]
    if family == "tuned":
        alone = sum(one["family"] == "tuned" for one in arms) == 1
        return t("tuning") if alone else t("tuning ({name})", name=name.removeprefix("tuned-"))
    if family == "baseline":
        category = ((arm.get("details") or {}).get("majority") or {}).get("category")
        return t("always answering “{name}”", name=category) if category else t("always giving the commonest answer")
    if family == "prompt":
        return _prompt_name(arm)
    if family == "parent":
        return t("the parent model")
    if family == "endpoint":
        return t("the endpoint “{name}”", name=name)
    return {"small": t("the small model"), "embedding": t("the sentence embedding")}.get(name, f"“{name}”")


def count_of_items(count: int) -> str:
    """``900 items``."""
    return t("1 item") if count == 1 else t("{count} items", count=f"{count:,}")


def seconds_of(arm: Arm) -> float | None:
    """What an arm took in all, to be prepared and to answer the items; None where it was not measured."""
    cost = arm.get("cost") or {}
    prepare, answer = cost.get("prepare_seconds"), cost.get("answer_seconds")
    return None if prepare is None or answer is None else float(prepare + answer)


def with_time(claim: str, arm: Arm, other: Arm) -> str:
    """``claim`` about ``arm``, with the time it takes beside the ``other``, in round words: times are rough."""
    own, others = seconds_of(arm), seconds_of(other)
    if not own or not others:
        return claim
    times = others / own
    if 2 / 3 < times < 1.5:
        return t("{claim}, in about the same time", claim=claim)
    if times < 1:
        return t("{claim}, in about {times} times the time", claim=claim, times=_round(1 / times))
    return t("{claim}, in about 1/{times} of the time", claim=claim, times=_round(times))


def duration(seconds: float) -> str:
    """``3 seconds``, ``12 minutes``, ``2.5 hours``."""
    if seconds < 1:
        return t("less than a second")
    if seconds < 90:
        number = round(seconds)
        return t("1 second") if number == 1 else t("{count} seconds", count=number)
    if seconds < 90 * 60:
        return t("{count} minutes", count=round(seconds / 60))
    return t("{count} hours", count=f"{seconds / 3600:.1f}")


def sentence(*clauses: str) -> str:
    """The clauses as one sentence."""
    text = t("; ").join(clause for clause in clauses if clause)
    return t("{text}.", text=text[:1].upper() + text[1:])


def _prompt_name(arm: Arm) -> str:
    shots = (arm.get("settings") or {}).get("shots")
    if shots == 0 or arm["name"] == "zero-shot":
        return t("zero-shot prompting")
    if isinstance(shots, int) and arm["name"] == f"few-shot-{shots}":
        return t("few-shot prompting with {count} examples", count=shots)
    return t("the prompt “{name}”", name=arm["name"])


def _round(times: float) -> str:
    """To one significant digit, two below 2."""
    if times < 2:
        return f"{times:.1f}"
    step = 10 ** math.floor(math.log10(times))
    return f"{round(times / step) * step:,}"
