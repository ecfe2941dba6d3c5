"""Spans as an answer in words, one on each line, and back: ``person: Ada Lovelace``.

Lines, because they are short, survive any tokenizer, and a line that went wrong spoils no other; the text itself is not
written again, so it cannot be changed on the way. Separate because what a model wrote must be found in the text again:
spans are listed in reading order, so of a text that stands there several times the next one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from weitiao.example import Span

NOTHING = "-"  # the answer where nothing is to be marked


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A line that names no part of the text: its type, "" where there is none, and what it says."""

    name: str
    text: str


def listed(spans: Sequence[Span], text: str) -> str:
    """The answer that marks ``spans``, which do not overlap and stand in reading order."""
    lines = [f"{span.name}: {' '.join(text[span.start : span.end].split())}" for span in spans]
    return "\n".join(lines) or NOTHING


def matched(answer: str, text: str, types: Sequence[str]) -> list[Span | Unmatched]:
    """For each line of ``answer`` the span that it means, or that it means none. No two spans overlap.

    White space and case may differ. Whole words are preferred, and of several places the next one.
    """
    found: list[Span | Unmatched] = []
    taken: list[Span] = []
    for start, end in lines_of(answer):
        line = answer[start:end].strip()
        name = next((name for name in sorted(types, key=len, reverse=True) if _names(line, name)), "")
        written = line[len(name) + 1 :].strip() if name else line
        place = _place(written, text, taken) if name else None
        if place is None:
            found.append(Unmatched(name, written))
            continue
        taken.append(Span(*place, name))
        found.append(taken[-1])
    return found


def lines_of(answer: str) -> list[tuple[int, int]]:
    """Where in ``answer`` each line stands that says something, without its end."""
    places, start = [], 0
    for line in answer.splitlines(keepends=True):
        if line.strip() not in ("", NOTHING):
            places.append((start, start + len(line.rstrip())))
        start += len(line)
    return places


def _names(line: str, name: str) -> bool:
    return line[: len(name)].casefold() == name.casefold() and line[len(name) : len(name) + 1] in (":", "：")


def _place(written: str, text: str, taken: Sequence[Span]) -> tuple[int, int] | None:
    """Where ``written`` stands in ``text``: behind the last span if it can, else anywhere that is free."""
    pattern = r"\s+".join(map(re.escape, written.split()))
    if not pattern:
        return None
    behind = taken[-1].end if taken else 0
    for flags in (0, re.IGNORECASE):
        places = [found.span(1) for found in re.finditer(f"(?=({pattern}))", text, flags)]
        free = [place for place in places if all(place[1] <= one.start or one.end <= place[0] for one in taken)]
        if free:
            return min(free, key=lambda place: (not _is_word(place, text), place[0] < behind, place[0]))
    return None


def _is_word(place: tuple[int, int], text: str) -> bool:
    """Whether no word is cut. Only scripts with spaces have words that could be: ``art`` in ``party``."""
    return not any(0 < edge < len(text) and _joined(text[edge - 1], text[edge]) for edge in place)


def _joined(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and left < "\u2e80" and right < "\u2e80"
