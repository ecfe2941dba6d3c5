"""Take the wanted members out of a package archive (wheel, zip, sdist, npm, deb), within bounds.

Separate because an archive is the one input that can write outside its folder or fill the disk, so one short file
decides what may be written: regular files only, inside the folder, at most so many bytes, counted as they are
decompressed.
"""

import errno
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Protocol, cast

from weitiao.errors import DataError
from weitiao.words import t

MAX_BYTES = 2 << 30
MAX_MEMBERS = 200_000
_CHUNK_BYTES = 1 << 20
_BROKEN = (EOFError, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile)
# What zipfile raises for encryption, unknown methods and versions.
_UNSUPPORTED = (RuntimeError, ValueError)


def unpack(archive: Path, wanted: Sequence[str], folder: Path, max_bytes: int = MAX_BYTES) -> list[Path]:
    """Write the members that match a pattern of ``wanted`` (``*`` also crosses ``/``) below ``folder``, by their paths.

    ``max_bytes`` bounds what is written, and all that is decompressed on the way to it. Raises DataError for a
    damaged archive, a wanted member that is a link, leaves the folder or comes twice, too many bytes or members, and
    a pattern that finds nothing; what was written until then stays in ``folder``.
    """
    written: list[Path] = []
    found: set[str] = set()
    spend = _Budget(archive.name, max_bytes)
    try:
        with archive.open("rb") as stream:
            for count, member in enumerate(_members(stream, archive.name, max_bytes)):
                if count >= MAX_MEMBERS:
                    raise DataError(
                        t("{archive} holds more than {limit} files", archive=archive.name, limit=MAX_MEMBERS)
                    )
                matches = [pattern for pattern in wanted if fnmatchcase(member.name, pattern)]
                if matches:
                    found.update(matches)
                    written.append(_write(member, _target(member, archive.name, folder), spend))
    except (*_BROKEN, *_UNSUPPORTED) as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to where a broken header points
            raise
        raise _damaged(archive, error) from error
    missing = [pattern for pattern in wanted if pattern not in found]
    if missing:
        raise DataError(t("{archive} holds no {member}", archive=archive.name, member=", ".join(missing)))
    return written


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(
        t("{archive} is damaged: {error}", archive=archive.name, error=error), t("delete it and fetch it again")
    )


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Member(NamedTuple):
    name: str
    is_file: bool  # neither a link nor a device
    content: _Readable


class _Budget:
    """How many bytes of one archive may still be decompressed or written."""

    def __init__(self, archive: str, max_bytes: int) -> None:
        self.archive = archive
        self.max_bytes = max_bytes
        self.left = max_bytes

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise DataError(
                t("{archive} unpacks to more than {limit} bytes", archive=self.archive, limit=self.max_bytes)
            )


class _Counted:
    """A stream that spends its budget as it is read: a bomb stops early, even inside a member that nobody wants."""

    def __init__(self, stream: _Readable, budget: _Budget) -> None:
        self.stream = stream
        self.budget = budget

    def read(self, size: int = -1, /) -> bytes:
        block = self.stream.read(size)
        self.budget.spend(len(block))
        return block


class _Part:
    """The next ``left`` bytes of a stream, as a stream of their own."""

    def __init__(self, stream: _Readable, left: int) -> None:
        self.stream = stream
        self.left = left

    def read(self, size: int = -1, /) -> bytes:
        block = self.stream.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(block)
        return block


def _members(stream: IO[bytes], archive: str, max_bytes: int) -> Iterator[_Member]:
    start = stream.read(8)
    stream.seek(0)
    if start[:4] == b"PK\x03\x04":
        yield from _zip_members(stream)
        return
    budget = _Budget(archive, max_bytes)
    if start == b"!<arch>\n":
        yield from _tar_members(_Counted(_deb_data(stream, archive), budget))
    elif start[:2] == b"\x1f\x8b":
        yield from _tar_members(_Counted(gzip.GzipFile(fileobj=stream), budget))
    else:
        raise DataError(t("{archive} is no wheel, zip, tar.gz or deb archive", archive=archive))


def _zip_members(stream: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as file:
        for info in file.infolist():
            if not info.is_dir():
                kind = stat.S_IFMT(info.external_attr >> 16)
                with file.open(info) as content:
                    yield _Member(info.filename, kind in (0, stat.S_IFREG), content)


def _tar_members(stream: _Readable) -> Iterator[_Member]:
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as file:
        for info in file:
            if not info.isdir():
                content = file.extractfile(info) if info.isreg() else None
                yield _Member(info.name.removeprefix("./"), content is not None, content or _Part(stream, 0))


def _deb_data(stream: IO[bytes], archive: str) -> _Readable:
    """The decompressed ``data.tar`` of a Debian package: an ``ar`` file whose members have 60-byte headers."""
    stream.seek(8)
    while header := stream.read(60):
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if not header[48:58].strip().isdigit():
            raise tarfile.ReadError(t("a header of the archive cannot be read"))
        size = int(header[48:58])
        part = cast(IO[bytes], _Part(stream, size))
        if name == "data.tar.xz":
            return lzma.LZMAFile(part)
        if name == "data.tar.gz":
            return gzip.GzipFile(fileobj=part)
        stream.seek(size + size % 2, 1)
    raise DataError(t("{archive} holds no {member}", archive=archive, member="data.tar.xz, data.tar.gz"))


def _target(member: _Member, archive: str, folder: Path) -> Path:
    path = PurePosixPath(member.name)
    outside = path.is_absolute() or ".." in path.parts or any(sign in member.name for sign in "\\:\0")
    target = folder.joinpath(*path.parts)
    if outside or not target.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            t("{archive} holds {member}, which would leave its folder", archive=archive, member=member.name)
        )
    if not member.is_file:
        raise DataError(
            t("{archive} holds {member}, which is a link or no regular file", archive=archive, member=member.name)
        )
    if target.exists():
        raise DataError(t("{archive} holds {member} twice", archive=archive, member=member.name))
    return target


def _write(member: _Member, target: Path, budget: _Budget) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while block := member.content.read(_CHUNK_BYTES):
            budget.spend(len(block))
            file.write(block)
    return target
