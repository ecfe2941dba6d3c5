"""The mask proof for a person: a row's text as the model reads it, with what is learned standing out.

Separate from ``check`` because it is about showing tokens alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from weitiao.cli.output import has_styles, output
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.api.check import ShownRow, Token

_LEARNED = ("1;32", "1;4;32")  # in turn, so that where a token ends can be seen
_LABELS = ("1;36", "1;33", "1;35", "1;34", "1;31", "1;32")  # of types, in turn
_READ = "2"
_LONGEST_RUN = 160  # tokens that are shown whole
_FIRST, _LAST = 110, 40  # of a longer one

Piece = tuple[str, str]


def show_rows(rows: Sequence[ShownRow]) -> None:
    """Show every row under a sentence that says how to read them."""
    out = output()
    if any(token.label for row in rows for token in row.tokens):
        out.show(t("What the model reads; each token learns a label, and those of marks stand behind them:"))
    elif has_styles(sys.stdout):
        out.show(t("What the model reads; only what is bold and green is learned, underlined at every second token:"))
    else:
        out.show(t("What the model reads; only what stands between [[ and ]] is learned, token by token with ·:"))
    for row in rows:
        learned = sum(token.learned for token in row.tokens)
        out.show("")
        out.show_styled(
            [
                (row.source, "1"),
                ("  " + t("{learned} of {count} tokens learned", learned=learned, count=len(row.tokens)), ""),
            ]
        )
        for line in _lines(row.tokens, has_styles(sys.stdout)):
            out.show_styled([("  ", ""), *line])


def _lines(tokens: Sequence[Token], styles: bool) -> Iterator[list[Piece]]:
    """The row's own lines, each as texts with their styles."""
    line: list[Piece] = []
    for text, style in _pieces(tokens, styles):
        first, *others = text.split("\n")
        line.append((first, style))
        for other in others:
            yield line
            line = [(other, style)]
    if any(text for text, _ in line):
        yield line


def _pieces(tokens: Sequence[Token], styles: bool) -> Iterator[Piece]:
    if any(token.label for token in tokens):
        yield from _labelled(tokens)
        return
    for learned, group in groupby(tokens, key=lambda token: token.learned):
        run = list(group)
        texts = [token.text for token in run]
        if len(texts) > _LONGEST_RUN:
            gap = t(" … {count} tokens … ", count=len(texts) - _FIRST - _LAST)
            texts = [*texts[:_FIRST], gap, *texts[-_LAST:]]
        if not learned:
            yield "".join(texts), _READ
        elif styles:
            yield from ((text, _LEARNED[number % 2]) for number, text in enumerate(texts))
        else:
            yield f"[[{'·'.join(text for text in texts if text)}]]", ""


def _labelled(tokens: Sequence[Token]) -> Iterator[Piece]:
    """Each token of a mark with its label behind it, of one colour for a type; all others as they are read."""
    types = list(dict.fromkeys(token.label[2:] for token in tokens if len(token.label) > 2))
    for token in tokens:
        if len(token.label) > 2:
            space = token.text[: len(token.text) - len(token.text.lstrip())]
            style = _LABELS[types.index(token.label[2:]) % len(_LABELS)]
            yield space, ""
            yield f"[{token.text.lstrip()}|{token.label}]", style
        else:
            yield token.text, _READ if not token.label else ""
