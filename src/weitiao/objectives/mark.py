"""The marking objective: a label for each piece of a text, of which spans are read back as code points.

A piece is the least that can be marked: the characters of one token, or of several where they share a character or a
word of an alphabet that puts spaces between words, without white space. Each is asked at one token: where a model reads
both ways at its first, else at its last, which has seen the whole piece. Together the pieces hold every character that
is no white space, whatever the tokenizer leaves out, so that what is read back is never a character short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec, Encoding
from weitiao.codec.codec import TextEncoding
from weitiao.data.ledger import Dropped
from weitiao.data.spans import outermost
from weitiao.example import Example, Span, Spans, Task
from weitiao.objectives.bio import Floats, Run, labels_of, read
from weitiao.objectives.causal import Encoded
from weitiao.objectives.row import IGNORE, Row
from weitiao.words import t

UNEVEN, OVERLAPPING = "uneven_span", "overlapping_span"
_OVERLAP = 4  # windows share this part of their tokens, so that what is marked has been read with what is around it


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of a text, in reading order."""

    starts: NDArray[np.int32]  # [pieces] code points
    ends: NDArray[np.int32]
    tokens: NDArray[np.int32]  # [pieces] the token at which each is asked


@dataclass(frozen=True, slots=True)
class Marked:
    """A span that a model found; ``confidence`` is its probability, None where there is none."""

    span: Span
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A text to be marked: its pieces, the rows that ask for them, and of each row which pieces it asks."""

    pieces: Pieces
    rows: tuple[Row, ...]
    asked: tuple[NDArray[np.int64], ...]


def encode(
    examples: Sequence[Example], task: Task, codec: Codec, cutoff_len: int, both_ways: bool
) -> list[Encoded | Dropped]:
    """Rows that learn the label of every piece; of a text of more than ``cutoff_len`` tokens its beginning."""
    encodings = codec.encode_with_places([example.text for example in examples])
    return [
        _encoded(example, encoding, task, cutoff_len, both_ways)
        for example, encoding in zip(examples, encodings, strict=True)
    ]


def readings(examples: Sequence[Example], codec: Codec, cutoff_len: int, both_ways: bool) -> list[Reading]:
    """How to ask for the marks of whole texts, in windows where they are longer than ``cutoff_len`` tokens."""
    encodings = codec.encode_with_places([example.text for example in examples])
    return [
        _reading(example, encoding, cutoff_len, both_ways)
        for example, encoding in zip(examples, encodings, strict=True)
    ]


def joined(reading: Reading, logs: Sequence[NDArray[np.floating]]) -> Floats:
    """``logs`` [asked, labels] of each row of the reading as those of all its pieces, [pieces, labels]."""
    every = np.empty((len(reading.pieces.tokens), logs[0].shape[1]))
    for asked, found in zip(reading.asked, logs, strict=True):
        every[asked] = found
    return every


def marks(pieces: Pieces, logs: Floats, task: Task) -> tuple[Marked, ...]:
    """The spans of a text, by the log-probabilities ``logs`` [pieces, labels]."""
    return tuple(
        Marked(
            Span(int(pieces.starts[run.first]), int(pieces.ends[run.behind - 1]), task.categories[run.kind]),
            run.confidence,
        )
        for run in read(logs)
    )


def gold_labels(pieces: Pieces, example: Example, task: Task) -> NDArray[np.int32]:
    """The right label of each piece."""
    runs, _ = runs_in(pieces, gold_spans(example), task.categories)
    return labels_of(runs, len(pieces.tokens))


def gold_spans(example: Example) -> tuple[Span, ...]:
    """The spans that should be found: of those that overlap the outermost."""
    return outermost(example.label, example.text) if isinstance(example.label, Spans) else ()


def pieces_of(text: str, encoding: TextEncoding, both_ways: bool) -> Pieces:
    """The pieces of ``text``."""
    starts: list[int] = []
    ends: list[int] = []
    tokens: list[int] = []
    last = len(encoding.tokens) - encoding.behind
    for token, (start, end) in enumerate(encoding.places[encoding.before : last].tolist(), encoding.before):
        written = text[start:end]
        start += len(written) - len(written.lstrip())
        end -= len(written) - len(written.rstrip())
        if start >= end:
            continue
        if ends and (start < ends[-1] or (start == ends[-1] and _within_word(text, start))):
            ends[-1] = max(ends[-1], end)
            tokens[-1] = tokens[-1] if both_ways else token
        else:
            starts.append(start)
            ends.append(end)
            tokens.append(token)
    _cover(text, starts, ends)
    return Pieces(*(np.array(values, dtype=np.int32) for values in (starts, ends, tokens)))


def runs_in(pieces: Pieces, spans: Sequence[Span], types: Sequence[str]) -> tuple[list[Run], int]:
    """The pieces of each of the spans, which do not overlap; and how many spans do not begin and end with a piece.

    Of such a span all pieces are taken that it touches, unless the one before it has them.
    """
    runs: list[Run] = []
    uneven = taken = 0
    for span in spans:
        first = max(int(np.searchsorted(pieces.ends, span.start, side="right")), taken)
        behind = int(np.searchsorted(pieces.starts, span.end, side="left"))
        if first < behind:
            runs.append((first, behind, types.index(span.name)))
            taken = behind
        uneven += first >= behind or pieces.starts[first] != span.start or pieces.ends[behind - 1] != span.end
    return runs, uneven


def windows(length: int, room: int) -> list[tuple[int, int]]:
    """Parts of ``length`` tokens, of at most ``room``: the fewest that share a quarter with the next one."""
    if length <= room:
        return [(0, length)]
    step = max(room - room // _OVERLAP, 1)
    return [*((start, start + room) for start in range(0, length - room, step)), (length - room, length)]


def _encoded(
    example: Example, encoding: TextEncoding, task: Task, cutoff_len: int, both_ways: bool
) -> Encoded | Dropped:
    pieces = pieces_of(example.text, encoding, both_ways)
    spans = gold_spans(example)
    runs, uneven = runs_in(pieces, spans, task.categories)
    targets = np.full(len(encoding.tokens), IGNORE, dtype=np.int32)
    targets[pieces.tokens] = labels_of(runs, len(pieces.tokens))
    tokens, count, shortened = encoding.tokens, len(encoding.tokens), ""
    if count > cutoff_len:
        end = max(cutoff_len - encoding.behind, encoding.before)
        tokens, targets = (
            np.concatenate([values[:end], values[count - encoding.behind :]]) for values in (tokens, targets)
        )
        shortened = t("the first {limit} of {count} tokens are used", limit=len(tokens), count=count)
    row = Row(example.id, tokens, targets)
    if not row.asked:
        return Dropped(example.source, "nothing_to_learn", t("no token of it would be learned"))
    left_out = len(example.label.spans) - len(spans) if isinstance(example.label, Spans) else 0
    notes = (*[UNEVEN] * uneven, *[OVERLAPPING] * left_out)
    return Encoded(row, Encoding(tokens, targets != IGNORE, True, encoding.control_tokens), shortened, notes)


def _reading(example: Example, encoding: TextEncoding, cutoff_len: int, both_ways: bool) -> Reading:
    pieces = pieces_of(example.text, encoding, both_ways)
    before, last = encoding.before, len(encoding.tokens) - encoding.behind
    parts = windows(last - before, max(cutoff_len - before - encoding.behind, 1))
    own = _own_window(pieces.tokens - before, parts)
    rows, asked = [], []
    for number, (start, end) in enumerate(parts):
        mine = np.flatnonzero(own == number)
        body = encoding.tokens[before + start : before + end]
        tokens = np.concatenate([encoding.tokens[:before], body, encoding.tokens[last:]])
        targets = np.full(len(tokens), IGNORE, dtype=np.int32)
        targets[pieces.tokens[mine] - start] = 0  # asked; the value does not matter here
        rows.append(Row(example.id, tokens, targets))
        asked.append(mine)
    return Reading(pieces, tuple(rows), tuple(asked))


def _own_window(tokens: NDArray[np.int32], parts: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Of each token the window that has read the most on the side where it has read less."""
    length = parts[-1][1]
    starts, ends = (np.array(side)[:, None] for side in zip(*parts, strict=True))
    left = np.where(starts == 0, length, tokens - starts)
    right = np.where(ends == length, length, ends - 1 - tokens)
    inside = (tokens >= starts) & (tokens < ends)
    own: NDArray[np.int64] = np.where(inside, np.minimum(left, right), -1).argmax(axis=0)
    return own


def _within_word(text: str, place: int) -> bool:
    """Whether the characters on both sides are of one word: Latin, Greek or Cyrillic, as elsewhere names are parts of
    what stands between spaces."""
    return all(
        character.isalnum() and (character < "\u0530" or "\u1e00" <= character < "\u2000")
        for character in text[place - 1 : place + 1]
    )


def _cover(text: str, starts: list[int], ends: list[int]) -> None:
    """Give characters that no token comes from to the piece that they touch, first to the one before them."""
    for number, start in enumerate(starts):
        begin = ends[number - 1] if number else 0
        gap = text[begin:start]
        if number and gap and not gap[0].isspace():
            ends[number - 1] += len(gap.split(maxsplit=1)[0])
        elif gap and not gap[-1].isspace():
            starts[number] -= len(gap.rsplit(maxsplit=1)[-1])
    rest = text[ends[-1] :] if ends else ""
    if rest and not rest[0].isspace():
        ends[-1] += len(rest.split(maxsplit=1)[0])
