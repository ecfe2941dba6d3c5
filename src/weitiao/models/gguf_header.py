"""The header of a GGUF file (llama.cpp's format), checked before anything in it is believed.

Separate from the conversion because it needs no torch and guards the library that reads the file: every count and
length in the header is held against the size of the file first. Format: ggml's docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import NoReturn

from weitiao.errors import ModelError
from weitiao.words import t

_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_COUNT_LIMIT = 1 << 24  # entries; the largest vocabularies have under 2^19


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says."""

    facts: dict[str, int | float | bool | str]  # without arrays
    numbers: int  # in all tensors together

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the kind of model."""
        return str(self.facts.get("general.architecture", ""))


def read_gguf_header(path: Path) -> GgufHeader:
    """The checked header of ``path``. Raises ModelError when it and the file do not fit each other."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(path, _Cursor(data))
    except OSError as error:
        _refuse(path, error.strerror or str(error))
    except (struct.error, UnicodeDecodeError, EOFError):
        _refuse(path, t("it is cut off inside its header"))
    except ValueError as error:  # an empty file cannot be mapped
        _refuse(path, str(error))


class _Cursor:
    """A place in the file that moves on with each value read."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.place = 0

    def number(self, form: str) -> int | float | bool:
        value: int | float | bool = struct.unpack_from(form, self.data, self.place)[0]
        self.place += struct.calcsize(form)
        return value

    def count(self, form: str = "<Q") -> int:
        return int(self.number(form))

    def text(self) -> str:
        start = self.place + 8
        self.skip(8 + self.count_here())
        return self.data[start : self.place].decode("utf-8")

    def count_here(self) -> int:
        return int(struct.unpack_from("<Q", self.data, self.place)[0])

    def skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self.data):
            raise EOFError


def _read(path: Path, cursor: _Cursor) -> GgufHeader:
    if cursor.data[:4] != b"GGUF":
        _refuse(path, t("it does not begin with GGUF"))
    cursor.skip(4)
    version, tensors, entries = cursor.count("<I"), cursor.count(), cursor.count()
    if version not in (2, 3):
        _refuse(path, t("its version is {version}", version=version))
    if max(tensors, entries) > _COUNT_LIMIT:
        _refuse(path, t("its header claims {count} bytes", count=max(tensors, entries)))
    facts = _facts(path, cursor, entries)
    numbers = _check_tensors(path, cursor, tensors, int(facts.get("general.alignment", 32)))
    return GgufHeader(facts, numbers)


def _facts(path: Path, cursor: _Cursor, entries: int) -> dict[str, int | float | bool | str]:
    facts: dict[str, int | float | bool | str] = {}
    for _ in range(entries):
        name, kind = cursor.text(), cursor.count("<I")
        if name in facts:
            _refuse(path, t("the name {name} stands there twice", name=name[:200]))
        if kind in _FORMATS:
            facts[name] = cursor.number(_FORMATS[kind])
        elif kind == _TEXT:
            facts[name] = cursor.text()
        elif kind == _ARRAY:
            _skip_array(path, cursor)
        else:
            _refuse(path, t("{name} has the unknown type {kind}", name=name[:200], kind=kind))
    return facts


def _skip_array(path: Path, cursor: _Cursor) -> None:
    kind, count = cursor.count("<I"), cursor.count()
    if kind in _FORMATS:
        cursor.skip(count * struct.calcsize(_FORMATS[kind]))
        return
    if kind != _TEXT or count > _COUNT_LIMIT:
        _refuse(path, t("it holds a list of unknown kind or size"))
    for _ in range(count):
        cursor.skip(8 + cursor.count_here())


def _check_tensors(path: Path, cursor: _Cursor, count: int, alignment: int) -> int:
    """How many numbers all tensors hold; their places lie inside the file and apart from each other."""
    # Inside: the sizes of the block formats, wanted only when there is a GGUF file.
    from gguf.constants import GGML_QUANT_SIZES

    blocks = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    places: list[tuple[int, int, str]] = []
    numbers = 0
    for _ in range(count):
        name, dimensions = cursor.text(), cursor.count("<I")
        if dimensions > 8:
            _refuse(path, t("tensor {name} has an impossible shape or place", name=name[:200]))
        elements = prod(cursor.count() for _ in range(dimensions))
        kind, offset = cursor.count("<I"), cursor.count()
        if kind not in blocks:
            _refuse(path, t("tensor {name} has the unknown type {dtype}", name=name[:200], dtype=kind))
        per_block, block_bytes = blocks[kind]
        places.append((offset, offset + elements // per_block * block_bytes, name))
        numbers += elements
    start = -(-cursor.place // max(alignment, 1)) * max(alignment, 1)
    places.sort()
    for (_, end, _), (begin, _, name) in pairwise(places):
        if begin < end:
            _refuse(path, t("tensor {name} overlaps another one", name=name[:200]))
    size, promised = len(cursor.data), start + max((end for _, end, _ in places), default=0)
    if promised > size:
        _refuse(
            path,
            t("it is cut off: its header promises {promised} bytes, and it has {size}", promised=promised, size=size),
        )
    return numbers


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ModelError(
        t("{path} is no sound GGUF file: {reason}", path=path, reason=reason),
        t("fetch the file again, and compare its size and sha256 with what the publisher states"),
    )
