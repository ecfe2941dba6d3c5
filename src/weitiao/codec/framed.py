"""Conversations in the tokens of their template's frame: what the template writes is tokenized once for all rows.

A fast path: control tokens part a text before a tokenizer looks at anything else, so what stands between two of them
has the tokens that it has alone. Separate because tokenizing whole texts (codec.py) is right without it; it is left to
that where a tokenizer lets a control token touch what is beside it, where a template looks at what people wrote, and
where they wrote a control token.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from jinja2.exceptions import SecurityError
from tokenizers import Tokenizer

from weitiao.codec.control import ControlTokens
from weitiao.codec.sealed import Frame, filled, frame_of, numbers_in
from weitiao.codec.seam import borders_of, must_be_kept
from weitiao.codec.template import FRAMES, Template
from weitiao.errors import ModelError
from weitiao.example import Message

Asked = Literal["every_reply", "last_reply", "prompt"]
"""A conversation with the replies to learn, all or the last; or without its reply, up to where one begins."""

Span = tuple[int, int]
_PROBES = ("a", " b", "\n", "c \n\n", "  d ", "。", "1", "E\t", "é", "")


@dataclass(frozen=True, slots=True)
class _Reply:
    """Where a reply stands that is learned."""

    piece: int  # in which its prompt ends
    asked: list[int]  # that piece's tokens up to there, as they are when the prompt stands alone
    last: int  # the piece in which it ends
    offset: int  # tokens of that piece which belong to it


@dataclass(frozen=True, slots=True)
class _Framed:
    """A frame in tokens, and where people's texts go: pieces are in turn tokens, and texts that await contents."""

    pieces: list[list[int] | Frame]
    replies: list[_Reply]


class Frames:
    """The frames of one tokenizer and template."""

    def __init__(self, tokenizer: Tokenizer, template: Template, control: ControlTokens) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._control = control
        self._border = re.compile("(" + "|".join(map(re.escape, sorted(control.ids, key=len, reverse=True))) + ")")
        self._known: dict[tuple[str, ...], _Framed | None] = {}

    def rows(
        self, conversations: Sequence[Sequence[Message]], asked: Asked
    ) -> list[tuple[list[int], list[Span]] | None]:
        """The tokens of each conversation, and the spans that are learned; None for one that has no such frame."""
        rows = [self._texts(messages, asked) for messages in conversations]
        distinct = list({text for row in rows if row is not None for text in row[1]})
        raws = self._tokenizer.encode_batch_fast(distinct, add_special_tokens=False)
        tokens = {text: raw.ids for text, raw in zip(distinct, raws, strict=True)}
        return [None if row is None else _row(row[0], row[1], tokens) for row in rows]

    def _texts(self, messages: Sequence[Message], asked: Asked) -> tuple[_Framed, list[str]] | None:
        """The frame of a conversation, and the texts of the pieces that await contents."""
        contents = [message.content for message in messages]
        for content in contents:
            if self._control.covered(content) is not content:
                return None
        shape = (asked, *[message.role for message in messages])
        if shape not in self._known:
            if len(self._known) >= FRAMES:
                self._known.clear()
            self._known[shape] = self._framed(messages, asked) if self._exact else None
        framed = self._known[shape]
        if framed is None:
            return None
        return framed, [filled(piece, contents) for piece in framed.pieces if isinstance(piece, tuple)]

    def _framed(self, messages: Sequence[Message], asked: Asked) -> _Framed | None:
        try:
            if asked == "prompt":
                text, borders = self._template.sealed(messages, True), list[int]()
            else:
                text, borders = borders_of(self._template.sealed, messages, asked == "every_reply")
        except (ModelError, SecurityError):  # the text itself will say whether something is wrong
            return None
        if asked != "prompt" and not must_be_kept(messages) <= numbers_in(text):
            return None
        parts = self._border.split(text)
        places = _places(parts, borders)
        return None if places is None else self._in_tokens(parts, places)

    def _in_tokens(self, parts: Sequence[str], places: Sequence[tuple[int, str, int]]) -> _Framed | None:
        fixed: list[int] = []
        pieces: list[list[int] | Frame] = [fixed]
        stands: list[tuple[int, int]] = []  # of each part: its piece, and the tokens of that which stand before it
        for part in parts:
            frame = frame_of(part)
            if all(isinstance(each, str) for each in frame):
                stands.append((len(pieces) - 1, len(fixed)))
                fixed += self._tokens(part)
            else:
                fixed = []
                stands.append((len(pieces), 0))
                pieces += [frame, fixed]
        stands.append((len(pieces) - 1, len(fixed)))
        replies = [_Reply(stands[part][0], self._tokens(prompt), *stands[behind]) for part, prompt, behind in places]
        return None if any(isinstance(pieces[reply.piece], list) for reply in replies) else _Framed(pieces, replies)

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    @cached_property
    def _exact(self) -> bool:
        """Whether the tokens of a text are those of its parts."""
        return bool(self._control.ids) and not self._touching() and self._equal_in_probes()

    def _touching(self) -> bool:
        """Whether a control token takes white space with it, looks at its neighbours, or is part of another token."""
        normalizing = self._tokenizer.normalizer is not None
        for token in self._tokenizer.get_added_tokens_decoder().values():
            if token.single_word:
                return True
            if token.content in self._control.ids:
                if token.lstrip or token.rstrip or (token.normalized and normalizing):
                    return True
            elif any(_overlaps(token.content, name) for name in self._control.ids):
                return True
        return False

    def _equal_in_probes(self) -> bool:
        names = list(self._control.ids)
        text = "".join(probe + names[number % len(names)] for number, probe in enumerate(_PROBES * 2))
        parts = self._border.split(text)
        return [number for part in parts for number in self._tokens(part)] == self._tokens(text)


def _places(parts: Sequence[str], borders: Sequence[int]) -> list[tuple[int, str, int]] | None:
    """For each reply: the part in which its prompt ends, that part's text up to there, and the part behind the reply.

    None where the prompt's end is not the template's own text alone, or where a reply ends inside a part.
    """
    starts = [0, *accumulate(map(len, parts))]
    places = []
    for begin, end in zip(borders[::2], borders[1::2], strict=True):
        part = (bisect_right(starts, begin, 0, len(parts)) - 1) & ~1  # every other part is a control token
        behind = bisect_left(starts, end)
        prompt = parts[part][: begin - starts[part]]
        if starts[behind] != end or numbers_in(prompt):
            return None
        places.append((part, prompt, behind))
    return places


def _row(framed: _Framed, texts: Sequence[str], tokens: Mapping[str, list[int]]) -> tuple[list[int], list[Span]] | None:
    """None where a reply joins with its prompt."""
    ids: list[int] = []
    firsts: list[int] = []
    rest = iter(texts)
    for piece in framed.pieces:
        firsts.append(len(ids))
        ids += tokens[next(rest)] if isinstance(piece, tuple) else piece
    spans = []
    for reply in framed.replies:
        start = firsts[reply.piece] + len(reply.asked)
        if ids[firsts[reply.piece] : start] != reply.asked:
            return None
        spans.append((start, firsts[reply.last] + reply.offset))
    return ids, spans


def _overlaps(text: str, name: str) -> bool:
    """Whether ``text`` holds ``name``, or ends in its beginning."""
    return name in text or any(text.endswith(name[:length]) for length in range(1, len(name)))
