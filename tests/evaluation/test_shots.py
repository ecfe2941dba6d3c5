"""Solved examples for a prompt: balanced or nearest, and never one that gives an item away."""

from __future__ import annotations

from collections import Counter

import pytest

import tiny
from weitiao.evaluation.shots import apart, balanced, nearest
from weitiao.example import Category, Example, Label, Message, Reply, Span, Spans, Task, make_example, names_of

TASK = Task("classify", "Spam?", ("ham", "spam"))
MARKS = Task("mark", "Find names", ("person", "place"))


def example(text: str, label: Label | None) -> Example:
    return make_example((Message("document", text),), label, "here")


MAIL = [example(text, Category("spam")) for text in tiny.SPAM] + [example(t, Category("ham")) for t in tiny.HAM]


@pytest.mark.parametrize("count", [2, 4, 8, 20])
def test_a_draw_holds_as_many_of_each_category(count: int) -> None:
    drawn = balanced(MAIL, TASK, count, seed=0)
    assert Counter(name for one in drawn for name in names_of(one.label)) == {"ham": count // 2, "spam": count // 2}
    assert len({one.id for one in drawn}) == count


def test_an_odd_count_leaves_them_one_apart_and_the_seed_says_which_leads() -> None:
    first = [Counter(names_of(one.label)[0] for one in balanced(MAIL, TASK, 3, seed)) for seed in range(12)]
    assert {tuple(sorted(counts.items())) for counts in first} == {(("ham", 1), ("spam", 2)), (("ham", 2), ("spam", 1))}


def test_a_larger_draw_holds_the_smaller_one() -> None:
    small, large = (set(balanced(MAIL, TASK, count, seed=3)) for count in (4, 12))
    assert small < large


def test_draws_differ_by_seed_and_not_by_the_order_of_the_file() -> None:
    assert balanced(MAIL, TASK, 8, seed=1) == balanced(MAIL[::-1], TASK, 8, seed=1)
    assert balanced(MAIL, TASK, 8, seed=1) != balanced(MAIL, TASK, 8, seed=2)


def test_categories_do_not_stand_in_turn() -> None:
    """A model must not be able to learn from the prompt that the next answer is the other one."""
    orders = {"".join(names_of(one.label)[0][0] for one in balanced(MAIL, TASK, 8, seed)) for seed in range(8)}
    assert len(orders) > 4


def test_more_than_there_are_gives_all_there_are() -> None:
    assert set(balanced(MAIL, TASK, 1000, seed=0)) == set(MAIL)
    assert balanced([], TASK, 4, seed=0) == ()


def test_marks_are_balanced_over_types_and_texts_without_any() -> None:
    rows = [example(f"Ada was here {number}", Spans((Span(0, 3, "person"),))) for number in range(30)]
    rows += [example("Paris is nice", Spans((Span(0, 5, "place"),))), example("It rained", Spans(()))]
    assert {rows[-1], rows[-2]} < set(balanced(rows, MARKS, 3, seed=0))


def test_the_nearest_example_stands_last() -> None:
    item = example("Claim your free phone prize now", None)
    found = nearest(MAIL, [item], 3)[item.id]
    assert "Claim" in found[-1].text or "claim" in found[-1].text
    assert len(found) == 3
    chinese = example("明天的会议几点开始？", None)
    assert nearest(MAIL, [chinese], 1)[chinese.id][0].text == "明天的会议改到下午三点"


def test_an_example_that_says_almost_what_an_item_says_is_never_shown() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs far away into the deep dark forest at night"
    twin = example(text + "!", Category("spam"))
    item, other = example(text, Category("spam")), example("something else about a fox", Category("ham"))
    assert twin in [*MAIL, twin]
    assert twin not in apart([*MAIL, twin], [item])
    found = nearest([*MAIL, twin], [item, other], 5)
    assert all(twin not in examples for examples in found.values())
    assert apart([*MAIL, twin], [other]) == [*MAIL, twin]


def test_two_examples_that_are_alike_leak_nothing() -> None:
    twins = [example("a reply that is long enough to be compared", Reply(reply)) for reply in ("yes", "no")]
    assert apart(twins, [example("an entirely different question about the weather", None)]) == twins


def test_the_nearest_do_not_depend_on_the_order_of_the_file() -> None:
    items = [example("free prize", None), example("meeting at lunch", None)]
    assert nearest(MAIL, items, 4) == nearest(MAIL[::-1], items, 4)


def test_without_examples_no_item_has_any() -> None:
    item = example("free prize", None)
    assert nearest([], [item], 4) == {item.id: ()}
    assert nearest(MAIL, [], 4) == {}
