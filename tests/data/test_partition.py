import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from fake_dataset import FakeDataset, FakeLayout, Item, dataset, texts
from weitiao import words
from weitiao.data import keys
from weitiao.data.ledger import Dropped
from weitiao.data.partition import SPLITS, Partition, Sources, assigned, partition
from weitiao.errors import DataError, SettingsError
from weitiao.example import (
    Categories,
    Category,
    Message,
    Reply,
    Span,
    Spans,
    content_key,
    make_example,
)


def _split_names(found: Partition) -> list[str]:
    return [SPLITS[split] if split >= 0 else "" for split in found.split_of]


def _kinds(found: Partition) -> Counter[str]:
    return Counter(problem.kind for problem in found.problems)


def test_every_row_read_has_a_split_or_a_reason() -> None:
    rows = [*texts(50), ("text number 3", Category("spam")), ("lonely", None), Dropped("a.csv:54", "empty_text", "no")]
    sources = Sources(dataset(rows))
    found = partition(sources)
    for row, (item, split) in enumerate(assigned(sources, found)):
        assert split == _split_names(found)[row]
        assert bool(split) + isinstance(item, Dropped) + (row in found.dropped) == 1
    assert len(found.split_of) == len(rows)
    assert {row: reason for row, (reason, _) in found.dropped.items()} == {50: "duplicate", 51: "no_label"}
    assert len(found.dropped) == 2


def test_shares_are_kept_and_texts_never_straddle() -> None:
    rows = [(f"Question {n % 3000}", Reply(f"answer {n}")) for n in range(6000)]
    sources = Sources(dataset(rows, "reply"))
    found = partition(sources, dev_share=0.1, test_share=0.2)
    counts = Counter(_split_names(found))
    assert counts["test"] == pytest.approx(1200, abs=150)
    assert counts["dev"] == pytest.approx(600, abs=120)
    splits_of_text: dict[int, set[str]] = {}
    for item, split in assigned(sources, found):
        splits_of_text.setdefault(content_key(item), set()).add(split)
    assert all(len(splits) == 1 for splits in splits_of_text.values())


def test_the_same_prompt_with_another_reply_is_kept() -> None:
    rows = [("Hi", Reply("Hello")), ("hi ", Reply("Hey")), ("HI", Reply("Hello")), ("a", Reply("b")), ("c", Reply("d"))]
    found = partition(Sources(dataset(rows, "reply")))
    assert {row: reason for row, (reason, _) in found.dropped.items()} == {2: "duplicate"}
    assert found.split_of[0] == found.split_of[1]


def test_adding_rows_moves_no_other_row() -> None:
    few = partition(Sources(dataset(texts(300))))
    many = partition(Sources(dataset([*texts(700, start=300), *texts(300)])))
    assert list(many.split_of[700:]) == list(few.split_of)


def test_another_seed_draws_another_split_and_the_same_seed_the_same() -> None:
    sources = Sources(dataset(texts(200)))
    assert list(partition(sources).split_of) == list(partition(sources).split_of)
    assert list(partition(sources, seed=1).split_of) != list(partition(sources).split_of)


def test_the_test_split_does_not_depend_on_the_share_for_dev() -> None:
    sources = Sources(dataset(texts(200)))
    small, large = partition(sources, dev_share=0.05), partition(sources, dev_share=0.3)
    assert list(small.split_of == 2) == list(large.split_of == 2)


@pytest.mark.parametrize("count", [3, 4, 5, 10])
def test_three_texts_or_more_fill_every_split(count: int) -> None:
    for seed in range(40):
        found = partition(Sources(dataset([(f"t{n}", Reply("r")) for n in range(count)], "reply")), seed=seed)
        assert set(_split_names(found)) == {"train", "dev", "test"}


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_texts_leave_something_to_train_on(count: int) -> None:
    for seed in range(40):
        found = partition(Sources(dataset([(f"t{n}", Reply("r")) for n in range(count)], "reply")), seed=seed)
        assert "train" in _split_names(found)


def test_a_share_of_zero_gives_no_such_split() -> None:
    found = partition(Sources(dataset(texts(50))), dev_share=0, test_share=0)
    assert set(_split_names(found)) == {"train"}


@pytest.mark.parametrize(("dev", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(dev: float, test: float) -> None:
    with pytest.raises(SettingsError, match="leave nothing to train on"):
        partition(Sources(dataset(texts(5))), dev_share=dev, test_share=test)


def test_a_duplicate_names_the_first_of_its_kind() -> None:
    rows = [*texts(5), ("Text   NUMBER ２", Category("ham")), ("text number 2", Category("ham"))]
    found = partition(Sources(dataset(rows, name="sms.csv")))
    assert found.dropped[5] == ("duplicate", "repeats sms.csv:4")
    assert found.dropped[6] == ("duplicate", "repeats sms.csv:4")
    assert 2 not in found.dropped
    with pytest.raises(KeyError):
        found.dropped[2]


def test_contradictions_all_go_and_each_names_a_row_that_disagrees() -> None:
    rows = [*texts(6), ("free", Category("spam")), ("FREE", Category("ham")), ("free ", Category("spam"))]
    found = partition(Sources(dataset(rows, name="sms.csv")))
    assert found.dropped[6] == ("contradiction", "labelled spam, but the same text at sms.csv:9 is labelled ham")
    assert found.dropped[7] == ("contradiction", "labelled ham, but the same text at sms.csv:8 is labelled spam")
    assert found.dropped[8][0] == "contradiction"
    assert [p.where for p in found.problems if p.kind == "contradiction"] == ["sms.csv:8", "sms.csv:9", "sms.csv:10"]


def test_of_three_labels_each_row_names_the_first_that_disagrees() -> None:
    rows = [*texts(6), *(("free", Category(label)) for label in "cabcab")]
    found = partition(Sources(dataset(rows, name="sms.csv")))
    said = [found.dropped[row][1] for row in range(6, 12)]
    assert said == [
        f"labelled {label}, but the same text at sms.csv:{line} is labelled {other}"
        for label, line, other in [("c", 9, "a"), *((label, 8, "c") for label in "ab"), ("c", 9, "a"),
                                   *((label, 8, "c") for label in "ab")]
    ]  # fmt: skip


def test_an_unlabelled_copy_neither_contradicts_nor_counts() -> None:
    found = partition(Sources(dataset([*texts(6), ("text number 1", None)])))
    assert found.dropped[6][0] == "no_label"
    assert len(found.dropped) == 1


def test_several_categories_contradict_only_when_they_differ_as_a_set() -> None:
    rows = [
        ("a", Categories(("x", "y"))), ("A", Categories(("y", "x"))), ("b", Categories(("x",))), ("B", Categories(())),
        ("c", Categories(())), ("d", Categories(("z",))),
    ]  # fmt: skip
    found = partition(Sources(dataset(rows)), dev_share=0, test_share=0)
    assert {row: reason for row, (reason, _) in found.dropped.items()} == {
        1: "duplicate", 2: "contradiction", 3: "contradiction",
    }  # fmt: skip
    assert found.task.categories == ("x", "y", "z")
    assert found.counts["train"] == {"": 1, "x": 1, "y": 1, "z": 1}


def test_marks_are_compared_by_what_they_mark_not_where() -> None:
    rows = [
        ("in New  York", Spans((Span(3, 12, "place"),))), ("in New York", Spans((Span(3, 11, "place"),))),
        ("Bo ran", Spans((Span(0, 2, "person"),))), ("bo ran", Spans(())), ("x", Spans(())), ("y", Spans(())),
    ]  # fmt: skip
    found = partition(Sources(dataset(rows, "mark")), dev_share=0, test_share=0)
    assert {row: reason for row, (reason, _) in found.dropped.items()} == {
        1: "duplicate", 2: "contradiction", 3: "contradiction",
    }  # fmt: skip
    assert found.task.categories == ("place",)


def test_given_test_data_are_kept_whole_and_their_texts_leave_the_others() -> None:
    test = dataset([*texts(4), ("text number 1", Category("spam"))], name="test.csv")
    dev = dataset([("text number 2", Category("ham")), ("only dev", Category("ham"))], name="dev.csv")
    main = dataset([*texts(8), ("ONLY dev", Category("spam"))], name="main.csv")
    found = partition(Sources(main, dev, test))
    splits = _split_names(found)
    assert splits[:9] == ["", "", "", "", "train", "train", "train", "train", ""]
    assert splits[9:11] == ["", "dev"]
    assert splits[11:] == ["test"] * 5
    assert found.dropped[1] == ("leak", "the same text is held out, at test.csv:3")
    assert found.dropped[8] == ("leak", "the same text is held out, at dev.csv:3")
    assert found.dropped[9] == ("leak", "the same text is held out, at test.csv:4")
    assert found.rows == (9, 2, 5)
    stays = [problem.message for problem in found.problems if problem.kind == "duplicate"]
    assert stays == ["repeats test.csv:3", "such rows: 1; they stay, because their file is used as it was given"]


def test_sources_of_different_kinds_are_refused() -> None:
    with pytest.raises(DataError, match=r"t.csv was read as reply, but a.csv as classify"):
        partition(Sources(dataset(texts(5)), test=dataset([("a", Reply("b"))], "reply", "t.csv")))


def test_max_rows_takes_that_many_and_every_label_of_a_sorted_file() -> None:
    rows = [(f"t{n}", Category("a" if n < 500 else "b")) for n in range(1000)]
    found = partition(Sources(dataset(rows)), max_rows=60)
    used = np.flatnonzero(found.split_of >= 0)
    assert len(used) == 60
    assert 10 < (used < 500).sum() < 50
    assert Counter(reason for reason, _ in found.dropped.values()) == {"over_max_rows": 940}
    assert set(_split_names(found)) == {"train", "dev", "test", ""}
    with pytest.raises(SettingsError):
        partition(Sources(dataset(rows)), max_rows=0)


def test_fewer_rows_to_learn_from_are_some_of_more_and_leave_dev_test_and_the_question_as_they_are() -> None:
    rows = [(f"t{n}", Category("ab"[n % 2] if n else "rare")) for n in range(1000)]
    whole, many, few = (partition(Sources(dataset(rows)), max_train=most) for most in (None, 200, 50))
    taken = [np.flatnonzero(found.split_of == 0) for found in (whole, many, few)]
    assert [len(train) for train in taken[1:]] == [200, 50]
    assert set(taken[2]) < set(taken[1]) < set(taken[0])
    for split in (1, 2):
        held = [np.flatnonzero(found.split_of == split).tolist() for found in (whole, many, few)]
        assert held[0] == held[1] == held[2]
    assert whole.task == many.task == few.task
    assert sum(few.counts["train"].values()) == 50
    assert Counter(reason for reason, _ in few.dropped.values()) == {"over_max_train": len(taken[0]) - 50}


def test_categories_are_sorted_and_the_question_names_them_in_the_language_of_the_data() -> None:
    words.set_language("zh")
    english = partition(Sources(dataset(texts(9)))).task
    words.set_language("en")
    chinese = partition(Sources(dataset([(f"这本书很好{n}", Category("正负"[n % 2])) for n in range(9)]))).task
    assert english.categories == ("ham", "spam")
    assert english.question == "Which category does this text belong to: ham, spam?"
    assert chinese.question == "下面的文本属于哪一类？可选：正、负。"
    assert partition(Sources(dataset(texts(9))), question="Spam?").task.question == "Spam?"


def test_one_category_is_refused_naming_the_column() -> None:
    with pytest.raises(DataError, match="one category only: ham") as raised:
        partition(Sources(dataset([(f"t{n}", Category("ham")) for n in range(9)])))
    assert '"v1"' in raised.value.hint
    assert "--label-column" in raised.value.hint


def test_too_many_categories_are_refused_without_reading_on() -> None:
    def rows() -> Iterator[Item]:
        for n in range(10_000):
            assert n < 300
            yield make_example((Message("document", f"t{n}"),), Category(f"c{n}"), f"a:{n}")

    class Endless(FakeDataset):
        def __iter__(self) -> Iterator[Item]:
            return rows()

    with pytest.raises(DataError, match="more than 200 categories"):
        partition(Sources(Endless([], FakeLayout("classify"))))


def test_nothing_left_to_train_on_says_why() -> None:
    rows = [("a", None), ("b", Category("x")), ("B", Category("y")), Dropped("a.csv:5", "empty_text", "no")]
    with pytest.raises(DataError, match="leaves no row") as raised:
        partition(Sources(dataset(rows)))
    assert "contradiction 2" in raised.value.problem
    assert "no_label 1" in raised.value.problem
    with pytest.raises(DataError, match="leaves no row"):
        partition(Sources(dataset([])))


def test_problems_are_listed_up_to_a_bound_with_their_total() -> None:
    rows = [*texts(20), *(("text number 1", Category("spam")) for _ in range(100))]
    found = partition(Sources(dataset(rows)))
    duplicates = [problem for problem in found.problems if problem.kind == "duplicate"]
    assert len(duplicates) == 21
    assert duplicates[-1].message == "such rows in all: 100; they are left out"


def test_imbalance_is_said() -> None:
    rows = [(f"t{n}", Category("spam" if n < 5 else "ham")) for n in range(300)]
    found = partition(Sources(dataset(rows)), dev_share=0)
    messages = [problem.message for problem in found.problems if problem.kind == "imbalance"]
    assert any("spam has few rows" in message for message in messages)
    assert any("% are ham" in message for message in messages)
    balanced = partition(Sources(dataset(texts(300))))
    assert _kinds(balanced) == {}


def test_a_source_that_shrank_or_grew_between_the_passes_is_refused() -> None:
    sources = Sources(dataset(texts(20)))
    found = partition(sources)
    for changed in (texts(19), texts(21)):
        with pytest.raises(DataError, match="has changed"):
            list(assigned(Sources(dataset(changed)), found))


def test_sources_without_line_numbers_keep_their_names() -> None:
    rows = [*texts(5), ("text number 2", Category("ham"))]
    source = dataset(rows)
    source.items = [
        make_example(item.messages, item.label, f"folder/{place:03}.txt") for place, item in enumerate(source.items)
    ]
    assert partition(Sources(source)).dropped[5] == ("duplicate", "repeats folder/002.txt")


def test_the_decisions_equal_those_of_a_plain_dictionary() -> None:
    draw = random.Random(4)
    rows = [(f"t{draw.randrange(200)}", Category(draw.choice("aaab"))) for _ in range(400)]
    held = [(f"t{draw.randrange(250)}", Category("a")) for _ in range(10)]
    found = partition(Sources(dataset(rows), test=dataset(held, name="t.csv")))
    held_texts = {text for text, _ in held}
    labels: dict[str, set[str]] = {}
    for text, label in rows:
        labels.setdefault(text, set()).add(label.name)
    seen: set[str] = set()
    for row, (text, _) in enumerate(rows):
        expected = ""
        if text in held_texts:
            expected = "leak"
        elif len(labels[text]) > 1:
            expected = "contradiction"
        elif text in seen:
            expected = "duplicate"
        seen.add(text)
        assert found.dropped.reason(row) == expected


def test_memory_stays_under_45_bytes_a_row_and_14_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "BLOCK_ROWS", 1 << 10)  # so that the rows fill many blocks and parts
    monkeypatch.setattr(keys, "_PART_ROWS", 1 << 10)

    class Generated(FakeDataset):
        def __iter__(self) -> Iterator[Item]:
            for n in range(20_000):
                yield make_example((Message("document", f"text {n % 16_000}"),), Reply("x"), f"big.jsonl:{n + 1}")

    source = Sources(Generated([], FakeLayout("reply")))
    partition(Sources(dataset(texts(20))))  # what is loaded once is no row's
    tracemalloc.start()
    found = partition(source)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.dropped) == 4_000
    assert peak < 45 * 20_000
    assert kept < 14 * 20_000
