"""Every malformed data file that is promised: a clear error with exit code 3, or read, counted and said."""

import gzip
import io
import json
import os
import tarfile
import threading
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from weitiao.data import files, json_files, lines, parquet
from weitiao.data.dataset import Dataset, Hints, open_dataset
from weitiao.data.ledger import Dropped
from weitiao.errors import DataError
from weitiao.example import Example
from weitiao.words import set_language

GOOD = b'{"text": "good day", "label": "ham"}\n'
LOOK = Hints()
ROW = '{"text": "good day", "label": "ham"}'


def read(path: Path, hints: Hints = LOOK) -> tuple[Dataset, list[Example], list[Dropped]]:
    dataset = open_dataset(path, hints)
    items = list(dataset)
    return (
        dataset,
        [item for item in items if isinstance(item, Example)],
        [item for item in items if isinstance(item, Dropped)],
    )


def refusal(path: Path, hints: Hints = LOOK) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, hints)
    assert caught.value.exit_code == 3
    assert caught.value.problem
    assert caught.value.hint
    assert "\n" not in caught.value.problem
    assert "\x1b" not in caught.value.problem
    return caught.value


REFUSED = {
    "empty": ("a.jsonl", b"", "a.jsonl is empty", "at least a few rows"),
    "only white space": ("a.jsonl", b" \n\n", "a.jsonl holds no rows", "at least a few rows"),
    "an empty array": ("a.json", b"[]", "a.json holds no rows", "at least a few rows"),
    "only a header": ("a.csv", b"text,label\n", "a.csv holds no rows", "at least a few rows"),
    "UTF-16 with mark": (
        "a.csv",
        "text,label\nhi,ham\n".encode("utf-16"),
        "a.csv:1 is not UTF-8: byte 1",
        "iconv -f UTF-16 ",
    ),
    "UTF-16 without mark": (
        "a.csv",
        "text,label\nhi,ham\n".encode("utf-16-le"),
        "looks like UTF-16LE",
        "iconv -f UTF-16LE",
    ),
    "UTF-16 big endian": (
        "a.csv",
        "text,label\nhi,ham\n".encode("utf-16-be"),
        "looks like UTF-16BE",
        "iconv -f UTF-16BE",
    ),
    "UTF-32": ("a.csv", "text,label\nhi,ham\n".encode("utf-32"), "looks like UTF-32", "iconv -f UTF-32"),
    "Latin-1": (
        "a.csv",
        "text,label\nun café,ham\nune idée à toi,ham\n".encode("latin-1"),
        "a.csv:2 is not UTF-8: byte 7 of the line is 0xE9; it looks like LATIN1",
        "iconv -f LATIN1 -t UTF-8",
    ),
    "Windows-1252": (
        "a.txt",
        "“quoted” text – here\n".encode("cp1252"),
        "a.txt:1 is not UTF-8: byte 1 of",
        "WINDOWS-1252",
    ),
    "GB18030": (
        "a.csv",
        "text,label\n今天天气很好，我们去公园,好\n".encode("gb18030"),
        "a.csv:2 is not UTF-8: byte 1 of the line is 0xBD; it looks like GB18030",
        "iconv -f GB18030",
    ),
    "bad UTF-8 in the middle": (
        "a.jsonl",
        '{"text": "你好，世界"}\n{"text": "好'.encode() + b'\xff"}\n' + GOOD,
        "a.jsonl:2 is damaged: byte 14 of the line, 0xFF",
        "mend this line",
    ),
    "UTF-8 cut in a character": (
        "a.txt",
        "第一行\n第二行".encode()[:-1],
        "a.txt:2 is damaged: byte 7",
        "fetch the file again",
    ),
    "a surrogate as bytes": ("a.txt", "好的好的".encode() + b"\xed\xa0\x80\n", "a.txt:1 is damaged: byte 13", "mend"),
    "NUL": (
        "a.csv",
        b"text,label\nhi\0there,ham\n",
        "a.csv:2 holds a NUL byte (byte 3 of the line)",
        "binary or damaged",
    ),
    "torn last line": ("a.jsonl", GOOD * 3 + b'{"text": "good d', "a.jsonl:4 is cut off", "delete the incomplete end"),
    "torn after a key": ("a.jsonl", GOOD + b'{"text": "a", "la', "a.jsonl:2 is cut off", "fetch or write"),
    "torn array": ("a.json", f"[{ROW},\n{ROW}".encode(), "a.json:2 is cut off", "fetch or write"),
    "torn in an array's row": ("a.json", f'[{ROW},\n{{"text": "go'.encode(), "a.json:2 is cut off", "fetch or write"),
    "trailing comma in a row": ("a.jsonl", GOOD + b'{"text": "a",}\n', "a.jsonl:2 has a comma too many", "remove it"),
    "trailing comma in an array": (
        "a.json",
        f"[{ROW},\n{ROW},\n]".encode(),
        "a.json:3 has a comma too many",
        "remove it",
    ),
    "commas between lines": ("a.jsonl", f"{ROW},\n{ROW}\n".encode(), "a.jsonl:1 ends with a comma", "remove them"),
    "missing comma": ("a.json", f"[{ROW}\n{ROW}]".encode(), "a.json:2: a comma is missing", "by commas"),
    "text after the array": (
        "a.json",
        f"[{ROW}]\n{{}}".encode(),
        "a.json:2 has more text after the end",
        "--format jsonl",
    ),
    "two objects on a line": (
        "a.jsonl",
        f"{ROW}\n{ROW} {ROW}\n".encode(),
        "a.jsonl:2 holds more than one",
        "of its own",
    ),
    "words after an object": ("a.jsonl", f"{ROW} and so on\n".encode(), "a.jsonl:1 has more text", "of its own"),
    "Python instead of JSON": ("a.jsonl", b"{'text': 'a'}\n", "looks like Python", "json.dumps"),
    "None instead of null": (
        "a.jsonl",
        GOOD + b'{"text": None}\n',
        "a.jsonl:2 is not JSON but looks like Python",
        "json.dumps",
    ),
    "no JSON at all": (
        "a.jsonl",
        GOOD + b"hello there, all of you\n",
        "a.jsonl:2 is not valid JSON at character 1",
        "--format",
    ),
    "depth of 100,000": (
        "a.jsonl",
        b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        "a.jsonl:1 nests",
        "hostile",
    ),
    "depth in an array": ("a.json", b"[" * 100_000 + b"]" * 100_000, "a.json:1 nests", "hostile"),
    "columns instead of rows": (
        "a.json",
        b'{"text": {"0": "a"}, "label": {"0": "b"}}',
        "holds columns, not rows",
        'orient="records"',
    ),
    "several lists": (
        "a.json",
        b'{"a": [{"text": "x"}], "b": [{"text": "y"}]}',
        "several lists of rows: `a`, `b`",
        "own",
    ),
    "rows that are no objects": (
        "a.jsonl",
        b"[1]\n[2]\n[3]\n[4]\n[5]\n[6]\n",
        "6 of 6 rows of a.jsonl cannot be used: a.jsonl:1 is a list, not an object; a.jsonl:2",
        "mend",
    ),
    "wrong type in most rows": (
        "a.jsonl",
        b'{"text": ["a"], "label": "x"}\n' * 12 + GOOD * 8,
        "12 of 20 rows of a.jsonl cannot be used: a.jsonl:1 `text` is a list, not a text; ",
        "mend these rows",
    ),
    "missing field in most rows": (
        "a.jsonl",
        GOOD + b'{"txt": "a", "label": "ham"}\n' * 3,
        "3 of 4 rows of a.jsonl cannot be used: a.jsonl:2 has no `text`; nearest: `txt`",
        "--text-column",
    ),
    "no reply anywhere": (
        "a.jsonl",
        b'{"messages": [{"role": "user", "content": "hi"}]}\n' * 2,
        "2 of 2 rows of a.jsonl cannot be used: a.jsonl:1 `messages` has no turn of the assistant to learn from",
        "mend",
    ),
    "unknown role everywhere": (
        "a.jsonl",
        b'{"messages": [{"role": "asistant", "content": "hi"}]}\n' * 2,
        "`messages[0].role` is the unknown role `asistant`; known: assistant",
        "mend",
    ),
    "unbalanced quote": (
        "a.csv",
        b'text,label\n"hi,ham\nyou,ham\n',
        "a.csv:2 has a quote mark that is never closed",
        '""',
    ),
    "text after a quote": ("a.csv", b'text,label\nyou,ham\n"hi" you,ham\n', "a.csv:3 has a quote mark", "twice"),
    "mostly ragged": (
        "a.csv",
        b"label,text\nham,a, b\nham,c, d, e\nham,f, g\nham,h\n",
        "3 of 4 rows of a.csv cannot be used: a.csv:2 has 3 cells where the table has 2 columns",
        "mend these rows",
    ),
    "not gzip inside": ("a.csv.gz", b"\x1f\x8b" + b"nonsense" * 9, "a.csv.gz is damaged: its gzip data", "again"),
    "cut gzip": ("a.csv.gz", gzip.compress(os.urandom(5000))[:-2000], "a.csv.gz is damaged", "again"),
    "a Parquet file cut off": ("a.parquet", b"PAR1" + b"\0" * 100, "a.parquet is not a whole Parquet file", "again"),
    "PDF": ("a.csv", b"%PDF-1.7 ...", "a.csv is PDF, which is not read", "save it as CSV"),
    "old Excel": ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.xls is Excel", "save it as CSV"),
    "settings": ("a.yaml", b"model: x\n", "a.yaml looks like settings", "JSONL"),
}


@pytest.mark.parametrize(("name", "content", "problem", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_broken_file_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes, problem: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = refusal(tmp_path / name)
    assert problem in error.problem
    assert hint in error.hint
    set_language("zh")
    assert error.problem != refusal(tmp_path / name).problem, "every refusal has its Chinese"


DIGITS = b"1" * 5000
ACCEPTED = {
    "byte order mark": ("a.csv", b"\xef\xbb\xbftext,label\nhi,ham\nyou,spam\n", 2, {}, {"bom"}),
    "byte order mark in JSONL": ("a.jsonl", b"\xef\xbb\xbf" + GOOD * 2, 2, {}, {"bom"}),
    "an array named .jsonl": ("a.jsonl", f"[{ROW},\n{ROW}]".encode(), 2, {}, {"json_array"}),
    "lines named .json": ("a.json", GOOD * 2, 2, {}, {"json_lines"}),
    "rows inside an object": ("a.json", f'{{"data": [{ROW}, {ROW}]}}'.encode(), 2, {}, {"json_object"}),
    "blank lines": ("a.jsonl", b"\n" + GOOD + b" \n\n" + GOOD + b"\n", 2, {}, set()),
    "no last line break": ("a.jsonl", GOOD + GOOD.strip(), 2, {}, set()),
    "Windows line breaks": ("a.csv", b"text,label\r\nhi,ham\r\nyou,spam\r\n", 2, {}, set()),
    "old Mac line breaks": ("a.csv", b"text,label\rhi,ham\ryou,spam\r", 2, {}, set()),
    "lone surrogate": ("a.jsonl", GOOD * 2 + b'{"text": "\\ud83d x", "label": "ham"}\n', 2, {"bad_encoding": 1}, set()),
    "whole surrogate pair": ("a.jsonl", GOOD * 2 + b'{"text": "\\ud83d\\ude00", "label": "ham"}\n', 3, {}, set()),
    "escaped NUL": ("a.jsonl", GOOD * 2 + b'{"text": "a\\u0000b", "label": "ham"}\n', 2, {"bad_encoding": 1}, set()),
    "NUL in words": ("a.jsonl", GOOD * 2 + b'{"text": "a\\\\u0000b", "label": "ham"}\n', 3, {}, set()),
    "duplicate keys": ("a.jsonl", GOOD + b'{"text": "a", "label": "ham", "text": "b"}\n', 2, {}, {"repeated_key"}),
    "NaN": ("a.jsonl", GOOD + b'{"text": "a", "label": "ham", "score": NaN}\n', 2, {}, {"bad_number"}),
    "1e999": ("a.jsonl", GOOD + b'{"text": "a", "label": "ham", "score": -1e999}\n', 2, {}, {"bad_number"}),
    "5,000 digits": ("a.jsonl", GOOD + b'{"text": "a", "label": "ham", "n": ' + DIGITS + b"}\n", 2, {}, {"bad_number"}),
    "NaN as the text": ("a.jsonl", GOOD * 2 + b'{"text": NaN, "label": "ham"}\n', 2, {"empty_text": 1}, {"bad_number"}),
    "null row": ("a.jsonl", GOOD * 2 + b"null\n", 2, {"wrong_type": 1}, set()),
    "wrong type": ("a.jsonl", GOOD * 2 + b'{"text": {"a": 1}, "label": "ham"}\n', 2, {"wrong_type": 1}, set()),
    "wrong type of the label": (
        "a.jsonl",
        GOOD * 2 + b'{"text": "a", "label": {"a": 1}}\n',
        2,
        {"wrong_type": 1},
        set(),
    ),
    "type changes at row 13": ("a.jsonl", GOOD * 12 + b'{"text": 13, "label": "ham"}\n', 12, {"wrong_type": 1}, set()),
    "missing text": ("a.jsonl", GOOD * 2 + b'{"txt": "a", "label": "ham"}\n', 2, {"missing_field": 1}, set()),
    "misspelt label": ("a.jsonl", GOOD * 2 + b'{"text": "a", "labl": "ham"}\n', 2, {"missing_field": 1}, set()),
    "empty text": ("a.csv", b"text,label\nhi,ham\nyou,spam\n ,ham\n", 2, {"empty_text": 1}, set()),
    "ragged rows": ("a.csv", b"text,label\nhi,ham\nyou,spam,\n\nx\nyes,ham\n", 3, {"ragged": 1}, set()),
    "too many cells": ("a.csv", b"text,label\nhi,ham\na,b,c\nyou,spam\n", 2, {"ragged": 1}, set()),
    "rows of nothing": ("a.csv", b"text,label\nhi,ham\nyou,spam\n,\n,\n", 2, {}, {"blank_row"}),
    "a column name twice": ("a.csv", b"text,label,text\nhi,ham,x\nyou,spam,y\n", 2, {}, {"repeated_column"}),
    "duplicate ids": (
        "a.jsonl",
        b'{"id": 7, "text": "a", "label": "x"}\n{"id": 7, "text": "b", "label": "y"}\n',
        2,
        {},
        {"duplicate_id"},
    ),
    "unknown role": (
        "a.jsonl",
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}\n' * 2
        + b'{"messages": [{"role": "wizard", "content": "q"}, {"role": "assistant", "content": "a"}]}\n',
        2,
        {"unknown_role": 1},
        set(),
    ),
    "no reply": (
        "a.jsonl",
        b'{"prompt": "q", "completion": "a"}\n' * 2 + b'{"prompt": "q", "completion": " "}\n',
        2,
        {"no_reply": 1},
        set(),
    ),
}


@pytest.mark.parametrize(("name", "content", "count", "reasons", "notes"), ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_odd_is_counted_or_said(
    tmp_path: Path, name: str, content: bytes, count: int, reasons: dict[str, int], notes: set[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    dataset, examples, dropped = read(tmp_path / name)
    assert len(examples) == count
    assert Counter(item.reason for item in dropped) == reasons
    assert {problem.kind for problem in dataset.notes} == notes
    assert all(problem.message and problem.where for problem in dataset.notes)


def test_the_line_of_a_dropped_row_and_its_field_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD * 12 + b'{"text": 13, "label": "ham"}\n')
    (dropped,) = read(path)[2]
    assert dropped == Dropped("a.jsonl:13", "wrong_type", "`text` is a number, not a text")


def test_at_most_five_bad_rows_are_named_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": 1, "label": "ham"}\n' * 2000 + GOOD)
    problem = refusal(path).problem
    assert problem.count("`text` is a number") == 5
    assert problem.startswith("1000 of 1000 rows")


def test_a_missing_file_suggests_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_bytes(b"text,label\nhi,ham\n")
    error = refusal(tmp_path / "reveiws.csv")
    assert "there is no file" in error.problem
    assert str(tmp_path / "reviews.csv") in error.hint
    assert "weitiao samples" in refusal(tmp_path / "nowhere" / "x.csv").hint


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 5000, "a.csv/b.csv"])
def test_an_impossible_path_is_a_missing_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\nhi,ham\n")
    refusal(tmp_path / name)


def test_a_pipe_or_device_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "not a file but a pipe" in refusal(tmp_path / "pipe.jsonl").problem
    assert "not a file but a device" in refusal(Path("/dev/zero")).problem
    assert "not a file but a pipe" in refusal(tmp_path).problem, "also as a part of a folder"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_bytes(b"text,label\nhi,ham\n")
    path.chmod(0)
    if os.geteuid() != 0:
        assert "secret.csv cannot be read: Permission denied" in refusal(path).problem
        return
    os.seteuid(65534)  # root may read everything, so become nobody for a moment
    try:
        assert "cannot be read: Permission denied" in refusal(path).problem
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_an_error_of_the_disk_is_said() -> None:
    memory = files.File(Path("/proc/self/mem"), "mem", files.find_file(Path("/proc/self/mem")).stamp)
    with pytest.raises(DataError, match="mem cannot be read: Input/output error"):
        list(files.blocks(memory))


def test_an_endless_line_is_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lines, json_files):
        monkeypatch.setattr(module, "MAX_RECORD_CHARACTERS", 3 * 2**20)
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(GOOD + b'{"text": "')
        for _ in range(20):
            file.write(b"a" * 2**20)
        file.write(b'"}\n')
    assert refusal(path).problem.startswith("long.jsonl:2 is longer than 3 million characters")
    as_array = tmp_path / "long.json"
    as_array.write_bytes(b"[" + path.read_bytes().replace(b"\n", b",", 1) + b"]")
    assert "is longer than 3 million characters" in refusal(as_array).problem


def test_two_gigabytes_of_nothing_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jsonl"
    path.write_bytes(GOOD)
    os.truncate(path, 2 * 2**30)
    assert "sparse.jsonl:2 holds a NUL byte" in refusal(path).problem


def test_a_gzip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_INFLATED_BYTES", 2**20)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD.replace(b"good", b"a" * 100_000) * 300, compresslevel=9))
    error = refusal(path)
    assert "bomb.jsonl.gz unpacks to more than 200 times its size" in error.problem
    assert "gunzip" in error.hint


def test_an_honest_gzip_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\nhi,ham\nyou,spam\n"))
    assert [example.source for example in read(path)[1]] == ["a.csv.gz:2", "a.csv.gz:3"]


@pytest.mark.parametrize("member", ["data.csv", "../data.csv", "/etc/data.csv"])
def test_archives_are_never_unpacked(tmp_path: Path, member: str) -> None:
    content = b"text,label\nhi,ham\n"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, content)
    for name in ("a.tar", "a.tar.gz"):
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo("link.csv")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    for name, kind in (("a.zip", "zip"), ("a.tar", "tar"), ("a.tar.gz", "tar")):
        error = refusal(tmp_path / name)
        assert f"{name} is an archive ({kind})" in error.problem
        assert "unpack it" in error.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.tar.gz", "a.zip"]


def test_a_spreadsheet_is_named_as_such(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    assert "a.xlsx is Excel" in refusal(tmp_path / "a.xlsx").problem


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("secret", encoding="utf-8")
    for name in ("pos", "neg"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.txt").write_text("text", encoding="utf-8")
    (tmp_path / "data" / "pos" / "2.txt").symlink_to(tmp_path / "outside.txt")
    assert "pos/2.txt is a link that leaves the folder" in refusal(tmp_path / "data").problem


def test_a_file_that_grows_while_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD * 40_000)
    dataset = open_dataset(path)
    rows = iter(dataset)
    next(rows)
    with path.open("ab") as file:
        file.write(GOOD)
    with pytest.raises(DataError, match=r"a\.jsonl changed while it was being read"):
        list(rows)
    with pytest.raises(DataError, match="changed"):
        next(iter(dataset))
    with pytest.raises(DataError, match="changed"):
        dataset.digest()


def test_a_file_that_breaks_while_read_is_said_to_have_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD * 40_000)
    rows = iter(open_dataset(path))
    next(rows)
    path.write_bytes(b"{" * 4_000_000)
    with pytest.raises(DataError, match="changed while it was being read"):
        list(rows)


def test_a_file_that_vanishes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD)
    dataset = open_dataset(path)
    path.unlink()
    with pytest.raises(DataError, match="changed"):
        list(dataset)


def test_escape_sequences_of_the_data_never_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m.jsonl"
    path.write_text(json.dumps({"te\x1b[2Jxt": 1}) + "\n", encoding="utf-8")
    assert "\\x1b[31m" in refusal(path).problem
    header = tmp_path / "b.csv"
    header.write_bytes(b"te\x1b[2Jxt,label\nhello there my friend,ham\nand you too,spam\n")
    dataset, _, _ = read(header)
    assert not any("\x1b" in guess for guess in dataset.layout.guesses)


def test_a_parquet_row_group_that_claims_to_be_huge_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    from pyarrow import parquet as pyarrow_parquet

    path = tmp_path / "a.parquet"
    pyarrow_parquet.write_table(pyarrow.table({"text": ["a" * 5000] * 10, "label": ["x", "y"] * 5}), path)
    assert len(read(path)[1]) == 10
    monkeypatch.setattr(parquet, "MAX_ROW_GROUP_BYTES", 100)
    assert "has a row group of more than" in refusal(path).problem


def test_a_writer_of_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    done = threading.Event()
    threading.Thread(target=lambda: (refusal(tmp_path / "p"), done.set()), daemon=True).start()
    assert done.wait(5)


@pytest.mark.parametrize("flag", ["format", "kind", "documents", "text_column", "label_column", "prompt_column"])
def test_a_wrong_flag_names_the_choices(tmp_path: Path, flag: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD * 2)
    error = refusal(path, Hints(**{flag: "lable"}))
    assert "lable" in error.problem
    assert "label" in error.hint or "choose one of" in error.hint
