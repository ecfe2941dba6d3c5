"""Every lie that a safetensors header can tell."""

import json
import struct
from pathlib import Path

import pytest

from weitiao.errors import ModelError
from weitiao.models.files import inspect_safetensors
from weitiao.models.header import read_header


def write(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_sound_file_gives_its_tensors_in_order(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": tensor([2], 4, 12),
        "a": tensor([1], 0, 4),
        "empty": tensor([0], 12, 12),
    }
    found = read_header(write(tmp_path / "x", header, bytes(12)))
    assert list(found.tensors) == ["a", "b", "empty"]
    assert found.tensors["b"].shape == (2,)
    assert found.tensors["b"].end - found.tensors["b"].start == 8
    assert found.tensors["empty"].end == (tmp_path / "x").stat().st_size
    assert found.metadata == {"format": "pt"}


@pytest.mark.parametrize(
    ("header", "data", "length", "message"),
    [
        (b"", b"", None, "no header"),
        (b"[]", b"", None, "no header"),
        (b"{", b"", None, "not JSON"),
        (b"{}", b"", 1 << 40, "cut off inside its header"),
        (b'{"a": ' + b"[" * 100_000, b"", None, "nested too deeply"),
        (b"{\xff}", b"", None, "not JSON"),
        (
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":1}',
            bytes(4),
            None,
            "the name a stands there twice",
        ),
        ({"a": [1]}, b"", None, "not described by"),
        ({"a": {"dtype": "F32", "shape": [1]}}, b"", None, "not described by"),
        ({"a": tensor([1], 0, 4, "F99")}, bytes(4), None, "unknown type F99"),
        ({"a": tensor([-1], 0, 4)}, bytes(4), None, "impossible shape"),
        ({"a": {**tensor([1], 0, 4), "shape": [True]}}, bytes(4), None, "impossible shape"),
        ({"a": {**tensor([1], 0, 4), "data_offsets": [0, 4, 8]}}, bytes(4), None, "impossible shape"),
        ({"a": tensor([1 << 70], 0, 4)}, bytes(4), None, "impossible shape"),
        ({"a": tensor([2], 0, 4)}, bytes(4), None, "needs 8 bytes"),
        ({"a": tensor([1], 0, 4), "b": tensor([1], 2, 6)}, bytes(6), None, "overlaps"),
        ({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12), None, "4 bytes before tensor b belong to none"),
        ({"a": tensor([1], 4, 8)}, bytes(8), None, "4 bytes before tensor a"),
        ({"a": tensor([4], 0, 16)}, bytes(10), None, "cut off"),
        ({"a": tensor([1], 0, 4)}, bytes(9), None, "5 bytes at its end belong to no tensor"),
        ({"__metadata__": {"format": 1}}, b"", None, "notes are not text"),
        ({"__metadata__": []}, b"", None, "notes are not text"),
    ],
)
def test_every_lie_of_a_header_is_refused(
    tmp_path: Path, header: object, data: bytes, length: int | None, message: str
) -> None:
    path = write(tmp_path / "model.safetensors", header, data, length)
    with pytest.raises(ModelError, match=message) as caught:
        inspect_safetensors(path)
    assert caught.value.exit_code == 4
    assert str(path) in caught.value.problem
    assert caught.value.hint


def test_a_file_of_a_few_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"", b"\x01", b"\x05\0\0\0\0\0\0\0"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="cut off"):
            inspect_safetensors(path)


def test_a_huge_header_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 1 << 36))
        file.truncate(1 << 37)  # sparse: it takes no room
    with pytest.raises(ModelError, match="claims 68719476736 bytes"):
        inspect_safetensors(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        inspect_safetensors(tmp_path / "x")
