"""Marked spans as JSON: how answers, reports and predictions hold them, and how a reader of data takes them in again.

Separate because an answer is a text everywhere else; here it is one that says where in another text something stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weitiao.codec.listed import Unmatched
from weitiao.example import Kind, Span
from weitiao.objectives.mark import Marked
from weitiao.words import t

NOWHERE = -1  # where a span stands that a model wrote and the text does not hold
_DIGITS = 4


def spans_json(marks: Iterable[Marked | Unmatched], text: str) -> list[dict[str, Any]]:
    """``{"start", "end", "label", "text", "confidence"}`` of each, offsets in code points.

    What is not in the text has no offsets; what has no confidence has none.
    """
    return [_span_json(mark, text) for mark in marks]


def gold_json(spans: Sequence[Span], text: str) -> str:
    """The spans that should be found, as the text of an answer."""
    return dumped(spans_json([Marked(span) for span in spans], text))


def dumped(spans: Sequence[dict[str, Any]]) -> str:
    """Spans as the text of an answer."""
    return json.dumps(spans, ensure_ascii=False) if spans else ""


def parsed(answer: str) -> list[dict[str, Any]]:
    """Back from :func:`dumped`."""
    spans: list[dict[str, Any]] = json.loads(answer) if answer else []
    return spans


def placed(answer: str) -> list[Span]:
    """The spans of an answer, without their confidence; what is not in the text stands nowhere."""
    return [Span(one.get("start", NOWHERE), one.get("end", NOWHERE), one["label"]) for one in parsed(answer)]


def in_words(answer: str) -> str:
    """An answer for a person: a line for each span; what is not in the text says so."""
    spans = parsed(answer)
    lost = t("not in the text")
    return "\n".join(f"{one['label']}: {one['text']}" + ("" if "start" in one else f" ({lost})") for one in spans)


def shown_answers(text: str, kind: Kind, answers: Mapping[str, str]) -> dict[str, Any]:
    """The answers to one item as a report shows them; of marks also the text in parts, each with its label or ""."""
    if kind != "mark":
        return dict(answers)
    parts = {name: _parts(text, parsed(answer)) for name, answer in answers.items()}
    return {**{name: in_words(answer) for name, answer in answers.items()}, "marks": parts}


def _parts(text: str, spans: Sequence[dict[str, Any]]) -> list[list[str]]:
    parts, end = [], 0
    for one in sorted((one for one in spans if "start" in one), key=lambda one: one["start"]):
        parts += [[text[end : one["start"]], ""], [text[one["start"] : one["end"]], one["label"]]]
        end = one["end"]
    return [part for part in [*parts, [text[end:], ""]] if part[0]]


def _span_json(mark: Marked | Unmatched, text: str) -> dict[str, Any]:
    if isinstance(mark, Unmatched):
        return {"label": mark.name, "text": mark.text}
    span = mark.span
    found: dict[str, Any] = {"start": span.start, "end": span.end, "label": span.name}
    found["text"] = text[span.start : span.end]
    return found if mark.confidence is None else {**found, "confidence": round(mark.confidence, _DIGITS)}
