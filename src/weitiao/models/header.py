"""The header of a safetensors file, checked before anything in it is believed.

Separate because the safetensors library accepts what must not be accepted (duplicate names, for one) and reports the
rest in words that help nobody. Needs no torch; reads the header only, never the tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NoReturn

from weitiao.errors import ModelError
from weitiao.words import t

HEADER_LIMIT = 32 << 20  # bytes; a header of 100,000 tensors is about 10 MB
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as its file's header describes it; ``start <= byte < end`` counted from the start of the file."""

    dtype: str  # "F32", "BF16" …
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header: the tensors by name, in the order of their bytes, and the file's own notes."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


def inspect_safetensors(path: Path) -> dict[str, TensorInfo]:
    """The tensors of the file by name. Raises ModelError when the header and the file do not fit each other exactly."""
    return read_header(path).tensors


def read_header(path: Path) -> Header:
    """The checked header of the safetensors file ``path``. Raises ModelError on every malformation."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                _refuse(path, t("it is cut off inside its header"))
            if length > HEADER_LIMIT:
                _refuse(path, t("its header claims {count} bytes", count=length))
            raw = file.read(length)
    except OSError as error:
        _refuse(path, error.strerror or str(error))
    described = _parse(path, raw)
    metadata = described.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse(path, t("its notes are not text"))
    begin = 8 + length
    tensors = {name: _tensor(path, name, value, begin) for name, value in described.items()}
    return Header(_checked_order(path, tensors, begin, size), metadata)


def read_json(path: Path, raw: bytes) -> Any:
    """The JSON value in ``raw``; repeated names and bottomless nesting are errors. Raises ModelError."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        reason = t("it is nested too deeply")
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors too
        reason = str(error)
    raise ModelError(t("{path} is not JSON: {reason}", path=path, reason=reason), t("fetch the model again"))


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        _refuse(path, t("it has no header"))
    described = read_json(path, raw)
    if not isinstance(described, dict):
        _refuse(path, t("it has no header"))
    return described


def _tensor(path: Path, name: str, value: object, begin: int) -> TensorInfo:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, t("tensor {name} is not described by dtype, shape and data_offsets", name=name))
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        _refuse(path, t("tensor {name} has the unknown type {dtype}", name=name, dtype=str(dtype)[:40]))
    if not _is_counts(shape) or not _is_counts(offsets) or len(offsets) != 2:
        _refuse(path, t("tensor {name} has an impossible shape or place", name=name))
    start, end = offsets
    needed = prod(shape) * _BITS[dtype] // 8
    if end - start != needed:
        _refuse(
            path,
            t(
                "tensor {name} needs {needed} bytes for {dtype} {shape}, and its place holds {held}",
                name=name,
                needed=needed,
                dtype=dtype,
                shape=shape,
                held=end - start,
            ),
        )
    return TensorInfo(dtype, tuple(shape), begin + start, begin + end)


def _checked_order(path: Path, tensors: dict[str, TensorInfo], begin: int, size: int) -> dict[str, TensorInfo]:
    """The tensors by place: each begins where the one before ends, and the last ends with the file."""
    ordered = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end))
    place = begin
    for name, tensor in ordered:
        if tensor.start < place:
            _refuse(path, t("tensor {name} overlaps another one", name=name))
        if tensor.start > place:
            _refuse(path, t("{count} bytes before tensor {name} belong to none", name=name, count=tensor.start - place))
        place = tensor.end
    if place > size:
        _refuse(
            path, t("it is cut off: its header promises {promised} bytes, and it has {size}", promised=place, size=size)
        )
    if place < size:
        _refuse(path, t("{count} bytes at its end belong to no tensor", count=size - place))
    return dict(ordered)


def _is_counts(value: object) -> bool:
    # The bounds keep the product of a shape cheap; no real tensor comes near them.
    return isinstance(value, list) and len(value) <= 32 and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for name, value in pairs:
        if name in unique:
            raise ValueError(t("the name {name} stands there twice", name=name[:200]))
        unique[name] = value
    return unique


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ModelError(
        t("{path} is no sound safetensors file: {reason}", path=path, reason=reason),
        t("fetch or save the file again, and compare its size and sha256 with what the publisher states"),
    )
