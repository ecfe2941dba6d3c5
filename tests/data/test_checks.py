import random
import time
from itertools import combinations

import numpy as np
import pytest

from fake_dataset import dataset
from fake_dataset import texts as labelled_texts
from weitiao.data.checks import Inspector, inspect
from weitiao.data.dataset import open_dataset
from weitiao.data.ledger import Dropped
from weitiao.data.near import Pair, near_pairs
from weitiao.data.partition import Sources, assigned, partition
from weitiao.data.samples import fetch
from weitiao.errors import MachineError
from weitiao.example import Category, Reply, Span, Spans

ENGLISH = "abcdefghijklmnopqrstuvwxyz      "
CHINESE = "".join(chr(0x4E00 + 7 * n) for n in range(800)) + "，。"


def _shingles(text: str) -> set[str]:
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def _jaccard(one: str, other: str) -> float:
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second)


def _random_text(draw: random.Random, letters: str) -> str:
    return "".join(draw.choices(letters, k=draw.randint(20, 200)))


def _edited(draw: random.Random, text: str, letters: str) -> str:
    """Replace, insert or delete a few characters."""
    characters = list(text)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(characters))
        characters[place : place + draw.randint(0, 1)] = draw.choice(letters) * draw.randint(0, 1)
    return "".join(characters)


def _connected(pairs: list[Pair], count: int) -> np.ndarray:
    group = np.arange(count)
    for pair in pairs:
        group[group == group[pair.row]] = group[pair.other]
    return group


@pytest.mark.parametrize("letters", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_planted_near_duplicates_are_found_and_nothing_else(letters: str) -> None:
    draw = random.Random(letters)
    texts = [_random_text(draw, letters) for _ in range(1200)]
    texts += [_edited(draw, text, letters) for text in texts[:600]]
    near = [n for n in range(600) if _jaccard(texts[n], texts[1200 + n]) >= 0.8]
    assert len(near) > 200
    pairs = near_pairs(texts, [0] * len(texts))
    found = {(pair.other, pair.row) for pair in pairs}
    assert len(found & {(n, 1200 + n) for n in near}) >= 0.98 * len(near)
    assert all(row == other + 1200 for other, row in found)
    assert all(pair.alike >= 0.8 for pair in pairs)
    assert all(pair.alike == pytest.approx(_jaccard(texts[pair.row], texts[pair.other])) for pair in pairs)


def test_the_result_equals_comparing_every_pair_on_texts_with_much_in_common() -> None:
    draw = random.Random(3)
    parts = [
        "please call ",
        "your prize ",
        "of 1000 pounds ",
        "is waiting ",
        "claim it now ",
        "before noon ",
        "thanks ",
    ]
    texts = list(
        dict.fromkeys("".join(draw.sample(parts, draw.randint(6, 7))) + str(draw.randrange(30)) for _ in range(400))
    )
    sets = [_shingles(text) for text in texts]
    close = [
        (a, b) for a, b in combinations(range(len(texts)), 2) if len(sets[a] & sets[b]) >= 0.8 * len(sets[a] | sets[b])
    ]
    group = _connected(near_pairs(texts, [0] * len(texts)), len(texts))
    assert len(close) > 100
    assert sum(group[a] == group[b] for a, b in close) >= 0.98 * len(close)


def test_random_text_has_no_near_duplicates() -> None:
    draw = random.Random(1)
    assert near_pairs([_random_text(draw, ENGLISH) for _ in range(2000)], [0] * 2000) == []
    assert near_pairs(["".join(draw.choices(CHINESE, k=8)) for _ in range(2000)], [0] * 2000) == []


def test_texts_shorter_than_a_shingle_are_near_only_when_equal() -> None:
    texts = ["ok", "no", "ok", "好", "", "okay then"]
    assert near_pairs(texts, [0] * len(texts)) == [Pair(2, 0, 1.0)]
    assert near_pairs([], []) == near_pairs(["one"], [0]) == []


def test_a_crowd_of_equal_texts_stays_linear() -> None:
    texts = [f"your code is {n % 7}, do not tell it to anybody, it is valid for ten minutes" for n in range(1500)]
    pairs = near_pairs(texts, [0] * len(texts))
    assert len(pairs) == 1499
    assert len(set(_connected(pairs, len(texts)))) == 1


def test_every_held_out_text_that_is_almost_a_training_text_is_named_once() -> None:
    text = "the quick brown fox jumps over the lazy dog near the river bank"
    texts = [f"{text} {n}" for n in range(6)]
    pairs = near_pairs(texts, [2, 2, 0, 1, 2, 0])
    crossing = [pair for pair in pairs if pair.row in (0, 1, 4)]
    assert sorted(pair.row for pair in crossing if pair.other in (2, 3, 5)) == [0, 1, 4]
    assert any(pair.row == 3 and pair.other in (2, 5) for pair in pairs)


def test_five_thousand_messages_take_less_than_three_seconds() -> None:
    draw = random.Random(2)
    texts = [_random_text(draw, ENGLISH) for _ in range(5000)]
    start = time.process_time()
    near_pairs(texts, [0] * 5000)
    assert time.process_time() - start < 3


def test_near_duplicates_and_near_leaks_are_told_with_both_places() -> None:
    body = "please remember to bring the signed form to the front desk before {} on friday morning"
    main = dataset([*((body.format(word), Category("ham")) for word in ("nine", "ninee")), *labelled_texts(20)])
    test = dataset([(body.format("nines"), Category("spam")), ("other", Category("ham"))], name="test.csv")
    sources = Sources(main, test=test)
    found = inspect(sources, partition(sources, dev_share=0))
    (leak,) = [problem for problem in found.problems if problem.kind == "near_leak"]
    assert leak.where == "test.csv:2"
    assert "in the test split and almost repeats a.csv:" in leak.message
    assert [problem.where for problem in found.problems if problem.kind == "near_duplicate"][:1] == ["a.csv:3"]
    assert "a.csv:2" in next(problem.message for problem in found.problems if problem.kind == "near_duplicate")


def test_the_same_prompt_with_another_reply_is_no_near_duplicate() -> None:
    rows = [("tell me something about the sea", Reply(f"answer {n}")) for n in range(5)]
    sources = Sources(dataset([*rows, *((f"{n} {n} {n}", Reply("x")) for n in range(5))], "reply"))
    found = inspect(sources, partition(sources))
    assert found.problems == ()
    assert found.near_rows == 0


def test_a_contradiction_lists_every_row_of_the_text_with_its_label() -> None:
    rows = [
        *labelled_texts(9),
        ("Free entry", Category("spam")),
        ("free ENTRY", Category("ham")),
        ("free entry", Category("spam")),
    ]
    sources = Sources(dataset(rows))
    (contradiction,) = inspect(sources, partition(sources)).contradictions
    assert contradiction.text == "Free entry"
    assert contradiction.rows == (("a.csv:11", "spam"), ("a.csv:12", "ham"), ("a.csv:13", "spam"))


def test_contradicting_marks_are_shown_as_what_they_mark() -> None:
    rows = [
        ("Bo ran", Spans((Span(0, 2, "person"),))),
        ("Bo ran", Spans(())),
        ("x", Spans((Span(0, 1, "a"),))),
        ("y", Spans(())),
    ]
    sources = Sources(dataset(rows, "mark"))
    (contradiction,) = inspect(sources, partition(sources)).contradictions
    assert contradiction.rows == (("a.csv:2", "Bo (person)"), ("a.csv:3", ""))


def test_lengths_are_of_used_rows_in_characters() -> None:
    rows = [("字" * n, Reply("r" * (2 * n))) for n in range(1, 101)]
    sources = Sources(dataset([*rows, rows[99]], "reply"))
    lengths = inspect(sources, partition(sources)).lengths
    text, reply = lengths["text"], lengths["reply"]
    assert (text.count, text.shortest, text.longest) == (100, 1, 100)
    assert text.median in (50, 51)
    assert text.longest_of_95 in (95, 96)
    assert reply.longest == 200


def test_no_reply_no_reply_lengths() -> None:
    sources = Sources(dataset(labelled_texts(9)))
    assert set(inspect(sources, partition(sources)).lengths) == {"text"}


def test_a_large_file_is_sampled_and_this_is_said() -> None:
    sources = Sources(dataset(labelled_texts(300)))
    found = inspect(sources, partition(sources), near_rows=50)
    (sampled,) = [problem for problem in found.problems if problem.kind == "sampled"]
    assert "50 of 300" in sampled.message
    assert found.lengths["text"].count == 300
    assert found == inspect(sources, partition(sources), near_rows=50)


def test_rows_can_be_looked_at_on_their_way_to_somebody_else() -> None:
    rows = [*labelled_texts(300), ("free", Category("ham")), ("Free", Category("spam")), Dropped("a.csv:9", "x", "")]
    sources = Sources(dataset(rows))
    divided = partition(sources)
    inspector = Inspector(divided, near_rows=50)
    assert list(inspector.watch(assigned(sources, divided))) == list(assigned(sources, divided))
    assert inspector.inspection() == inspect(sources, divided, near_rows=50)
    assert len(inspector.inspection().contradictions) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "duplicates", "contradicting_rows", "used"),
    [("sms-spam", 4862, 329, 0, 4533), ("reviews-zh", 35124, 17528, 237, 17358)],
)
def test_the_real_samples_have_the_overlaps_they_should(
    name: str, rows: int, duplicates: int, contradicting_rows: int, used: int
) -> None:
    try:
        sources = Sources(open_dataset(fetch(name)))
    except MachineError as error:
        pytest.skip(f"{name} cannot be fetched here: {error.problem}")
    found = partition(sources)
    totals = found.dropped.totals()
    assert len(found.split_of) == rows
    assert totals["duplicate"] == duplicates
    assert totals.get("contradiction", 0) == contradicting_rows
    assert int((found.split_of >= 0).sum()) == used
    assert inspect(sources, found).near_rows > 20
