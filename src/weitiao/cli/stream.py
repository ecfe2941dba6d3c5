"""A text of the model put out piece by piece, as it is being written, with nothing in it that steers the terminal."""

from __future__ import annotations

import sys

from weitiao.data.visible import visible

_TAB = "    "


def put(piece: str) -> None:
    """Write ``piece`` to stdout as it stands; only line breaks have an effect, a tab becomes four spaces."""
    lines = piece.replace("\r\n", "\n").replace("\t", _TAB).split("\n")
    text = "\n".join(visible(line) for line in lines)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
