"""The ledger of data that cannot be divided says of every row what the partition would have said."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from weitiao.api.check import Checked, check
from weitiao.api.preparation import open_given, open_named
from weitiao.api.undivided import read_undivided
from weitiao.data.dataset import Hints
from weitiao.data.ledger import Ledger
from weitiao.data.partition import Sources, partition
from weitiao.errors import DataError
from weitiao.settings import make_settings

CONTRADICTING = [("a b c", "x"), ("A  b c", "y"), ("d e f", "x"), ("d e f", "y"), ("", "x"), ("no label", "")]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def checked(data: Path, **others: Any) -> Checked:
    found = check(make_settings({"data": data, **others}))
    assert isinstance(found.refused, DataError)
    return found


def reasons(found: Checked) -> dict[str, str]:
    return {entry.source: entry.reason for entry in found.ledger.shown()}


def test_rows_that_all_contradict_each_other_are_told_with_their_lines(tmp_path: Path) -> None:
    found = checked(write(tmp_path / "a.csv", CONTRADICTING))
    assert found.ledger.counts() == {"read": 6, "used": 0, "truncated": 0, "dropped": 6}
    assert found.ledger.reasons() == {"contradiction": 4, "empty_text": 1, "no_label": 1}
    details = {entry.source: entry.detail for entry in found.ledger.shown()}
    assert details["a.csv:2"] == "labelled x, but the same text at a.csv:3 is labelled y"
    assert [problem.where for problem in found.problems] == ["a.csv:2", "a.csv:3", "a.csv:4", "a.csv:5"]
    assert {problem.kind for problem in found.problems} == {"contradiction"}


def test_of_one_category_only_the_repeated_rows_are_told(tmp_path: Path) -> None:
    found = checked(write(tmp_path / "a.csv", [("a", "x"), ("b", "x"), ("A", "x")]), kind="classify")
    assert found.ledger.counts() == {"read": 3, "used": 2, "truncated": 0, "dropped": 1}
    assert reasons(found) == {"a.csv:4": "duplicate"}


def test_data_that_are_their_own_test_leak_row_by_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [("a", "x"), ("b", "y")])
    found = checked(path, test=path)
    assert found.ledger.counts() == {"read": 4, "used": 2, "truncated": 0, "dropped": 2}
    assert found.ledger.reasons() == {"leak": 2}


def test_too_many_categories_still_have_a_ledger(tmp_path: Path) -> None:
    rows = [(f"text {number % 250}", f"label {number % 250}") for number in range(251)]
    found = checked(write(tmp_path / "a.csv", rows), kind="classify")
    assert "more than 200 categories" in str(found.refused)
    assert found.ledger.counts() == {"read": 251, "used": 250, "truncated": 0, "dropped": 1}


def test_sources_of_two_kinds_are_each_read_as_what_they_are(tmp_path: Path) -> None:
    main = write(tmp_path / "a.csv", [("a", "x"), ("b", "y"), ("b", "y")])
    (tmp_path / "b.jsonl").write_text('{"prompt": "q", "reply": "a"}\n{"prompt": "q", "reply": ""}\n', "utf-8")
    main_data, other = (open_named(str(path), Hints()) for path in (main, tmp_path / "b.jsonl"))
    found = Ledger()
    read_undivided(Sources(main_data, None, other), found)
    assert found.reasons() == {"duplicate": 1, "no_reply": 1}
    assert found.counts() == {"read": 5, "used": 3, "truncated": 0, "dropped": 2}


def test_a_file_that_breaks_in_the_middle_is_told_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [f'{{"text": "text {number // 2}", "label": "x"}}\n' for number in range(1200)]
    path.write_text("".join(rows) + "not JSON\n", encoding="utf-8")
    found = checked(path, kind="classify")
    assert "a.jsonl:1201 is not valid JSON" in str(found.refused)
    assert found.ledger.counts() == {"read": 1200, "used": 600, "truncated": 0, "dropped": 600}


HELD_OUT = {
    "dev": [("text 3", "x"), ("text 3", "y"), ("text 5", "x"), ("only dev", "x"), ("only dev", "x")],
    "test": [("text 4", "x"), ("text 5", "y"), ("only dev", "y")],
}


@pytest.mark.parametrize("names", [(), ("test",), ("dev", "test")])
def test_the_rules_are_those_of_the_partition(names: tuple[str, ...], tmp_path: Path) -> None:
    """On data that can be divided both must give every row the same fate."""
    rows = [(f"text {number % 30}", "xy"[number % 2]) for number in range(50)]
    paths = {"data": write(tmp_path / "data.csv", [*rows, *CONTRADICTING])}
    paths |= {name: write(tmp_path / f"{name}.csv", HELD_OUT[name]) for name in names}
    sources = open_given(make_settings({**paths, "kind": "classify"}))
    ledger = Ledger()
    problems = read_undivided(sources, ledger)
    divided = partition(sources)
    reasons = [divided.dropped.reason(row) for row in range(len(divided.split_of))]
    wanted = Counter("empty_text" if reason == "unreadable" else reason for reason in reasons if reason)
    assert ledger.reasons() == wanted
    assert set(wanted) == {"contradiction", "duplicate", "empty_text", "no_label", *(("leak",) if names else ())}
    assert list(problems) == [problem for problem in divided.problems if problem.kind != "imbalance"]
    assert len(problems) > 20
