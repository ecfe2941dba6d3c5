"""How well texts are predicted (loss) and written (exact match, chrF, BLEU, ROUGE-L).

Separate because its items are texts: the loss is read off every reference, the others off the replies that were
generated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from weitiao.evaluation.answers import Answers, Mask, folded, select
from weitiao.evaluation.metric_group import Limits, Metric, MetricGroup
from weitiao.evaluation.overlap import BLEU_COUNTS, bleu, bleu_counts, bleu_tokenizer, chrf, chrf_counts, rouge_l
from weitiao.evaluation.statistics import Floats, percentile_interval, share_limits

LARGEST_LOSS = 700.0  # nats a token; exp of more is no longer a number


def scored(answers: Answers) -> Mask:
    """Which items have a finite loss over at least one token."""
    mask: Mask = (np.asarray(answers.loss_count) > 0) & np.isfinite(answers.loss_sum)
    return mask


def loss_metrics(answers: Answers, items: Mask) -> MetricGroup:
    """``loss`` in nats per token, ``perplexity`` = exp(loss), ``bits_per_byte``, over ``items``, all of them scored.

    Of texts in which tokens were hidden ``blank_accuracy``, the share of those that were guessed right; bits per byte
    are then of no text. Of marks only the loss: what is predicted there may be labels, not text.

    Sums are divided once, so a token counts the same in a short text and a long one. ``count`` is the number of
    items: they were drawn from the world, their tokens were not.
    """
    chosen = np.flatnonzero(items)
    hits = np.zeros(len(answers)) if answers.hit_count is None else answers.hit_count
    counts = (answers.loss_sum, answers.loss_count, answers.byte_count, hits)
    sums = np.column_stack([column[chosen] for column in counts])
    total = sums.sum(axis=0)
    metrics = [Metric("loss", len(chosen), top=None)] if len(chosen) else []
    if metrics and answers.kind != "mark" and total[0] / total[1] <= LARGEST_LOSS:
        metrics.append(Metric("perplexity", len(chosen), interval=_perplexity_limits, top=None))
    if metrics and answers.kind != "mark" and total[2] > 0:
        metrics.append(Metric("bits_per_byte", len(chosen), top=None))
    if metrics and answers.hit_count is not None:
        metrics.append(Metric("blank_accuracy", len(chosen)))
    names = tuple(metric.name for metric in metrics)
    return MetricGroup(tuple(metrics), chosen, _Losses(sums.astype(np.float64), names).values)


def generation_metrics(answers: Answers, items: Mask) -> MetricGroup:
    """``exact_match``, ``chrf``, ``bleu`` and ``rouge_l`` over ``items``, all of them generated.

    chrF and BLEU run from 0 to 100 and are of the whole corpus; ROUGE-L is the mean F1 of the replies, 0 to 1.
    """
    chosen = np.flatnonzero(items)
    part = select(answers, chosen)
    if not chosen.size:
        return MetricGroup((), chosen, lambda weights: np.empty((len(weights), 0)))
    same = np.array([folded(one) == folded(other) for one, other in zip(part.predicted, part.gold, strict=True)])
    metrics = (
        Metric("exact_match", len(same), partial(share_limits, int(same.sum()), len(same)), outcomes=same),
        Metric("chrf", len(same), top=100.0),
        Metric("bleu", len(same), top=100.0),
        Metric("rouge_l", len(same)),
    )
    tokenizer = bleu_tokenizer(answers.gold)
    means = np.column_stack([same, rouge_l(part.predicted, part.gold)]).astype(np.float64)
    words = bleu_counts(part.predicted, part.gold, tokenizer)
    return MetricGroup(metrics, chosen, _Overlaps(means, words, chrf_counts(part.predicted, part.gold)).values)


@dataclass(frozen=True)
class _Losses:
    sums: Floats  # [items, 4] nats, tokens, bytes, tokens guessed right
    names: Sequence[str]

    def values(self, weights: Floats) -> Floats:
        total = weights @ self.sums
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            loss = total[:, 0] / total[:, 1]
            every = {
                "loss": loss,
                "perplexity": np.exp(loss),
                "bits_per_byte": total[:, 0] / math.log(2) / total[:, 2],
                "blank_accuracy": total[:, 3] / total[:, 1],
            }
        return np.column_stack([every[name] for name in self.names])


@dataclass(frozen=True)
class _Overlaps:
    means: Floats  # [items, 2] exact match, ROUGE-L
    words: Floats  # [items, counts of BLEU]
    characters: Floats  # [items, counts of chrF]

    def values(self, weights: Floats) -> Floats:
        sums = weights @ np.concatenate([self.means, self.words, self.characters], axis=1)
        same, rouge = (sums[:, :2] / weights.sum(axis=1, keepdims=True)).T
        words, characters = sums[:, 2 : 2 + BLEU_COUNTS], sums[:, 2 + BLEU_COUNTS :]
        return np.column_stack([same, chrf(characters), bleu(words), rouge])


def _perplexity_limits(value: float, replicates: Floats, units: int, z: float) -> Limits:
    """The interval of the loss, carried over."""
    with np.errstate(divide="ignore"):
        low, high = percentile_interval(math.log(value), np.log(replicates), units, z)
    return math.exp(low), math.exp(min(high, LARGEST_LOSS))
