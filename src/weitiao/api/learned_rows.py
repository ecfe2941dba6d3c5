"""Which of some rows a run, or a run that it came from, has learned: on those its score says little.

Separate because it reads other runs' ledgers, not the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from weitiao.data.ledger import Problem
from weitiao.example import Example
from weitiao.run import Run
from weitiao.words import t


def learned_rows(run: Run | None, examples: Sequence[Example]) -> Iterator[Problem]:
    """A problem of kind ``leak`` for each run of the line that has learned some of ``examples``, label and all."""
    sources = {example.id: example.source for example in examples}
    for ancestor in _line_of(run):
        learned = [sources[id_] for id_ in _learned_ids(ancestor.ledger) if id_ in sources]
        if learned:
            message = t(
                "{count} of these rows were learned from in {run}: the scores say little about new texts",
                count=len(learned),
                run=ancestor.name,
            )
            yield Problem("leak", learned[0], message)


def _line_of(run: Run | None) -> Iterator[Run]:
    """The run and those that it came from, as far as they lie beside it."""
    visited: set[str] = set()
    while run is not None and run.name not in visited:
        visited.add(run.name)
        yield run
        run = _parent(run)


def _parent(run: Run) -> Run | None:
    try:
        name = json.loads(run.lineage.read_text(encoding="utf-8")).get("parent")
    except (OSError, ValueError):
        return None
    beside = run.folder.parent / Path(name).name if isinstance(name, str) else None
    return Run(beside) if beside and beside.is_dir() else None


def _learned_ids(ledger: Path) -> Iterator[str]:
    if not ledger.is_file():
        return
    with ledger.open(encoding="utf-8") as file:
        for line in file:
            if '"split": "train"' in line and '"outcome": "dropped"' not in line:  # most lines need no parsing
                yield json.loads(line).get("example", "")
