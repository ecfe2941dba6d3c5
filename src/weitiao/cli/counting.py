"""Items that are being done, for a person at a terminal: a bar where the number of them is known, else a count.

Separate from the watching of a run, which shows losses and speed, and from the fetching of files, which counts bytes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from weitiao.cli.output import output

Counter = Callable[[int, int | None], None]
"""Called with how many are done, and of how many, None where that is not known."""

_LINE_SECONDS = 10.0


@contextmanager
def counting(what: str) -> Iterator[Counter]:
    """Show on stderr how many of ``what`` are done while the block runs; where that is no terminal, now and then."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None, count="")
        yield lambda done, total: bars.update(task, completed=done, total=total, count=_count(done, total))


def _lines(what: str) -> Counter:
    last = time.monotonic()

    def count(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            output().say(f"{what} {_count(done, total)}")

    return count


def _count(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,}/{total:,}"
