"""Rows on disk, memory-mapped: a data set of any size costs eight bytes a token on disk and nothing in memory."""

from __future__ import annotations

from array import array
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from weitiao.objectives.row import Row


class RowSource(Protocol):
    """Rows by index: :class:`Rows`, or a list in tests."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...


class RowWriter:
    """Appends rows to a new folder; :meth:`close` makes it readable."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tokens = (folder / "tokens.i32").open("wb")
        self._targets = (folder / "targets.i32").open("wb")
        self._lengths = array("i")
        self._asked = array("i")

    def add(self, row: Row) -> None:
        """Append ``row``."""
        self._tokens.write(np.ascontiguousarray(row.tokens, dtype="<i4").tobytes())
        self._targets.write(np.ascontiguousarray(row.targets, dtype="<i4").tobytes())
        self._lengths.append(len(row.tokens))
        self._asked.append(row.asked)

    def close(self) -> None:
        """Finish the folder."""
        self._tokens.close()
        self._targets.close()
        np.save(self._folder / "lengths.npy", np.array(self._lengths, dtype=np.int32))
        np.save(self._folder / "asked.npy", np.array(self._asked, dtype=np.int32))

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
        self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        self._tokens = _mapped(folder / "tokens.i32", int(self._starts[-1]))
        self._targets = _mapped(folder / "targets.i32", int(self._starts[-1]))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Row:
        span = slice(self._starts[index], self._starts[index + 1])
        return Row("", np.array(self._tokens[span]), np.array(self._targets[span]))


def _mapped(path: Path, count: int) -> NDArray[np.int32]:
    return np.memmap(path, dtype="<i4", mode="r", shape=(count,)) if count else np.zeros(0, dtype=np.int32)
