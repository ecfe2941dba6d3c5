"""Spans as a label for each piece of a text, and back: BIO (Ramshaw and Marcus, 1995, cmp-lg/9505040).

Label 0 is O, outside; then come B-X and I-X, the first and the further pieces of a span, for each type X in the task's
order. Only paths in which I-X follows B-X or I-X mean anything, so only those are read. Separate from the objective
because a piece may be anything here, and nothing knows of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = tuple[int, int, int]  # first piece, the piece behind the last, number of the type


@dataclass(frozen=True, slots=True)
class Found:
    """A span that was read: ``confidence`` is its probability among all that the pieces could mean."""

    first: int
    behind: int
    kind: int
    confidence: float


def label_names(types: Sequence[str]) -> list[str]:
    """``O``, ``B-X``, ``I-X``, …: the names of the labels, in their order."""
    return ["O", *(f"{position}-{name}" for name in types for position in "BI")]


def types_of(labels: Sequence[str]) -> tuple[str, ...] | None:
    """The types of labels that are named and ordered as :func:`label_names` does; None for others."""
    types = tuple(label[2:] for label in labels if label.startswith("B-"))
    return types if types and list(labels) == label_names(types) else None


def labels_of(runs: Sequence[Run], pieces: int) -> NDArray[np.int32]:
    """The label of each of so many pieces; the runs do not overlap."""
    labels = np.zeros(pieces, dtype=np.int32)
    for first, behind, kind in runs:
        labels[first:behind] = _inside(kind)
        labels[first] = _begins(kind)
    return labels


def runs_of(labels: Sequence[int] | NDArray[np.int32]) -> list[Run]:
    """Back from :func:`labels_of`. An I that follows nothing of its type begins a run too."""
    runs: list[Run] = []
    for piece, label in enumerate(labels):
        if label == 0:
            continue
        kind, inside = (int(label) - 1) // 2, label % 2 == 0
        if inside and runs and runs[-1][1:] == (piece, kind):
            runs[-1] = (runs[-1][0], piece + 1, kind)
        else:
            runs.append((piece, piece + 1, kind))
    return runs


def read(logs: Floats) -> list[Found]:
    """The runs of the likeliest path that means something; ``logs`` [pieces, labels] are log-probabilities."""
    runs = runs_of(best_path(logs))
    if not runs:
        return []
    before, after = _forward(logs), _backward(logs)
    whole = float(np.logaddexp.reduce(before[-1]))
    return [Found(*run, min(float(np.exp(_mass(run, logs, before, after) - whole)), 1.0)) for run in runs]


def best_path(logs: Floats) -> NDArray[np.int32]:
    """The likeliest label of each piece, of the paths in which an I follows its own kind (Viterbi, 1967)."""
    pieces, count = logs.shape
    came_from = np.zeros((pieces, count), dtype=np.int32)
    best = _opening(logs, count)
    for piece in range(1, pieces):
        came_from[piece] = int(best.argmax())
        began, inside = best[1::2], best[2::2]
        came_from[piece, 2::2] = np.where(began >= inside, np.arange(1, count, 2), np.arange(2, count, 2))
        best = logs[piece] + best[came_from[piece]]
    path = np.zeros(pieces, dtype=np.int32)
    for piece in range(pieces - 1, -1, -1):
        path[piece] = best.argmax() if piece == pieces - 1 else came_from[piece + 1, path[piece + 1]]
    return path


def _begins(kind: int) -> int:
    return 1 + 2 * kind


def _inside(kind: int) -> int:
    return 2 + 2 * kind


def _opening(logs: Floats, count: int) -> Floats:
    """The scores of the first piece, which cannot go on with anything."""
    first = logs[0].copy() if len(logs) else np.zeros(count)
    first[2::2] = -np.inf
    return first


def _forward(logs: Floats) -> Floats:
    """The log-probability of all paths up to each piece that end in each label."""
    found = np.empty_like(logs)
    found[0] = _opening(logs, logs.shape[1])
    for piece in range(1, len(logs)):
        found[piece] = np.logaddexp.reduce(found[piece - 1])
        found[piece, 2::2] = np.logaddexp(found[piece - 1, 1::2], found[piece - 1, 2::2])
        found[piece] += logs[piece]
    return found


def _backward(logs: Floats) -> Floats:
    """[pieces + 1]: of all paths from each piece on that begin with O or a B; 0 behind the last."""
    pieces, count = logs.shape
    fresh = np.zeros(pieces + 1)
    going_on = np.zeros(count // 2)  # of each type: all paths from the next piece on, when this one is inside
    for piece in range(pieces - 1, -1, -1):
        every = logs[piece] + fresh[piece + 1]
        every[1::2] = logs[piece, 1::2] + going_on
        fresh[piece] = np.logaddexp.reduce(np.append(every[1::2], every[0]))
        going_on = np.logaddexp(logs[piece, 2::2] + going_on, fresh[piece])
    return fresh


def _mass(run: Run, logs: Floats, before: Floats, after: Floats) -> float:
    """The log-probability of all paths in which exactly this run stands."""
    first, behind, kind = run
    return float(before[first, _begins(kind)] + logs[first + 1 : behind, _inside(kind)].sum() + after[behind])
