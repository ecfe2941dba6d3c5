"""GLM blank infilling (Du et al., 2022, arXiv:2103.10360): cut spans out, write them after the text.

The text with its blanks is read from both sides; the spans follow in random order, each written from left to right.
Every token has two positions: in the text, where a span's tokens all stand at their blank, and inside the span, from 1;
0 in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.data.ledger import Dropped
from weitiao.example import Example
from weitiao.objectives.causal import Encoded
from weitiao.objectives.documents import whole_documents
from weitiao.objectives.row import IGNORE, NEVER_HIDDEN, Row
from weitiao.objectives.units import sentences_of

Blanks = Literal["spans", "sentences", "document", "mixed"]

_MEAN_SPAN = 3  # tokens, Poisson
_LEAST_CONTINUED = 0.5  # of a document, at least, is its last span
_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class BlankTokens:
    """The control tokens of blanks: what stands in the text for each kind, and what begins and ends a written span."""

    span: int
    sentence: int
    document: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Infill:
    """Blanks are short spans or whole sentences, ``share`` of the tokens, or the document's end; or any of these."""

    tokens: BlankTokens
    blanks: Blanks = "mixed"
    share: float = 0.15

    def encode(self, examples: Sequence[Example], codec: Codec) -> list[Encoded | Dropped]:
        """As :class:`weitiao.objectives.objective.Objective` says. The end of a text is the end of its last span."""
        return [_open(each) for each in whole_documents(examples, codec, sentences_of)]

    def most(self, cutoff_len: int) -> int:
        """As :class:`weitiao.objectives.objective.Objective` says: each blank adds itself and a span's beginning."""
        return max(1, int((cutoff_len - 2) / (1 + 2 * self.share)))

    def draw(self, row: Row, rng: np.random.Generator) -> Row:
        """``row`` with new blanks."""
        assert row.units is not None, "infilling rows know their units"
        inside = np.flatnonzero(row.units != NEVER_HIDDEN)
        first, count = int(inside[0]), len(inside)
        kind = self._kind(rng)
        if kind == "document":
            spans, blank = [_last_span(count, rng)], self.tokens.document
        elif kind == "sentences":
            spans, blank = _sentences(row.units[inside], self.share, rng), self.tokens.sentence
        else:
            spans, blank = _short_spans(count, self.share, rng), self.tokens.span
        order = rng.permutation(len(spans))
        return cut_out(row, [(first + start, first + end) for start, end in spans], order.tolist(), blank, self.tokens)

    def _kind(self, rng: np.random.Generator) -> Blanks:
        if self.blanks != "mixed":
            return self.blanks
        kinds: tuple[Blanks, ...] = ("spans", "spans", "sentences", "document")
        return kinds[int(rng.integers(len(kinds)))]


def cut_out(row: Row, spans: Sequence[_Span], order: Sequence[int], blank: int, marks: BlankTokens) -> Row:
    """``row`` with ``spans``, ascending and apart, replaced by ``blank``, and written after it in ``order``."""
    tokens: list[NDArray[np.int32]] = []
    places, position, done = [], 0, 0
    for start, end in spans:
        tokens += [row.tokens[done:start], np.array([blank], dtype=np.int32)]
        position += start - done + 1
        places.append(position - 1)
        done = end
    tokens.append(row.tokens[done:])
    prefix = position + len(tokens[-1])
    targets = [np.full(prefix, IGNORE, dtype=np.int32)]
    positions = [np.column_stack([np.arange(prefix), np.zeros(prefix)])]
    for number in order:
        start, end = spans[number]
        span = row.tokens[start:end]
        tokens += [np.array([marks.begin], dtype=np.int32), span]
        targets += [span, np.array([marks.end], dtype=np.int32)]
        inside = np.arange(1, len(span) + 2)
        positions.append(np.column_stack([np.full(len(inside), places[number]), inside]))
    return Row(
        row.example,
        np.concatenate(tokens),
        np.concatenate(targets),
        prefix,
        np.concatenate(positions).astype(np.int32),
    )


def _open(encoded: Encoded | Dropped) -> Encoded | Dropped:
    """Without the tokens that close a text."""
    if isinstance(encoded, Dropped):
        return encoded
    row, encoding = encoded.row, encoded.encoding
    length = int(np.flatnonzero(row.targets != IGNORE)[-1]) + 1
    assert row.units is not None
    row = replace(row, tokens=row.tokens[:length], targets=row.targets[:length], units=row.units[:length])
    return Encoded(row, replace(encoding, tokens=row.tokens, learned=encoding.learned[:length], offsets=None))


def _short_spans(count: int, share: float, rng: np.random.Generator) -> list[_Span]:
    """Spans of Poisson lengths that hide ``share`` of ``count`` tokens; none touches another."""
    left = max(1, round(share * count))
    lengths = []
    while left:
        lengths.append(min(max(1, int(rng.poisson(_MEAN_SPAN))), left))
        left -= lengths[-1]
    visible = count - sum(lengths)
    lengths = lengths[: visible + 1]
    gaps = np.sort(rng.choice(visible + 1, len(lengths), replace=False))  # before so many visible tokens
    starts = gaps + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return [(int(start), int(start) + length) for start, length in zip(starts, lengths, strict=True)]


def _sentences(units: NDArray[np.int32], share: float, rng: np.random.Generator) -> list[_Span]:
    """Whole sentences at random, until ``share`` of the tokens is hidden."""
    borders = np.flatnonzero(np.diff(units)) + 1
    starts, ends = np.concatenate([[0], borders]), np.concatenate([borders, [len(units)]])
    order = rng.permutation(len(starts))
    reached = np.cumsum((ends - starts)[order])
    chosen = np.sort(order[: int(np.searchsorted(reached, share * len(units))) + 1])
    return [(int(starts[number]), int(ends[number])) for number in chosen]


def _last_span(count: int, rng: np.random.Generator) -> _Span:
    """The end of a document, half of it at least; all but one token at most."""
    least = max(1, round(_LEAST_CONTINUED * count))
    length = int(rng.integers(least, max(least, count - 1) + 1))
    return count - length, count
