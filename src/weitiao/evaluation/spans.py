"""How well spans are found: precision, recall and F1 over all spans, of each type, and by weaker measures of "found".

A span counts as found when type and both borders are right. Sums over all texts are divided once (micro), as CoNLL-2003
does (Tjong Kim Sang and De Meulder, 2003). Spans of one text are not independent, so intervals come from the bootstrap
over texts. Separate because its items hold any number of answers each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers, Indices, Mask, select
from weitiao.evaluation.marked import NOWHERE, placed
from weitiao.evaluation.metric_group import Metric, MetricGroup, Resampling, group_scores
from weitiao.evaluation.statistics import Floats
from weitiao.example import Span
from weitiao.words import t

Hits = Callable[[Sequence[Span], Sequence[Span]], int]

SPAN_METRICS = ("span_f1", "span_precision", "span_recall")
_PARTS = 3  # found, right and given spans


def span_metrics(answers: Answers, types: Sequence[str], written: Mask) -> MetricGroup:
    """``span_f1``, ``span_precision`` and ``span_recall``, and the same of each type, such as ``span_f1/person``.

    Over the items that are ``written``. A type that no text of the test holds has no recall and no F1, and one that was
    never given no precision. ``count`` is the number of texts that hold such a span.
    """
    items = np.flatnonzero(written)
    pairs = _pairs(select(answers, items))
    columns, names = [_counts(pairs, exact)], [""]
    for name in types:
        columns.append(_counts([tuple(_of_type(side, name) for side in pair) for pair in pairs], exact))
        names.append(f"/{name}")
    return _group(np.concatenate(columns, axis=1), names, items)


def weaker(answers: Answers, seed: int) -> dict[str, Any]:
    """F1 by weaker measures, as scores: ``borders`` whatever the type, ``overlap`` of the same type."""
    found = {}
    for name, hits in (("borders", same_borders), ("overlap", overlapping)):
        counts = _counts(_pairs(answers), hits)
        scores = group_scores(_group(counts, [""], np.arange(len(counts))), Resampling(seed))
        found[name] = scores["span_f1"].json() if "span_f1" in scores else None
    return found


def span_table(answers: Answers, types: Sequence[str]) -> list[dict[str, Any]]:
    """For each type how many spans are right, were given, and are both."""
    pairs = _pairs(answers)
    rows = []
    for name in types:
        found, right, given = _counts([tuple(_of_type(side, name) for side in pair) for pair in pairs], exact).sum(0)
        rows.append({"category": name, "support": int(right), "predicted": int(given), "found": int(found)})
    return rows


def unmatched(answers: Answers) -> int:
    """How many spans were written that their text does not hold."""
    return sum(span.start == NOWHERE for answer in answers.predicted for span in placed(answer))


def omitted_spans(answers: Answers, types: Sequence[str]) -> dict[str, str]:
    """Each metric of spans that is left out, with the reason."""
    rows = span_table(answers, types)
    omitted: dict[str, str] = {}
    for name, row in [("", _sums(rows)), *((f"/{row['category']}", row) for row in rows)]:
        if not row["support"]:
            omitted |= dict.fromkeys((f"span_f1{name}", f"span_recall{name}"), t("no text of the test holds one"))
        if not row["predicted"]:
            omitted[f"span_precision{name}"] = t("none was given")
    return omitted


def same_spans(gold: str, predicted: str) -> bool:
    """Whether an answer marks exactly what should be marked."""
    return sorted(map(_key, placed(gold))) == sorted(map(_key, placed(predicted)))


def exact(right: Sequence[Span], given: Sequence[Span]) -> int:
    """How many are the same in type and borders."""
    return len(set(map(_key, right)) & set(map(_key, given)))


def same_borders(right: Sequence[Span], given: Sequence[Span]) -> int:
    """How many have the same borders."""
    return len({_key(span)[:2] for span in right} & {_key(span)[:2] for span in given})


def overlapping(right: Sequence[Span], given: Sequence[Span]) -> int:
    """How many can be paired, each once, with one of the same type that shares a character."""
    left = sorted(given, key=_key)
    pairs = 0
    for span in sorted(right, key=_key):
        other = next((o for o in left if o.name == span.name and o.start < span.end and span.start < o.end), None)
        if other is not None:
            left.remove(other)
            pairs += 1
    return pairs


@dataclass(frozen=True)
class _Shares:
    counts: Floats  # [items, groups * 3]
    chosen: Sequence[int]  # of the metrics, those that are defined

    def values(self, weights: Floats) -> Floats:
        sums = weights @ self.counts
        found, right, given = (sums[:, part::_PARTS] for part in range(_PARTS))
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(right > 0, 2 * found / (right + given), np.nan)
            every = np.stack([f1, found / given, found / right], axis=2)  # [replicates, groups, metrics]
        return every.reshape(len(weights), -1)[:, self.chosen]


def _group(counts: Floats, names: Sequence[str], texts: Indices) -> MetricGroup:
    metrics, chosen = [], []
    for number, name in enumerate(names):
        _, right, given = (counts[:, _PARTS * number + part] for part in range(_PARTS))
        behind = ((right > 0) | (given > 0), given > 0, right > 0)
        for position, (metric, items) in enumerate(zip(SPAN_METRICS, behind, strict=True)):
            if items.any() and (right.any() or metric == "span_precision"):
                metrics.append(Metric(f"{metric}{name}", int(items.sum())))
                chosen.append(len(SPAN_METRICS) * number + position)
    return MetricGroup(tuple(metrics), texts, _Shares(counts, chosen).values)


def _counts(pairs: Sequence[Sequence[Sequence[Span]]], hits: Hits) -> Floats:
    """[items, 3]: how many spans were found, are right, were given."""
    rows = [(hits(right, given), len(right), len(given)) for right, given in pairs]
    return np.array(rows, dtype=np.float64).reshape(-1, _PARTS)


def _pairs(answers: Answers) -> list[tuple[list[Span], list[Span]]]:
    return [(placed(gold), placed(given)) for gold, given in zip(answers.gold, answers.predicted, strict=True)]


def _of_type(spans: Sequence[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.name


def _sums(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in ("support", "predicted")}
