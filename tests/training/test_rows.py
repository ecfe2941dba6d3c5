from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiny_training import random_rows
from weitiao.objectives.row import IGNORE, Row
from weitiao.training.rows import EpochRows, Rows, RowWriter


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = random_rows(25)
    with RowWriter(tmp_path / "rows") as writer:
        for row in rows:
            writer.add(row)
    back = Rows(tmp_path / "rows")
    assert len(back) == 25
    for number in (24, 0, 7):
        assert np.array_equal(back[number].tokens, rows[number].tokens)
        assert np.array_equal(back[number].targets, rows[number].targets)
        assert back[number].tokens.dtype == np.int32
    assert back.lengths.tolist() == [len(row.tokens) for row in rows]
    assert back.asked.tolist() == [row.asked for row in rows]


def test_tokens_stay_on_disk_at_eight_bytes_each(tmp_path: Path) -> None:
    row = Row("", np.arange(1000, dtype=np.int32), np.arange(1000, dtype=np.int32))
    with RowWriter(tmp_path) as writer:
        for _ in range(500):
            writer.add(row)
    assert sum((tmp_path / name).stat().st_size for name in ("tokens.i32", "targets.i32")) == 8 * 500 * 1000
    assert isinstance(Rows(tmp_path)._tokens, np.memmap)


def test_a_row_may_be_changed_without_changing_the_file(tmp_path: Path) -> None:
    with RowWriter(tmp_path) as writer:
        writer.add(random_rows(1)[0])
    rows = Rows(tmp_path)
    rows[0].tokens[:] = 0
    assert np.array_equal(rows[0].tokens, random_rows(1)[0].tokens)


def test_writing_anew_replaces_what_was_there(tmp_path: Path) -> None:
    for count in (9, 4):
        with RowWriter(tmp_path) as writer:
            for row in random_rows(count):
                writer.add(row)
    assert len(Rows(tmp_path)) == 4
    assert np.array_equal(Rows(tmp_path)[3].tokens, random_rows(4)[3].tokens)


def test_no_rows_at_all_are_still_rows(tmp_path: Path) -> None:
    with RowWriter(tmp_path):
        pass
    assert len(Rows(tmp_path)) == 0


def test_what_was_not_finished_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), RowWriter(tmp_path) as writer:
        writer.add(random_rows(1)[0])
        raise RuntimeError("stop")
    with pytest.raises(FileNotFoundError):
        Rows(tmp_path)


def test_a_long_example_becomes_several_rows_and_no_token_is_lost(tmp_path: Path) -> None:
    rows = random_rows(20)
    with RowWriter(tmp_path, 9) as writer:
        for row in rows:
            writer.add(row)
    back = Rows(tmp_path)
    assert back.lengths.max() <= 9
    for number, row in enumerate(rows):
        own = [back[place] for place in np.flatnonzero(back.examples == number)]
        assert np.array_equal(np.concatenate([part.tokens for part in own]), row.tokens)
        assert np.array_equal(np.concatenate([part.targets for part in own]), row.targets)


def test_joined_examples_fill_every_row_but_the_last(tmp_path: Path) -> None:
    rows = [replace(row, targets=np.append(row.tokens[1:], np.int32(2))) for row in random_rows(20)]
    with RowWriter(tmp_path, 16, join=True) as writer:
        for row in rows:
            writer.add(row)
    back = Rows(tmp_path)
    tokens = np.concatenate([back[number].tokens for number in range(len(back))])
    targets = np.concatenate([back[number].targets for number in range(len(back))])
    assert set(back.lengths[:-1]) == {16}
    assert tokens.tolist() == [token for row in rows for token in (*row.tokens.tolist(), 2)]
    assert targets.tolist() == [target for row in rows for target in (*row.targets.tolist(), IGNORE)]
    begins = np.cumsum([0, *(len(row.tokens) + 1 for row in rows)])
    expected = [int(np.searchsorted(begins, 16 * number, side="right")) - 1 for number in range(len(back))]
    assert back.examples.tolist() == expected


def test_units_are_kept_where_rows_have_some(tmp_path: Path) -> None:
    rows = [replace(row, units=np.arange(len(row.tokens), dtype=np.int32)) for row in random_rows(5)]
    with RowWriter(tmp_path) as writer:
        for row in rows:
            writer.add(row)
    back = Rows(tmp_path)[3].units
    assert back is not None
    assert np.array_equal(back, np.arange(len(rows[3].tokens)))


def test_plain_rows_cost_nothing_for_what_others_have(tmp_path: Path) -> None:
    with RowWriter(tmp_path) as writer:
        writer.add(random_rows(1)[0])
    assert Rows(tmp_path)[0].units is None
    assert {file.name for file in tmp_path.iterdir()} == {
        "tokens.i32",
        "targets.i32",
        "lengths.npy",
        "asked.npy",
        "examples.npy",
    }


def test_an_epochs_rows_are_a_function_of_epoch_and_number() -> None:
    def draw(row: Row, epoch: int, number: int) -> Row:
        return replace(row, tokens=row.tokens + 100 * epoch + number)

    rows = random_rows(3)
    second = EpochRows(rows, draw, 2)
    assert len(second) == 3
    assert np.array_equal(second[1].tokens, rows[1].tokens + 201)
