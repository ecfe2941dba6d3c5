"""JSON values from text, strictly: what Python's parser lets through (NaN, repeated keys, lone surrogates) is said.

Separate because JSONL and JSON arrays read the same values. The usual row is parsed once by the C scanner with hooks
that only object; a row that they object to is parsed again, tolerantly, to say what is odd about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import isinf

from weitiao.data.ledger import Dropped
from weitiao.data.notes import Notes
from weitiao.data.record import Record
from weitiao.data.visible import visible
from weitiao.words import t

# An escaped surrogate (half of a pair, or alone) or NUL: rare, and the only way to get either past the decoder of UTF-8
_ODD_ESCAPE = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
_MAX_DIGITS = 4300  # Python refuses longer ones, as their conversion takes quadratic time


def decode_value(text: str, at: int, place: str, notes: Notes) -> tuple[object, int]:
    """The JSON value that begins exactly at ``text[at]``, and where it ends.

    Repeated keys and impossible numbers are noted at ``place``. Raises json.JSONDecodeError, RecursionError.
    """
    try:
        return _STRICT.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        odd: list[tuple[str, str]] = []
        value, end = _tolerant(odd).raw_decode(text, at)
        for kind in ("repeated_key", "bad_number"):
            first = next((detail for found, detail in odd if found == kind), None)
            if first is not None:
                notes.add("repeated_key" if kind == "repeated_key" else "bad_number", place, first)
        return value, end


def has_odd_escape(text: str) -> bool:
    """Whether JSON source holds an escaped surrogate or NUL, so that its value must be looked at closely."""
    return "\\u" in text and _ODD_ESCAPE.search(text) is not None


def make_record(value: object, place: str, odd: bool) -> Record | Dropped:
    """The record of one JSON value (``odd``: see has_odd_escape); dropped when it is no object or holds broken text."""
    if not isinstance(value, dict):
        return Dropped(place, "wrong_type", t("is {found}, not an object", found=kind_of(value)))
    problem = _broken_text(value) if odd else ""
    return Dropped(place, "bad_encoding", problem) if problem else Record(place, value)


def is_json(text: str) -> bool:
    """Whether ``text`` is one whole JSON value."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return t("nothing (null)")
        case bool():
            return t("true or false")
        case int() | float():
            return t("a number")
        case str():
            return t("a text")
        case list():
            return t("a list")
        case dict():
            return t("an object")
        case _:
            return type(value).__name__


class _Odd(ValueError):  # noqa: N818 - a signal of the hooks, never shown
    """The strict parser met something that is no JSON, or says one thing twice."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Odd
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if isinf(value):
        raise _Odd
    return value


def _no_constant(name: str) -> object:
    raise _Odd


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def _tolerant(odd: list[tuple[str, str]]) -> json.JSONDecoder:
    """A parser that reads impossible numbers as null and the last of repeated keys, and writes both down in ``odd``."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        value: dict[str, object] = {}
        for key, item in items:
            if key in value:
                odd.append(("repeated_key", visible(key, 40)))
            value[key] = item
        return value

    def number(digits: str) -> float | None:
        value = float(digits)
        if isinf(value):
            odd.append(("bad_number", visible(digits, 20)))
            return None
        return value

    def whole(digits: str) -> int | None:
        if len(digits) > _MAX_DIGITS:
            odd.append(("bad_number", visible(digits, 20)))
            return None
        return int(digits)

    def constant(name: str) -> None:
        odd.append(("bad_number", name))

    # typeshed wants a float from parse_float and an int from parse_int; the parser takes whatever they return
    hooks: dict[str, object] = {"parse_float": number, "parse_int": whole}
    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=constant, **hooks)  # type: ignore[arg-type]


def _broken_text(value: object) -> str:
    """What is wrong with some text in ``value``: half a surrogate pair, or NUL; empty when nothing is."""
    for text in _texts(value):
        if "\0" in text:
            return t("holds a NUL character (\\u0000)")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return t("holds half a surrogate pair ({code})", code=f"\\u{ord(text[error.start]):04x}")
    return ""


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
