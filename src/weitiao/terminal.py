"""How text lies in a terminal: Chinese characters take two columns and may be broken anywhere.

Separate because tables and help texts of every layer need it, and ``len`` and ``textwrap`` know nothing of it.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\s*(?:[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+)")
_NEVER_LAST = ("（", "【", "《", "“", "(", "[")
_NEVER_FIRST = frozenset("，。、；：？！）】》”’,.;:?!)")


def width(text: str) -> int:
    """The columns that ``text`` takes; control characters count as one."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def padded(text: str, columns: int) -> str:
    """``text`` with spaces behind it up to ``columns``; longer text as it is."""
    return text + " " * max(0, columns - width(text))


def wrapped(text: str, columns: int, indent: int = 0) -> list[str]:
    """Lines of at most ``columns``, broken at spaces and between Chinese characters; a long word stays whole."""
    lines: list[str] = []
    line = ""
    for word in _WORD.findall(text):
        if line and width(line + word) > columns - indent and word.strip() not in _NEVER_FIRST:
            opening = line[-1] if line.endswith(_NEVER_LAST) else ""
            lines.append(line.removesuffix(opening))
            line = opening
        line += word if line else word.lstrip()
    return [" " * indent + each for each in [*lines, line] if each]
