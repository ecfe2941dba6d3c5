"""The ledger of data that ``partition`` refuses to divide: who has a broken file needs the ledger most.

Separate because the partition gives all or nothing. Here every row is said as far as it can be without a division.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from weitiao.data.dataset import Dataset
from weitiao.data.findings import Drops, overlap_problems
from weitiao.data.keys import read_keys
from weitiao.data.ledger import Dropped, Entry, Ledger, Problem
from weitiao.data.partition import Sources
from weitiao.data.screening import screen
from weitiao.errors import DataError
from weitiao.example import Example

_Given = Sequence[tuple[Dataset, int]]


def read_undivided(sources: Sources, ledger: Ledger) -> tuple[Problem, ...]:
    """Enter every row of ``sources`` that can be read in ``ledger``; the problems are those of the rows left out."""
    kinds = {dataset.layout.kind for dataset, _ in sources.given}
    together: Sequence[_Given] = [sources.given] if len(kinds) == 1 else [(one,) for one in sources.given]
    return tuple(problem for given in together for problem in _enter(given, ledger))


def _enter(given: _Given, ledger: Ledger) -> Iterator[Problem]:
    dropped, problems = _screened(given)
    rows = (item for dataset, _ in given for item in _readable(dataset))
    for number, item in enumerate(rows):
        if isinstance(item, Dropped):
            ledger.add(Entry(item.source, "dropped", item.reason, item.detail))
        elif dropped.reason(number):
            ledger.add(Entry(item.source, "dropped", *dropped[number], item.id))
        else:
            ledger.add(Entry(item.source, "used", example=item.id))
    return iter(problems)


def _screened(given: _Given) -> tuple[Drops, Sequence[Problem]]:
    """Which rows a partition leaves out before it divides the others; they are of one kind."""
    kind = given[0][0].layout.kind
    keys = read_keys([_readable(dataset) for dataset, _ in given], kind)
    screening = screen(keys, [split for _, split in given], kind)
    return Drops(keys.places, screening), tuple(overlap_problems(keys.places, screening.findings))


def _readable(dataset: Dataset) -> Iterator[Example | Dropped]:
    with suppress(DataError):  # the refusal already says it
        yield from dataset
