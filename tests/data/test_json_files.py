import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weitiao.data import files
from weitiao.data.files import find_file
from weitiao.data.json_files import read_json, read_json_lines
from weitiao.data.ledger import Dropped
from weitiao.data.notes import Notes
from weitiao.data.record import Record


def records(path: Path, content: str | bytes) -> list[Record | Dropped]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_json if path.suffix == ".json" else read_json_lines
    return list(read(find_file(path), Notes()))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
rows_of_objects = st.lists(st.dictionaries(texts, values, max_size=4), max_size=8)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of_objects, block=st.integers(1, 40), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_an_array_is_read_as_python_reads_it_wherever_the_blocks_end(
    tmp_path: Path, rows: list[dict[str, object]], block: int, ascii_only: bool, indent: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block)
        found = records(tmp_path / "a.json", json.dumps(rows, ensure_ascii=ascii_only, indent=indent))
    assert [record.fields for record in found if isinstance(record, Record)] == rows


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of_objects, block=st.integers(1, 40), ascii_only=st.booleans())
def test_lines_are_read_as_python_reads_them_wherever_the_blocks_end(
    tmp_path: Path, rows: list[dict[str, object]], block: int, ascii_only: bool
) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block)
        found = records(tmp_path / "a.jsonl", content)
    assert [(item.source, item.fields) for item in found if isinstance(item, Record)] == [
        (f"a.jsonl:{number}", row) for number, row in enumerate(rows, 1)
    ]


def test_the_line_of_an_element_is_where_it_begins(tmp_path: Path) -> None:
    content = '[\n  {\n    "text": "a"\n  },\n\n  {"text": "b"}, {"text": "c"}\n]\n'
    assert [item.source for item in records(tmp_path / "a.json", content)] == ["a.json:2", "a.json:6", "a.json:6#3"]


def test_elements_of_a_one_line_array_are_numbered(tmp_path: Path) -> None:
    found = records(tmp_path / "a.json", json.dumps([{"text": "a"}] * 3))
    assert [item.source for item in found] == ["a.json:1", "a.json:1#2", "a.json:1#3"]


def test_a_line_separator_inside_a_text_is_no_line_break(tmp_path: Path) -> None:
    content = json.dumps({"text": "a\u2028b\u0085c"}, ensure_ascii=False) + '\n{"text": "d"}\n'
    assert [item.source for item in records(tmp_path / "a.jsonl", content)] == ["a.jsonl:1", "a.jsonl:2"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=40) | st.text(st.sampled_from(list('[]{},:"\\u0 ntf1e')), max_size=30).map(str.encode)
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_no_bytes_whatever_end_in_anything_but_records_or_a_data_error(
    tmp_path: Path, name: str, content: bytes
) -> None:
    from weitiao.errors import DataError

    try:
        found = records(tmp_path / name, content)
    except DataError as error:
        assert error.problem
        assert error.hint
    else:
        assert all(isinstance(item, (Record, Dropped)) for item in found)
