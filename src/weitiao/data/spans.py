"""Marked spans: from tags of the BIO family, and from the offsets that labelling tools write.

Separate because offsets are easy to get wrong: they are code points here, while some tools count UTF-16 units, in which
an emoji is two. Where the tool also wrote the marked text, that decides.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from weitiao.data.fields import Unfit, label_name, wrong_type
from weitiao.data.visible import visible
from weitiao.example import Span, Spans
from weitiao.words import t

_STARTS = ("start", "start_offset")
_ENDS = ("end", "end_offset")
_LABELS = ("label", "labels", "name", "type", "entity_group")


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[int]]:
    """The text of the tokens, and the code-point offset at which each begins.

    One space between tokens, none where a Chinese or Japanese character or wide punctuation touches the gap.
    """
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    previous = ""
    for token in tokens:
        if previous and not (_is_wide(previous[-1]) or _is_wide(token[0])):
            parts.append(" ")
            length += 1
        starts.append(length)
        parts.append(token)
        length += len(token)
        previous = token
    return "".join(parts), starts


def tagged_spans(tokens: Sequence[str], starts: Sequence[int], tags: Sequence[str]) -> Spans:
    """The spans of BIO, IOB1, BIOES, BILOU or BMES tags; bare tags (``PER``) mark neighbours of one type together."""
    spans: list[Span] = []
    begin, name = -1, ""
    for index, tag in enumerate(tags):
        position, kind = _split_tag(tag)
        goes_on = begin >= 0 and kind == name and position in "IMEL"
        if begin >= 0 and not goes_on:
            spans.append(Span(begin, starts[index - 1] + len(tokens[index - 1]), name))
            begin = -1
        if kind and begin < 0:
            begin, name = starts[index], kind
        if kind and position in "ELSU":
            spans.append(Span(begin, starts[index] + len(tokens[index]), name))
            begin = -1
    if begin >= 0:
        spans.append(Span(begin, starts[-1] + len(tokens[-1]), name))
    return Spans(tuple(spans))


def offset_spans(items: object, text: str, path: str) -> Spans:
    """The spans of a list of ``[start, end, name]`` or of objects with start, end, label; Unfit when one is wrong."""
    if not isinstance(items, list):
        raise wrong_type(items, path, t("a list of spans"))
    spans = [span for index, item in enumerate(items) for span in _spans_of_item(item, text, f"{path}[{index}]")]
    return Spans(tuple(sorted(spans, key=lambda span: (span.start, span.end))))


def outermost(spans: Spans, text: str) -> tuple[Span, ...]:
    """Spans that lie neither in nor across one another, in reading order and without white space at their ends.

    Of several that overlap the first stays, and of several that begin together the longest.
    """
    kept: list[Span] = []
    for span in sorted(spans.spans, key=lambda span: (span.start, -span.end)):
        inside = text[span.start : span.end]
        start = span.start + len(inside) - len(inside.lstrip())
        end = span.start + len(inside.rstrip())
        if start < end and (not kept or start >= kept[-1].end):
            kept.append(Span(start, end, span.name))
    return tuple(kept)


def is_span(item: object) -> bool:
    """Whether ``item`` has the form of a span."""
    if isinstance(item, list):
        return len(item) == 3 and isinstance(item[0], int) and isinstance(item[1], int) and isinstance(item[2], str)
    return isinstance(item, dict) and _first(item, _STARTS) is not None and _first(item, _ENDS) is not None


def _spans_of_item(item: object, text: str, path: str) -> list[Span]:
    if isinstance(item, list) and len(item) == 3:
        start, end, names, marked = item[0], item[1], item[2], None
    elif isinstance(item, dict):
        start, end, names, marked = _first(item, _STARTS), _first(item, _ENDS), _first(item, _LABELS), item.get("text")
    else:
        raise wrong_type(item, path, t("a span"))
    for value in (start, end):
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(value, path, t("a span with whole numbers as start and end"))
    start, end = _code_points(text, int(start), int(end), marked if isinstance(marked, str) else None, path)
    named = names if isinstance(names, list) else [names]
    return [Span(start, end, name) for value in named if (name := label_name(value, path))]


def _code_points(text: str, start: int, end: int, marked: str | None, path: str) -> tuple[int, int]:
    if 0 <= start < end <= len(text) and (marked is None or _same(text[start:end], marked)):
        return start, end
    if marked is not None and 0 <= start < end:
        units = text.encode("utf-16-le", "surrogatepass")
        before = len(units[: 2 * start].decode("utf-16-le", "replace"))
        inside = units[2 * start : 2 * end].decode("utf-16-le", "replace")
        if _same(inside, marked):
            return before, before + len(inside)
        raise Unfit(
            "malformed",
            t(
                "`{path}` marks {start} to {end}, which is not its text `{text}`",
                path=path,
                start=start,
                end=end,
                text=visible(marked, 40),
            ),
        )
    raise Unfit(
        "malformed",
        t(
            "`{path}` marks {start} to {end} of a text of {length} characters",
            path=path,
            start=start,
            end=end,
            length=len(text),
        ),
    )


def _same(found: str, marked: str) -> bool:
    # Label Studio writes line breaks inside the marked text as \n in two characters
    return found == marked or found == marked.replace("\\n", "\n")


def _split_tag(tag: str) -> tuple[str, str]:
    """``B-PER`` is ("B", "PER"), ``O`` is ("O", ""), a bare ``PER`` counts as inside."""
    if tag in ("O", "", "_"):
        return "O", ""
    if len(tag) > 2 and tag[1] in "-_" and tag[0] in "BIESLUM":
        return tag[0], tag[2:]
    return "I", tag


def _first(item: Mapping[str, object], names: Sequence[str]) -> object:
    return next((item[name] for name in names if name in item), None)


def _is_wide(character: str) -> bool:
    """Korean is written wide too but with spaces between its words; emoji are wide symbols (category So)."""
    if unicodedata.east_asian_width(character) not in "WF" or unicodedata.category(character) == "So":
        return False
    return not unicodedata.name(character, "").startswith("HANGUL")
