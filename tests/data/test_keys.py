import random

import numpy as np
import pytest

from fake_dataset import dataset
from weitiao.data import keys
from weitiao.data.keys import mix, read_keys
from weitiao.data.ledger import Dropped
from weitiao.data.partition import SPLITS, Partition, Sources, partition
from weitiao.example import Category, Kind, Label, Message, Reply, Span, Spans, content_key, make_example


def _label(draw: random.Random, kind: Kind) -> Label | None:
    if draw.random() < 0.05:
        return None
    if kind == "reply":
        return Reply(draw.choice("ab"))
    if kind == "mark":
        return Spans((Span(0, draw.choice((1, 2)), draw.choice("xy")),))
    return Category(draw.choice("aaab"))


def _rows(draw: random.Random, kind: Kind, count: int, name: str) -> list[tuple[str, Label | None] | Dropped]:
    return [
        Dropped(f"{name}:{place + 2}", "empty_text", "no")
        if draw.random() < 0.05
        else (f"t{draw.randrange(count)}", _label(draw, kind))
        for place in range(count)
    ]


def _sources(kind: Kind) -> Sources:
    draw = random.Random(kind)
    main = dataset(_rows(draw, kind, 500, "a.csv"), kind)
    dev, test = (dataset(_rows(draw, kind, 60, name), kind, name) for name in ("dev.csv", "test.csv"))
    return Sources(main, dev, test)


def _told(found: Partition) -> tuple[object, ...]:
    return found.task, found.split_of.tolist(), dict(found.dropped), found.counts, found.problems, found.rows


@pytest.mark.parametrize("max_rows", [None, 1, 150])
@pytest.mark.parametrize("kind", ["classify", "reply", "mark"])
def test_rows_in_many_blocks_and_parts_have_the_fate_of_rows_in_one(
    kind: Kind, max_rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _sources(kind)
    for sources in (given, Sources(given.main, test=given.test), Sources(given.main)):
        if kind != "reply" and max_rows == 1 and sources.test is None:
            continue  # one row has one category, which is refused
        whole = _told(partition(sources, max_rows=max_rows))
        with monkeypatch.context() as patch:
            patch.setattr(keys, "BLOCK_ROWS", 7)
            patch.setattr(keys, "_PART_ROWS", 13)
            assert _told(partition(sources, max_rows=max_rows)) == whole


@pytest.mark.parametrize("shares", [(0.1, 0.2), (1e-9, 1e-9), (0.5, 0.49), (0.0, 0.3), (0.3, 0.0), (0.9, 1e-12)])
def test_the_contents_with_the_lowest_draws_are_tested_and_those_above_them_steer(shares: tuple[float, float]) -> None:
    for count in (*range(1, 9), 60):
        rows = [(f"t{number % count}", Reply(f"{number}")) for number in range(2 * count)]
        items = dataset(rows, "reply").items
        for seed in range(8):
            found = partition(Sources(dataset(rows, "reply")), *shares, seed=seed)
            drawn = mix(np.array([content_key(item) for item in items], np.uint64), seed, "split")
            order = np.argsort(drawn, kind="stable")
            names = [SPLITS[split] for split in found.split_of[order]]
            tested, steer = names.count("test") // 2, names.count("dev") // 2
            assert names == ["test"] * 2 * tested + ["dev"] * 2 * steer + ["train"] * 2 * (count - tested - steer)
            assert (tested > 0, steer > 0) == (shares[1] > 0, shares[0] > 0) or count < 3
            assert names[-1] == "train"


def test_max_rows_takes_the_rows_of_the_lowest_draws_and_of_equal_ones_the_first() -> None:
    rows = [(f"t{number % 40}", Reply(f"{number}")) for number in range(200)]
    data = dataset(rows, "reply")
    drawn = mix(np.array([content_key(item) for item in data.items], np.uint64), 3, "choose")
    for count in (1, 7, 100, 199, 200, 500):
        found = partition(Sources(data), max_rows=count, seed=3)
        assert sorted(np.argsort(drawn, kind="stable")[:count]) == np.flatnonzero(found.split_of >= 0).tolist()


def test_places_survive_in_the_smallest_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "BLOCK_ROWS", 64)
    sources = [f"file{number}.csv:{number}" for number in range(400)]
    sources += ["big.jsonl:127", "big.jsonl:128", "big.jsonl:65536", "big.jsonl:5000000000", "folder/one.txt", "a:b:07"]
    items = [
        make_example((Message("document", source),), Category(f"c{number % 190}"), source)
        for number, source in enumerate(sources)
    ]
    found = read_keys([items], "classify")
    assert [found.places.place(row) for row in range(len(items))] == sources
    assert [found.places.label_names(row) for row in range(len(items))] == [item.label.name for item in items]


def test_a_row_costs_sixteen_bytes_where_it_has_a_category() -> None:
    texts = (make_example((Message("document", f"{n}"),), Category("ab"[n % 2]), f"a.csv:{n}") for n in range(70_000))
    found = read_keys([texts], "classify")
    columns = [column for block in found.blocks for column in (block.content, block.label, block.status)]
    columns += [column for block in found.places.blocks for column in (block.label_set, block.file, block.line)]
    assert sum(column.nbytes for column in columns) <= 16 * 70_000
