"""Rows on disk, memory-mapped: a data set of any size costs eight bytes a token on disk and nothing in memory.

Kept is what an objective's ``encode`` gives; what its ``draw`` adds to a row is made anew in each epoch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from weitiao.objectives.row import IGNORE, Row, parts

_ANY = 1 << 30  # tokens of a row that is never cut
_NOTHING = Row("", np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32))

_UNITS = "units.i32"


class RowSource(Protocol):
    """Rows by index: :class:`Rows`, or a list in tests."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...


Draw = Callable[[Row, int, int], Row]
"""What an epoch makes of a row: its noise is a function of the epoch and of the row's number alone."""


class EpochRows:
    """``rows`` as ``draw`` makes them in ``epoch``."""

    def __init__(self, rows: RowSource, draw: Draw, epoch: int = 0) -> None:
        self._rows, self._draw, self._epoch = rows, draw, epoch

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._draw(self._rows[index], self._epoch, index)


class RowWriter:
    """Appends examples to a new folder, as rows of at most ``most`` tokens; :meth:`close` makes it readable.

    Each example has rows of its own, a long one several; with ``join`` examples stand behind each other and are cut
    into rows of exactly ``most`` tokens, in which each sees those before it.
    """

    def __init__(self, folder: Path, most: int = _ANY, join: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._most, self._join = folder, most, join
        self._tokens = (folder / "tokens.i32").open("wb")
        self._targets = (folder / "targets.i32").open("wb")
        self._units: BufferedWriter | None = None  # from the first row that has some
        self._lengths = array("i")
        self._asked = array("i")
        self._examples = array("i")
        self._added = 0
        self._waiting = _NOTHING
        self._waiting_since = 0  # the example in which it begins

    def add(self, row: Row) -> None:
        """Append the rows of one example, whose own row may be of any length. Either all rows have units or none."""
        assert row.prefix == 0 and row.positions is None, "both are drawn, and never kept"
        if self._join:
            self._behind(row)
        else:
            for part in parts(row, self._most):
                self._write(part, self._added)
        self._added += 1

    def close(self) -> None:
        """Finish the folder."""
        if self._waiting.asked:
            self._write(self._waiting, self._waiting_since)
            self._waiting = _NOTHING
        self._tokens.close()
        self._targets.close()
        if self._units is not None:
            self._units.close()
        np.save(self._folder / "lengths.npy", np.array(self._lengths, dtype=np.int32))
        np.save(self._folder / "asked.npy", np.array(self._asked, dtype=np.int32))
        np.save(self._folder / "examples.npy", np.array(self._examples, dtype=np.int32))

    def _behind(self, row: Row) -> None:
        """Put ``row`` behind what waits, and write what makes full rows. Its last target is read too: where a text ends
        is all that tells the next one apart."""
        waiting, since = self._waiting, self._waiting_since if len(self._waiting.tokens) else self._added
        tokens = np.concatenate([waiting.tokens, row.tokens, row.targets[-1:]])
        targets = np.concatenate([waiting.targets, row.targets, np.array([IGNORE], dtype=np.int32)])
        start = 0
        while len(tokens) - start >= self._most:
            stop = start + self._most
            self._write(Row("", tokens[start:stop], targets[start:stop]), since)
            start, since = stop, self._added
        self._waiting, self._waiting_since = Row("", tokens[start:], targets[start:]), since

    def _write(self, row: Row, example: int) -> None:
        self._tokens.write(np.ascontiguousarray(row.tokens, dtype="<i4").tobytes())
        self._targets.write(np.ascontiguousarray(row.targets, dtype="<i4").tobytes())
        if row.units is not None:
            self._units = self._units or (self._folder / _UNITS).open("wb")
            self._units.write(np.ascontiguousarray(row.units, dtype="<i4").tobytes())
        self._lengths.append(len(row.tokens))
        self._asked.append(row.asked)
        self._examples.append(example)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


class Rows:
    """Rows by index, read from the folder that a :class:`RowWriter` wrote."""

    def __init__(self, folder: Path) -> None:
        self.lengths: NDArray[np.int32] = np.load(folder / "lengths.npy")
        self.asked: NDArray[np.int32] = np.load(folder / "asked.npy")
        self.examples: NDArray[np.int32] = np.load(folder / "examples.npy")  # in which each row begins, as added
        self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        self._tokens = _mapped(folder / "tokens.i32", int(self._starts[-1]))
        self._targets = _mapped(folder / "targets.i32", int(self._starts[-1]))
        self._units = _mapped(folder / _UNITS, int(self._starts[-1])) if (folder / _UNITS).is_file() else None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Row:
        span = slice(self._starts[index], self._starts[index + 1])
        units = None if self._units is None else np.array(self._units[span])
        return Row("", np.array(self._tokens[span]), np.array(self._targets[span]), units=units)


def _mapped(path: Path, count: int) -> NDArray[np.int32]:
    return np.memmap(path, dtype="<i4", mode="r", shape=(count,)) if count else np.zeros(0, dtype=np.int32)
