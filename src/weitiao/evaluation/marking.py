"""Marks of texts, by a head that labels each piece or by a model that writes lines: found, placed, and how surely.

Separate because answers, predictions and scores must mark alike; :mod:`weitiao.evaluation.ask` asks for all else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.codec.listed import Unmatched, lines_of, matched
from weitiao.codec.prompt import conversation
from weitiao.example import Example, Message, Task
from weitiao.models.anatomy import sees_both_sides
from weitiao.objectives.bio import Floats
from weitiao.objectives.causal import row_of
from weitiao.objectives.mark import Marked, Reading, gold_labels, joined, marks, readings
from weitiao.training.engine import Engine

Found = tuple[Marked | Unmatched, ...]


@dataclass(frozen=True, slots=True)
class Marking:
    """What was found in one text, in ``windows`` parts; ``loss`` in nats over the labels of its ``pieces``."""

    found: Found
    loss: float
    pieces: int
    windows: int


def by_head(engine: Engine, examples: Sequence[Example], task: Task, codec: Codec, cutoff_len: int) -> list[Marking]:
    """The marks of whole texts by the head of ``engine``'s model."""
    texts = readings(examples, codec, cutoff_len, sees_both_sides(engine.model))
    every = _label_logs(engine, texts, 1 + 2 * len(task.categories))
    return [_marking(*each, task) for each in zip(examples, texts, every, strict=True)]


def by_words(
    engine: Engine, examples: Sequence[Example], replies: Sequence[str], task: Task, codec: Codec
) -> list[Found]:
    """The marks that the model's ``replies`` list, each with the probability of its line."""
    sure = _line_confidences(engine, examples, replies, task, codec)
    found = []
    for example, reply, lines in zip(examples, replies, sure, strict=True):
        spans = zip(matched(reply, example.text, task.categories), lines, strict=True)
        found.append(tuple(one if isinstance(one, Unmatched) else Marked(one, line) for one, line in spans))
    return found


def _label_logs(engine: Engine, texts: Sequence[Reading], labels: int) -> list[Floats]:
    """Of each text the log-probabilities of its pieces' labels, [pieces, labels]."""
    rows = [(text, part) for text, reading in enumerate(texts) for part, row in enumerate(reading.rows) if row.asked]
    found: list[dict[int, NDArray[np.float32]]] = [{} for _ in texts]
    asked = [texts[text].rows[part] for text, part in rows]
    for number, logs in engine.read(asked, range(labels)) if rows else ():
        text, part = rows[number]
        found[text][part] = logs
    nothing = np.zeros((0, labels), dtype=np.float32)
    return [
        joined(reading, [parts.get(part, nothing) for part in range(len(reading.rows))])
        for reading, parts in zip(texts, found, strict=True)
    ]


def _marking(example: Example, reading: Reading, logs: Floats, task: Task) -> Marking:
    labels = gold_labels(reading.pieces, example, task)
    loss = -float(logs[np.arange(len(labels)), labels].sum())
    return Marking(marks(reading.pieces, logs, task), loss, len(labels), len(reading.rows))


def _line_confidences(
    engine: Engine, examples: Sequence[Example], replies: Sequence[str], task: Task, codec: Codec
) -> list[list[float | None]]:
    """The probability of each line of each reply, read off in one pass; None where its tokens cannot be told."""
    spoken = [
        (*conversation(example, task), Message("assistant", reply))
        for example, reply in zip(examples, replies, strict=True)
    ]
    encodings = codec.encode_conversations(spoken, every_reply=False)
    found: list[list[float | None]] = [[] for _ in replies]
    rows = [row_of(example, encoding) for example, encoding in zip(examples, encodings, strict=True)]
    asked = [number for number, row in enumerate(rows) if row.asked and lines_of(replies[number])]
    for place, logs in engine.read([rows[number] for number in asked], "targets") if asked else ():
        number = asked[place]
        tokens = encodings[number].tokens[encodings[number].learned].tolist()
        found[number] = _sums_of_lines(replies[number], codec.pieces(tokens), logs)
    return found


def _sums_of_lines(reply: str, pieces: Sequence[str], logs: NDArray[np.float32]) -> list[float | None]:
    starts = np.cumsum([0, *map(len, pieces[:-1])]) - "".join(pieces).find(reply)
    if reply not in "".join(pieces):
        return [None] * len(lines_of(reply))
    return [
        math.exp(float(logs[(starts >= start) & (starts < max(end, start + 1))].sum()))
        for start, end in lines_of(reply)
    ]
