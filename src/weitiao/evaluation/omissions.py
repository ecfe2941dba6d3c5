"""Why a metric was left out: said in words, because it is never a NaN and never silently 0.

Separate because these are sentences for people, and the metrics are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from weitiao.evaluation.answers import Answers, Mask
from weitiao.evaluation.replies import LARGEST_LOSS
from weitiao.words import t

_OF_PROBABILITIES = ("ece", "brier", "loss", "auroc")
_OF_LOSSES = ("loss", "perplexity", "bits_per_byte")
_OF_REPLIES = ("exact_match", "chrf", "bleu", "rouge_l")


def has_probabilities(answers: Answers) -> bool:
    """Whether every probability is there and finite."""
    return answers.probabilities is not None and bool(np.isfinite(answers.probabilities).all())


def omitted_of_categories(answers: Answers, table: NDArray[np.int64], categories: Sequence[str]) -> dict[str, str]:
    """Each metric of ``classify`` that is left out, with the reason; ``table`` is the confusion matrix."""
    if not len(answers):
        return dict.fromkeys(("accuracy", "macro_f1", *_OF_PROBABILITIES), t("there are no test items"))
    omitted: dict[str, str] = {}
    for name, row, column in zip(categories, table, table.T[:-1], strict=True):
        if not row.any():
            reason = t("the test set holds no item of “{category}”", category=name)
            omitted |= {f"f1/{name}": reason, f"recall/{name}": reason}
        if not column.any():
            omitted[f"precision/{name}"] = t("“{category}” was never given as an answer", category=name)
    return omitted | _omitted_of_probabilities(answers)


def omitted_of_texts(answers: Answers, use: Mask) -> dict[str, str]:
    """Each metric of texts that is left out, with the reason; ``use`` says which items have a loss."""
    omitted: dict[str, str] = {}
    single = t("a single item gives no interval")
    tokens, nats = np.asarray(answers.loss_count), np.asarray(answers.loss_sum)
    broken = int(((tokens > 0) & ~np.isfinite(nats)).sum())
    if broken:
        omitted["items"] = t("{count} items were left out of the loss: it is not a finite number there", count=broken)
    if use.sum() < 2:
        omitted |= dict.fromkeys(_OF_LOSSES, single if use.any() else t("no item has a loss"))
    elif nats[use].sum() / tokens[use].sum() > LARGEST_LOSS:
        omitted["perplexity"] = t("the loss is too large")
    if answers.hit_count is not None:
        omitted["bits_per_byte"] = t("only hidden tokens are predicted, not the whole text")
    elif use.any() and not np.asarray(answers.byte_count)[use].sum():
        omitted["bits_per_byte"] = t("the scored texts are empty")
    count = int(np.asarray(answers.generated).sum())
    if answers.kind == "reply" and not count:
        omitted |= dict.fromkeys(_OF_REPLIES, t("no replies were generated"))
    elif count == 1:
        omitted |= dict.fromkeys(_OF_REPLIES[1:], single)
    return omitted


def _omitted_of_probabilities(answers: Answers) -> dict[str, str]:
    if answers.probabilities is None:
        return dict.fromkeys(_OF_PROBABILITIES, t("there are no probabilities"))
    if not has_probabilities(answers):
        return dict.fromkeys(_OF_PROBABILITIES, t("a probability is not a finite number"))
    single = ("ece", "brier", "loss") if len(answers) == 1 else ()
    omitted = dict.fromkeys(single, t("a single item gives no interval"))
    if len(set(answers.gold)) < 2:
        omitted["auroc"] = t("the test set holds one category alone")
    return omitted
