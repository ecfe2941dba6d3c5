"""``report.json`` as the page and the card read it: every optional part present, every text harmless to look at.

Separate because a report may come from an older run, from an evaluation without a "before", or hold hostile rows; what
comes out of here needs no further care, so the views stay simple.
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

BLANK: dict[str, Any] = {
    "version": 1,
    "run": "",
    "created": "",
    "weitiao": "",
    "command": "",
    "verdict": [],
    "task": {"kind": "", "question": "", "categories": []},
    "model": {
        "name": "",
        "parameters": None,
        "trained": None,
        "method": "",
        "precision": "",
        "note": "",
        "license": "",
    },
    "data": {
        "path": "",
        "digest": "",
        "read_as": [],
        "ledger": {},
        "reasons": {},
        "shown": [],
        "counts": {},
        "problems": [],
    },
    "before": {"scores": {}, "details": {}},
    "after": {"scores": {}, "details": {}},
    "difference": {},
    "side_effects": {"general": {}, "parents": [], "note": ""},
    "items": [],
    "curve": [],
    "evaluations": [],
    "cost": {
        "seconds": None,
        "cpu_seconds": None,
        "tokens": None,
        "tokens_per_second": None,
        "peak_memory_bytes": None,
        "planned": {"seconds": None, "memory_bytes": None},
    },
    "mask": [],
    "settings": {},
    "lineage": {},
}
ENTRY = {"source": "", "outcome": "", "reason": "", "detail": ""}
PROBLEM = {"kind": "", "where": "", "message": ""}
EFFECT: dict[str, Any] = {"before": {}, "after": {}, "difference": {}}
PARENT: dict[str, Any] = {"run": "", "task": "", "metric": "", **EFFECT}
ITEM: dict[str, Any] = {
    "source": "",
    "text": "",
    "gold": "",
    "before": "",
    "after": "",
    "before_confidence": None,
    "after_confidence": None,
    "change": "",
    "marks": {},
}

# What can repaint a terminal, reorder a line, or cannot be written as UTF-8. Tab and line break stay.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def complete(report: Mapping[str, Any]) -> dict[str, Any]:
    """``report`` with every missing or null part filled from :data:`BLANK` and every text, keys included, made visible.

    A number that is not finite counts as missing.
    """
    given = visible_tree(report)
    if isinstance(given.get("command"), list):
        given["command"] = shlex.join(map(str, given["command"]))
    filled = fill(BLANK, given)
    filled["data"] = whole_data(filled["data"])
    filled["side_effects"] = complete_effects(filled["side_effects"])
    filled["items"] = fill_all(ITEM, filled["items"])
    return filled


def fill(blank: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """``blank`` with what ``given`` has; an object or a list that is something else there counts as missing."""
    given = given if isinstance(given, Mapping) else {}
    filled = {**blank, **{name: value for name, value in given.items() if value is not None}}
    for name, default in blank.items():
        if isinstance(default, dict):
            filled[name] = fill(default, filled[name])
        elif isinstance(default, list) and not isinstance(filled[name], list):
            filled[name] = default
        elif isinstance(default, str) and not isinstance(filled[name], str):
            filled[name] = str(filled[name])
    return filled


def whole_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part ``data`` with each of its rows and problems filled."""
    return {**data, "shown": fill_all(ENTRY, data["shown"]), "problems": fill_all(PROBLEM, data["problems"])}


def fill_all(blank: Mapping[str, Any], given: Sequence[Any]) -> list[dict[str, Any]]:
    """Each object of a list, filled from ``blank``."""
    return [fill(blank, one) for one in given if isinstance(one, Mapping)]


def complete_effects(given: Mapping[str, Any]) -> dict[str, Any]:
    """The part ``side_effects`` of a report with everything that is missing filled in."""
    general = {name: fill(EFFECT, one) for name, one in given["general"].items()}
    return {**given, "general": general, "parents": fill_all(PARENT, given["parents"])}


def number(value: Any) -> float | None:
    """``value`` where it is a finite number, else None."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None


def visible(text: str) -> str:
    """``text`` with control characters, bidi controls and lone surrogates as escapes: ``\\x1b``, ``\\u202e``."""
    return _HIDDEN.sub(_escape, text.replace("\r\n", "\n"))


def visible_tree(value: Any) -> Any:
    """``value`` with every text in it, keys included, made visible, and None for a number that is not finite."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): visible_tree(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [visible_tree(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
