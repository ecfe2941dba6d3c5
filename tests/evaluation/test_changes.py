import pytest

from fake_answers import named, written
from weitiao.evaluation.changes import changes


def test_each_item_is_fixed_broken_right_or_wrong() -> None:
    before = named(["a", "a", "b", "b"], ["b", "a", "b", "a"])
    after = named(["a", "a", "b", "b"], ["a", "a", "a", "a"])
    assert changes(before, after) == ["fixed", "right", "broken", "wrong"]


def test_replies_are_the_same_or_changed() -> None:
    before = written(["好", "好", "好"], ["你好  吗", "你好", ""])
    after = written(["好", "好", "好"], ["你好 吗\n", "您好", ""])
    assert changes(before, after) == ["same", "changed", "same"]


def test_answers_to_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        changes(named(["a"], ["a"]), named(["b"], ["a"]))
