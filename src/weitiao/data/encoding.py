"""What bytes look like when they are not UTF-8 text: another encoding, an archive, a table of another program.

Separate because reading only needs to know that something is wrong, and saying what is wrong takes guessing.
"""

from __future__ import annotations

import codecs
import shlex
from pathlib import Path

from weitiao.data.files import File
from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.words import t

_MAGICS = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1f\x8b", "gzip"),
)
_DOCUMENTS = (
    (b"%PDF-", "PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel / Word (.xls, .doc)"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow"),
    (b"\x93NUMPY", "NumPy"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
)
_OFFICE_PARTS = (b"xl/", b"word/", b"[Content_Types].xml")


def refuse_foreign(head: bytes, file: File) -> None:
    """DataError when ``head``, the first bytes of a file, is that of an archive, a binary document or UTF-16."""
    name = file.name
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            if kind == "zip" and any(part in head[:4096] for part in _OFFICE_PARTS):
                raise _document(name, "Excel / Word (.xlsx, .docx)")
            raise _archive(name, kind)
    if head[257:262] == b"ustar":
        raise _archive(name, "tar")
    for magic, kind in _DOCUMENTS:
        if head.startswith(magic):
            raise _document(name, kind)
    wide = _wide_encoding(head)
    if wide:
        raise not_utf8(file, 1, 1, head[0], wide)


def not_utf8(file: File, line: int, column: int, byte: int, encoding: str) -> DataError:
    """The error for a byte that is no UTF-8; ``encoding`` is what the file looks like, empty for damaged UTF-8."""
    place = {"place": f"{file.name}:{line}", "column": column, "byte": f"0x{byte:02X}"}
    if not encoding:
        return DataError(
            t("{place} is damaged: byte {column} of the line, {byte}, is not UTF-8", **place),
            t("mend this line, or fetch the file again"),
        )
    return DataError(
        t(
            "{place} is not UTF-8: byte {column} of the line is {byte}; it looks like {encoding}",
            **place,
            encoding=encoding,
        ),
        t("convert it: {command}", command=_conversion(file, encoding)),
    )


def likely_encoding(sample: bytes, position: int) -> str:
    """The encoding that ``sample`` seems to have, as the byte at ``position`` is not UTF-8; empty for damaged UTF-8."""
    before = sample[max(0, position - 4096) : position]
    # Everything before was valid UTF-8: a few sequences of three bytes are no accident, of two bytes they might be
    if sum(byte >= 0xE0 for byte in before) >= 2 or sum(byte >= 0xC2 for byte in before) >= 4:
        return ""
    window = sample[max(0, position - 64) : position + 4096]
    if _looks_double_byte(window):
        return "GB18030"
    return "WINDOWS-1252" if any(0x80 <= byte < 0xA0 for byte in window) else "LATIN1"


def _conversion(file: File, encoding: str) -> str:
    result = file.path.with_name(f"utf8-{file.path.name}")
    return f"iconv -f {encoding} -t UTF-8 {_quoted(file.path)} > {_quoted(result)}"


def _quoted(path: Path) -> str:
    return shlex.quote(visible(str(path)))


def _wide_encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    sample = head[:1024]
    half = len(sample) // 2
    if half >= 4:
        if sample[1::2].count(0) > 0.8 * half and sample[::2].count(0) < 0.1 * half:
            return "UTF-16LE"
        if sample[::2].count(0) > 0.8 * half and sample[1::2].count(0) < 0.1 * half:
            return "UTF-16BE"
    return ""


def _looks_double_byte(window: bytes) -> bool:
    """GB18030 writes Chinese as pairs of high bytes, in runs of even length; in Latin-1 they mostly stand alone."""
    even = total = run = 0
    for byte in window + b" ":
        if byte >= 0x81:
            run += 1
        elif run:
            total += 1
            even += run % 2 == 0
            run = 0
    return total > 0 and even >= 0.8 * total


def _archive(name: str, kind: str) -> DataError:
    return DataError(
        t("{name} is an archive ({kind}), not data", name=name, kind=kind),
        t("unpack it and give the file or folder that was inside"),
    )


def _document(name: str, kind: str) -> DataError:
    return DataError(
        t("{name} is {kind}, which is not read as data", name=name, kind=kind),
        t("save it as CSV (UTF-8), JSONL or plain text"),
    )
