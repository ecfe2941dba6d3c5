"""Text from data, shown to a person: nothing in it may move the cursor, change colours or hide.

Separate because every message, log line and table that quotes a user's data needs it, and it knows nothing of data.
"""

import re

# C0 and C1 controls, DEL, marks of direction, line and paragraph separators, BOM, lone surrogates
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, limit: int = 0) -> str:
    """``text`` on one line, control characters and lone surrogates written as escapes (``\\x1b``).

    Cut to ``limit`` code points with an ellipsis when ``limit`` is not 0.
    """
    if limit and len(text) > limit:
        text = text[: limit - 1] + "…"
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
