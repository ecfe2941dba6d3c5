"""A result that grows by whole parts and survives being killed between any two instructions.

Beside the file stands its journal, a small JSON that says how far the file is true: the bytes of its whole parts and
their digest. A part is on disk before the journal says so; whoever goes on cuts off what the journal does not know.
Separate because it knows nothing of what the parts hold.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from weitiao.errors import MachineError, SettingsError
from weitiao.models.whole_folder import force
from weitiao.words import t

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Journal:
    """How far a file is true. ``place`` (JSON) is what its writer needs to go on; None when nothing was written yet."""

    made_from: Mapping[str, str]  # digests by name of all that decides the file's bytes
    bytes: int
    sha256: str
    place: Any


class GrowingFile:
    """Open for appending, under a lock; ``journal`` is what was forced to disk last."""

    def __init__(self, path: Path, file: BinaryIO, journal: Journal) -> None:
        self.path = path
        self.journal = journal
        self._file = file
        self._digest = _cut(path, file, journal)

    def append(self, part: bytes, place: Any) -> None:
        """Add ``part``; ``place`` says where to go on after it. Both are on disk when this returns."""
        with _on_disk(self.path):
            self._file.write(part)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._digest.update(part)
            length = self.journal.bytes + len(part)
            self.journal = replace(self.journal, bytes=length, sha256=self._digest.hexdigest(), place=place)
            _write_journal(self.path, self.journal)

    def finish(self) -> None:
        """Say that the file is whole, by deleting its journal."""
        journal_path(self.path).unlink()
        force(self.path.parent)

    def discard(self) -> None:
        """Delete the file, and then what says that it is unfinished: it is no longer needed."""
        _discard(self.path)


def journal_path(path: Path) -> Path:
    """Where the journal of ``path`` stands while it is unfinished."""
    return path.with_name(f"{path.name}.unfinished.json")


@contextmanager
def growing_file(path: Path, made_from: Mapping[str, str]) -> Iterator[GrowingFile]:
    """``path``, new or gone on with.

    Raises SettingsError when it is a finished file, was begun from something else (which is named), was changed since,
    or is being written by another process; MachineError when the disk refuses.
    """
    existed = path.exists()
    with _locked(path) as file:
        grown = None
        try:
            grown = GrowingFile(path, file, _journal_of(path, made_from, existed))
            yield grown
        except BaseException:
            if not existed and (grown is None or not grown.journal.bytes):
                _discard(path)
            raise


def _journal_of(path: Path, made_from: Mapping[str, str], existed: bool) -> Journal:
    """The journal to go on from; a new one, already on disk, where there is nothing to go on from."""
    journal = _read_journal(path) if existed else None
    if journal is None and path.stat().st_size:
        raise SettingsError(
            t("{path} exists already", path=path), t("delete it, or name another --output; nothing is overwritten")
        )
    if journal is None or not journal.bytes:
        journal = Journal(dict(made_from), 0, hashlib.sha256().hexdigest(), None)
        with _on_disk(path):
            _write_journal(path, journal)
    changed = [name for name, digest in made_from.items() if journal.made_from.get(name) != digest]
    if changed:
        raise SettingsError(
            t("{path} was begun with something else: {names}", path=path, names=", ".join(changed)),
            t("give the same again to go on; delete the file to begin anew, or name another --output"),
        )
    return journal


def _discard(path: Path) -> None:
    journal = journal_path(path)
    for place in (path, journal, journal.with_name(f".{journal.name}")):  # a journal without its file is taken for none
        place.unlink(missing_ok=True)


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            t("{path} could not be written: {reason}", path=path, reason=error.strerror or error),
            t("free some space and give the same command again: it goes on"),
        ) from error


def _cut(path: Path, file: BinaryIO, journal: Journal) -> Any:
    """Cut off what the journal does not know; the digest of the rest. SettingsError when that is not what it was."""
    digest = hashlib.sha256()
    left = journal.bytes
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
    if left or digest.hexdigest() != journal.sha256:
        raise SettingsError(
            t("{path} was changed since it was begun", path=path),
            t("delete the file to begin anew"),
        )
    file.seek(journal.bytes)
    file.truncate()
    return digest


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    if not path.parent.is_dir() or path.is_dir():
        raise SettingsError(
            t("{path} cannot be a file: {reason}", path=path, reason=t("it is a folder, or its folder does not exist")),
            t("name another --output"),
        )
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise MachineError(
            t("{path} could not be written: {reason}", path=path, reason=error.strerror or error),
            t("check its permissions and owner"),
        ) from error
    with os.fdopen(handle, "r+b") as file:
        if not _takes_lock(handle, path):
            raise SettingsError(t("another process is writing {path}", path=path), t("wait until it has ended"))
        yield file


def _takes_lock(handle: int, path: Path) -> bool:
    """Whether ``path``, opened as ``handle``, is now locked; False also when its writer has deleted it meanwhile."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _read_journal(path: Path) -> Journal | None:
    try:
        stored = json.loads(journal_path(path).read_text(encoding="utf-8"))
        return Journal(dict(stored["made_from"]), int(stored["bytes"]), str(stored["sha256"]), stored["place"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            t("{path} is damaged", path=journal_path(path)), t("delete {path} to begin anew", path=path)
        ) from error


def _write_journal(path: Path, journal: Journal) -> None:
    place = journal_path(path)
    fresh = place.with_name(f".{place.name}")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(asdict(journal), file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(place)
    force(place.parent)
