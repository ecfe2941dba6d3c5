"""Every metric of a model's answers with its interval, and of after against before with its test: the entry.

Separate so that whoever wants numbers needs one import. Nothing here needs torch, and no result ever holds NaN: a
metric that is not defined is left out, and :func:`details` says why.

Metrics of ``classify``: accuracy, macro_f1, f1/LABEL, precision/LABEL, recall/LABEL, ece, brier, loss, auroc; where a
text may have several categories exact_match, micro_f1, macro_f1, f1, precision and recall of each, and loss. Of
``mark``: span_f1, span_precision, span_recall, each of them /TYPE, and loss. Of the other kinds: loss (nats per token),
perplexity, bits_per_byte or, where tokens were hidden, blank_accuracy, and of generated replies exact_match, chrf,
bleu, rouge_l.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers, select
from weitiao.evaluation.calibration import calibration_bins, chance_error
from weitiao.evaluation.classification import category_indices, category_table, confusion_matrix
from weitiao.evaluation.omissions import has_probabilities, omitted_of_categories, omitted_of_texts
from weitiao.evaluation.overlap import bleu_tokenizer, han_share
from weitiao.evaluation.repeated import differences_of, scores_of
from weitiao.evaluation.replies import scored
from weitiao.evaluation.several import several_details
from weitiao.evaluation.spans import omitted_spans, span_table, unmatched, weaker
from weitiao.evaluation.statistics import Difference, Score

__all__ = ["Answers", "Difference", "Score", "details", "differences", "scores"]


def scores(
    answers: Answers, categories: Sequence[str] = (), seed: int = 0, clusters: Sequence[str] | None = None
) -> dict[str, Score]:
    """Every metric that is defined, with its 95 % interval.

    ``clusters`` names for each item what it was drawn together with, such as its document; every interval is then the
    bootstrap's over clusters. The order of the items changes nothing. Raises ``DataError`` on a gold category that is
    not among ``categories``.
    """
    return scores_of([answers], categories, seed, clusters)


def differences(
    before: Answers,
    after: Answers,
    categories: Sequence[str] = (),
    seed: int = 0,
    clusters: Sequence[str] | None = None,
) -> dict[str, Difference]:
    """After minus before of every metric that is defined in both, over the items that both have.

    p comes from the paired bootstrap (``statistics.bootstrap_p``), for accuracy and exact_match from McNemar's exact
    test. The interval comes from the paired bootstrap too; of metrics whose own interval is a formula's, and where a
    value stands at an end of its scale and every resample is the same, ``statistics.difference_interval`` joins the two
    intervals. With ``clusters`` p is always the bootstrap's. Losses per token are compared only where both models cut
    the texts into the same number of tokens.

    Raises ``ValueError`` unless both answer the same items in the same order.
    """
    return differences_of([before], [after], categories, seed, clusters)


def details(answers: Answers, categories: Sequence[str] = ()) -> dict[str, Any]:
    """What stands behind the scores, as JSON.

    Always: ``items``, ``omitted`` (metric to the reason, translated). ``classify``: ``confusion`` (counts, rows
    right, columns given, in the order of ``categories``), ``per_class`` (``category``, ``support``, ``predicted``,
    and ``precision``, ``recall``, ``f1`` as scores or None), ``majority`` (``category``, ``share``: what the
    commonest answer alone would get), and with probabilities ``calibration`` (bins ``low``, ``high``, ``count``,
    ``confidence``, ``accuracy``, ``interval``) and ``ece_by_chance`` (the mean ece of a perfectly calibrated model
    with these confidences); where answers name no category, which ``confusion`` leaves out, ``unusable`` counts them
    for each right category. ``mark``: ``per_class`` (``category``, and how many spans are ``support``, ``predicted``,
    ``found``), ``spans`` (right ones in all), ``weaker`` (F1 by ``borders`` whatever the type, and by ``overlap``) and
    ``unmatched`` (spans that were written and are not in the text). Else: ``tokens``, ``bytes``, ``generated``, and
    where replies were generated ``bleu_tokenizer`` and ``han_share``.
    """
    if answers.held is not None:
        return several_details(answers, categories)
    if answers.kind == "classify":
        return _category_details(answers, categories)
    if answers.kind == "mark":
        return _span_details(answers, categories)
    written = np.flatnonzero(answers.generated)
    use = scored(answers)
    found: dict[str, Any] = {
        "items": len(answers),
        "tokens": int(np.asarray(answers.loss_count)[use].sum()),
        "bytes": int(np.asarray(answers.byte_count)[use].sum()),
        "generated": len(written),
    }
    if written.size:
        found |= {"bleu_tokenizer": bleu_tokenizer(answers.gold), "han_share": han_share(answers.gold)}
    return found | {"omitted": omitted_of_texts(answers, use)}


def _span_details(answers: Answers, types: Sequence[str]) -> dict[str, Any]:
    items, answers = len(answers), select(answers, np.asarray(answers.generated, dtype=np.bool_))
    table = span_table(answers, types)
    return {
        "items": items,
        "marked": len(answers),
        "categories": list(types),
        "per_class": table,
        "spans": sum(row["support"] for row in table),
        "weaker": weaker(answers, seed=0),
        "unmatched": unmatched(answers),
        "omitted": omitted_spans(answers, types),
    }


def _category_details(answers: Answers, categories: Sequence[str]) -> dict[str, Any]:
    gold, predicted = category_indices(answers, categories)
    table = confusion_matrix(gold, predicted, len(categories))
    support = table.sum(axis=1)
    found: dict[str, Any] = {
        "items": len(answers),
        "categories": list(categories),
        "confusion": table[:, :-1].tolist(),
        "per_class": category_table(table, categories),
    }
    if table[:, -1].any():
        found["unusable"] = table[:, -1].tolist()
    if len(answers):
        found["majority"] = {
            "category": categories[int(support.argmax())],
            "share": float(support.max() / len(answers)),
        }
    if len(answers) and has_probabilities(answers):
        found["calibration"] = calibration_bins(answers, gold, predicted)
        found["ece_by_chance"] = chance_error(answers, predicted)
    return found | {"omitted": omitted_of_categories(answers, table, categories)}
