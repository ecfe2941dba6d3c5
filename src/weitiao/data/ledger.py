"""What became of every row that was read: used, truncated or dropped, why, and on which line.

Separate because readers, partition and training all add to it, and the promise ``read = used + truncated + dropped``
must hold wherever a row ends. Reasons are stable codes: ``empty_text``, ``no_reply``, ``no_label``, ``missing_field``,
``wrong_type``, ``unknown_role``, ``ragged``, ``bad_encoding``, ``malformed``, ``rejected``, ``unsupported``
from reading; later steps add their own (``duplicate``, ``contradiction``, ``leak``, ``too_long``).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Literal, TextIO

from weitiao.errors import MachineError
from weitiao.words import t

Outcome = Literal["used", "truncated", "dropped"]

SHOWN_OF_EACH_REASON = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One row read. ``reason`` is a stable code, empty when the row is used whole; ``detail`` is for people."""

    source: str
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    example: str = ""
    split: str = ""


_FIELDS = tuple(field.name for field in fields(Entry))
_as_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the data that a person should know, with the place where it was first seen."""

    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that could not become an example."""

    source: str
    reason: str
    detail: str


class Ledger:
    """Counts entries in bounded memory and, given a path, writes each as one line of JSON (empty fields left out).

    A context manager: leaving it closes the file. Raises MachineError when the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._shown: defaultdict[str, list[Entry]] = defaultdict(list)
        if path is not None:
            try:
                self._file = path.open("w", encoding="utf-8", errors="backslashreplace")
            except OSError as error:
                raise _unwritable(path, error) from error

    def add(self, entry: Entry) -> None:
        """Count ``entry`` and write it down."""
        self._outcomes[entry.outcome] += 1
        if entry.outcome != "used":
            self._reasons[entry.reason] += 1
            shown = self._shown[entry.reason]
            if len(shown) < SHOWN_OF_EACH_REASON:
                shown.append(entry)
        if self._file is not None:
            self._write(self._file, entry)

    def counts(self) -> dict[str, int]:
        """Rows ``read``, ``used``, ``truncated`` and ``dropped``; the first is always the sum of the others."""
        outcomes = {outcome: self._outcomes[outcome] for outcome in ("used", "truncated", "dropped")}
        return {"read": sum(outcomes.values()), **outcomes}

    def reasons(self) -> dict[str, int]:
        """Rows for each reason not to use a row whole, the most frequent first."""
        return dict(self._reasons.most_common())

    def shown(self) -> list[Entry]:
        """The first rows of each reason that were not used whole, at most 20 of each, grouped by reason."""
        return [entry for entries in self._shown.values() for entry in entries]

    def shown_json(self) -> list[dict[str, str]]:
        """Those of :meth:`shown` as reports hold them."""
        return [
            {"source": entry.source, "outcome": entry.outcome, "reason": entry.reason, "detail": entry.detail}
            for entry in self.shown()
        ]

    def close(self) -> None:
        """Close the file; counting goes on, writing does not."""
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            try:
                file.close()
            except OSError as error:
                raise _unwritable(self._path, error) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, file: TextIO, entry: Entry) -> None:
        record = {name: value for name in _FIELDS if (value := getattr(entry, name))}
        try:
            file.write(_as_json(record) + "\n")
        except OSError as error:
            raise _unwritable(file.name, error) from error


def _unwritable(path: Path | str, error: OSError) -> MachineError:
    return MachineError(
        t("the ledger {path} cannot be written: {reason}", path=path, reason=error.strerror or error),
        t("free some disk space, or choose another output folder"),
    )
