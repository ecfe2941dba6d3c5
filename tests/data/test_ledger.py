import json
from pathlib import Path

import pytest

from weitiao.data.ledger import Entry, Ledger
from weitiao.data.visible import visible
from weitiao.errors import MachineError


def test_what_was_read_is_the_sum_of_what_became_of_it() -> None:
    ledger = Ledger()
    for index in range(10):
        ledger.add(Entry(f"a.csv:{index}", "used"))
    ledger.add(Entry("a.csv:11", "truncated", "too_long"))
    ledger.add(Entry("a.csv:12", "dropped", "duplicate"))
    ledger.add(Entry("a.csv:13", "dropped", "duplicate"))
    assert ledger.counts() == {"read": 13, "used": 10, "truncated": 1, "dropped": 2}
    assert ledger.reasons() == {"duplicate": 2, "too_long": 1}


def test_an_empty_ledger_has_all_its_counts() -> None:
    assert Ledger().counts() == {"read": 0, "used": 0, "truncated": 0, "dropped": 0}


def test_memory_is_bounded_but_counts_are_not() -> None:
    ledger = Ledger()
    for index in range(5000):
        ledger.add(Entry(f"a.csv:{index}", "dropped", "empty_text" if index % 2 else "no_reply"))
    assert ledger.reasons() == {"empty_text": 2500, "no_reply": 2500}
    assert len(ledger.shown()) == 40
    assert ledger.shown()[0].source == "a.csv:0"


def test_every_entry_is_a_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.add(Entry("评论.csv:2", "used", example="0123456789abcdef", split="train"))
        ledger.add(Entry("评论.csv:3", "dropped", "empty_text", "`text` 是空的 \ud800"))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"source": "评论.csv:2", "outcome": "used", "example": "0123456789abcdef", "split": "train"}
    assert rows[1]["reason"] == "empty_text"
    assert len(rows) == ledger.counts()["read"]


def test_a_ledger_that_cannot_be_written_is_a_problem_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot be written"):
        Ledger(tmp_path / "missing" / "ledger.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said() -> None:
    with pytest.raises(MachineError, match="No space left"), Ledger(Path("/dev/full")) as ledger:
        for index in range(10_000):
            ledger.add(Entry(f"a.csv:{index}", "used"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 中文 😀", "plain 中文 😀"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("two\nlines\tand\r\n", "two\\nlines\\tand\\r\\n"),
        ("\u202eright to left", "\\u202eright to left"),
        ("half \ud83d", "half \\ud83d"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
    ],
)
def test_nothing_in_shown_text_can_act(text: str, shown: str) -> None:
    assert visible(text) == shown
    visible(text).encode()


def test_shown_text_is_cut_to_its_limit() -> None:
    assert visible("abcdef", 4) == "abc…"
    assert visible("abcd", 4) == "abcd"
