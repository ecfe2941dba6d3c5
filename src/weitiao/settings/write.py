"""``settings.yaml``: every setting of a run with its value and its reason; reading it gives the same settings.

Separate from reading, which it must agree with; the round trip is tested.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from weitiao.settings.forms import comparison_names, forms
from weitiao.settings.schema import Settings
from weitiao.words import t

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_NULLS = frozenset({"null", "Null", "NULL"})
_COLUMN = 44


def settings_yaml(settings: Settings, reasons: Mapping[str, str]) -> str:
    """The file's text. ``reasons`` say, by name, why a value is what it is; without one there is no comment."""
    lines = [f"# {t('The settings of a run. Train again with the same: weitiao train settings.yaml')}", "version: 1"]
    return _with_groups(lines, settings, reasons, left_out=comparison_names())


def comparison_yaml(settings: Settings) -> str:
    """The same of a comparison, which has settings of its own."""
    head = t("The settings of a comparison. Compare again with the same: weitiao compare comparison.yaml")
    return _with_groups([f"# {head}", "version: 1"], settings, {}, left_out=frozenset())


def _with_groups(lines: list[str], settings: Settings, reasons: Mapping[str, str], left_out: frozenset[str]) -> str:
    group = ""
    for name, form in forms().items():
        if name in left_out:
            continue
        if form.group != group:
            group = form.group
            lines += ["", f"# {group}"]
        line = f"{name}: {_yaml(getattr(settings, name))}"
        reason = " ".join(reasons.get(name, "").split())
        lines.append(f"{line:<{_COLUMN}}  # {_one_line(reason)}" if reason else line)
    return "\n".join(lines) + "\n"


def _yaml(value: object) -> str:
    if value is None or value == "":
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text not in _NULLS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{_one_line(escaped)}"'


def _one_line(text: str) -> str:
    """Characters that YAML would refuse or read as a line break, escaped as YAML escapes them."""
    return "".join(c if c.isprintable() or c == "\u3000" else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
