"""The bytes of the user's files: opened safely, unpacked within bounds, and the same at the end as at the start.

Separate because every reader needs the same refusals (missing, a device, unreadable, a gzip bomb, changed while read)
and none should know about them.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.words import t

BLOCK_BYTES = 2**20
FREE_INFLATED_BYTES = 256 * 2**20
MAX_INFLATION = 200
"""A gzip file may grow to FREE_INFLATED_BYTES, or to this many times its size: text packs 3 to 20 times, bombs 1000."""
_GZIP = b"\x1f\x8b"
_LISTED_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file changes."""

    inode: int
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class File:
    """One file of a data set: ``name`` is for people (safe to print), ``label`` the class folder it lies in."""

    path: Path
    name: str
    stamp: Stamp
    label: str | None = None


def find_file(path: Path, name: str | None = None, label: str | None = None) -> File:
    """The regular file at ``path``; DataError when it is missing, a device or a pipe, or may not be read."""
    shown = visible(path.name if name is None else name)
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise missing(path) from error
    except OSError as error:
        raise unreadable(shown, error) from error
    if not stat.S_ISREG(facts.st_mode):
        raise DataError(
            t("{name} is not a file but a {kind}", name=shown, kind=_kind_of_node(facts.st_mode)),
            t("save its content to a file, and give that"),
        )
    return File(path, shown, _stamp(facts), label)


def blocks(file: File) -> Iterator[bytes]:
    """The content in blocks of about 1 MiB, gunzipped. DataError when unreadable, a bomb, or changed since then."""
    try:
        with file.path.open("rb") as stream:
            _check_unchanged(file, os.fstat(stream.fileno()))
            if stream.read(2) == _GZIP:
                stream.seek(0)
                yield from _inflate(stream, file)
            else:
                stream.seek(0)
                while block := stream.read(BLOCK_BYTES):
                    yield block
            check_unchanged(file)
    except FileNotFoundError as error:
        raise changed(file) from error
    except OSError as error:
        raise unreadable(file.name, error) from error


def check_unchanged(file: File) -> None:
    """DataError when the file is no longer the one that was found."""
    try:
        _check_unchanged(file, file.path.stat())
    except OSError as error:
        raise changed(file) from error


def digest(files: Iterable[File]) -> str:
    """sha256 (hex) over the bytes of the files as they lie on disk; for several files, over their names too."""
    files = list(files)
    total = hashlib.sha256()
    for file in files:
        if len(files) > 1:
            total.update(f"{file.name}\0{file.stamp.size}\0".encode("utf-8", "surrogatepass"))
        try:
            with file.path.open("rb") as stream:
                while block := stream.read(BLOCK_BYTES):
                    total.update(block)
        except OSError as error:
            raise unreadable(file.name, error) from error
        check_unchanged(file)
    return total.hexdigest()


def missing(path: Path, others: Sequence[str] = ()) -> DataError:
    """The error for a file that does not exist; its hint names files beside it, or ``others``, with a similar name."""
    shown = visible(str(path))
    near = near_names(path.name, [*others, *names_in(path.parent)])
    if near:
        names = ", ".join(visible(str(path.parent / name)) for name in near)
        hint = t("did you mean {names}?", names=names)
    else:
        hint = t("give a file, a folder, or the name of a sample (`weitiao samples` lists them)")
    return DataError(t("there is no file {path}", path=shown), hint)


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """Up to three of ``names`` that ``name`` may have been meant to be, the nearest first."""
    original = {candidate.casefold(): candidate for candidate in names}
    return [original[near] for near in difflib.get_close_matches(name.casefold(), list(original), n=3, cutoff=0.6)]


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted, bounded; empty when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(_LISTED_NAMES), strict=False))
    except (OSError, ValueError):
        return []


def unreadable(name: str, error: OSError) -> DataError:
    """The error for a file that exists and cannot be read."""
    return DataError(
        t("{name} cannot be read: {reason}", name=name, reason=error.strerror or error),
        t("check that you may read it: `ls -l` shows its permissions"),
    )


def changed(file: File) -> DataError:
    """The error for a file that is not what it was when it was opened."""
    return DataError(
        t("{name} changed while it was being read", name=file.name),
        t("wait until whatever writes it has finished, or copy it first, and start again"),
    )


def _inflate(stream: BinaryIO, file: File) -> Iterator[bytes]:
    limit = max(FREE_INFLATED_BYTES, MAX_INFLATION * file.stamp.size)
    total = 0
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked:
            while block := unpacked.read(BLOCK_BYTES):
                total += len(block)
                if total > limit:
                    raise DataError(
                        t("{name} unpacks to more than {times} times its size", name=file.name, times=MAX_INFLATION),
                        t("this looks like a gzip bomb; if you trust it, unpack it yourself with gunzip"),
                    )
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            t("{name} is damaged: its gzip data break off or do not match their checksum", name=file.name),
            t("fetch or pack it again"),
        ) from error


def _stamp(facts: os.stat_result) -> Stamp:
    return Stamp(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _check_unchanged(file: File, facts: os.stat_result) -> None:
    if _stamp(facts) != file.stamp:
        raise changed(file)


def _kind_of_node(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return t("pipe")
    if stat.S_ISSOCK(mode):
        return t("socket")
    if stat.S_ISDIR(mode):
        return t("folder")
    return t("device")
