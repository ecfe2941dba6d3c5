"""Which rows say the same as another row: duplicates, contradictions and leaks, on keys alone.

Separate because these are pure functions of numpy columns. Two rows are the same when their
:func:`weitiao.example.content_key` is the same. With 64 bits, ten million rows hold a false pair with probability
0.000003.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Key = npt.NDArray[np.uint64]
Label = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows, ascending, and for each the other row that it repeats, contradicts or leaks."""

    rows: Rows
    others: Rows


def leaks(content: Key, rows: Rows, held_out: Rows) -> Overlap:
    """Those of ``rows`` whose content is also among ``held_out``, each with the first such row."""
    held_keys, first = np.unique(content[held_out], return_index=True)
    if not len(held_keys):
        return Overlap(rows[:0], rows[:0])
    places = np.minimum(np.searchsorted(held_keys, content[rows]), len(held_keys) - 1)
    same = held_keys[places] == content[rows]
    return Overlap(rows[same], held_out[first[places[same]]])


def contradictions(content: Key, label: Label, rows: Rows) -> Overlap:
    """Those of ``rows`` with the content of another but not its label, each with the first row that disagrees."""
    order = rows[np.argsort(content[rows], kind="stable")]
    groups, number = _runs(content[order])
    # The first row of a group answers for all that disagree with it, the first of those for all that do not.
    first = order[groups][number]
    differs = label[order] != label[first]
    nobody = np.iinfo(np.int64).max
    against = np.minimum.reduceat(np.where(differs, order, nobody), groups)[number] if len(groups) else order
    torn = against != nobody
    return _ascending(order[torn], np.where(differs, first, against)[torn])


def duplicates(content: Key, label: Label, rows: Rows) -> Overlap:
    """Those of ``rows`` that repeat the content and the label of an earlier one, each with the earliest."""
    order = rows[np.lexsort((label[rows], content[rows]))]
    groups, number = _runs(content[order], label[order])
    earliest = order[groups][number]
    again = order != earliest
    return _ascending(order[again], earliest[again])


def joined(overlaps: Sequence[Overlap]) -> Overlap:
    """One overlap of several that share no row."""
    if len(overlaps) == 1:
        return overlaps[0]
    return _ascending(
        np.concatenate([each.rows for each in overlaps]), np.concatenate([each.others for each in overlaps])
    )


def _runs(*keys: Label) -> tuple[Rows, Rows]:
    """Where each run of equal keys starts, and for each position the number of its run."""
    starts = np.zeros(len(keys[0]), bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(starts), np.cumsum(starts) - 1


def _ascending(rows: Rows, others: Rows) -> Overlap:
    order = np.argsort(rows)
    return Overlap(rows[order], others[order])
