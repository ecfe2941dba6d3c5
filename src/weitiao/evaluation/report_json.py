"""``report.json`` as the page and the card read it: every optional part present, every text harmless to look at.

Separate because a report may come from an older run, from an evaluation without a "before", or hold hostile rows; what
comes out of here needs no further care, so the views stay simple.
"""

import math
import re
from collections.abc import Mapping
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
    filled = _fill(BLANK, _visible_tree(report))
    filled["data"]["shown"] = [_fill(ENTRY, entry) for entry in filled["data"]["shown"]]
    filled["data"]["problems"] = [_fill(PROBLEM, problem) for problem in filled["data"]["problems"]]
    filled["items"] = [_fill(ITEM, item) for item in filled["items"]]
    return filled


def visible(text: str) -> str:
    """``text`` with control characters, bidi controls and lone surrogates as escapes: ``\\x1b``, ``\\u202e``."""
    return _HIDDEN.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _fill(blank: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    filled = {**blank, **{name: value for name, value in given.items() if value is not None}}
    for name, default in blank.items():
        if isinstance(default, dict):
            filled[name] = _fill(default, filled[name])
    return filled


def _visible_tree(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _visible_tree(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_visible_tree(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
