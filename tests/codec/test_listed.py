"""Spans as lines and back."""

import pytest

from weitiao.codec.listed import NOTHING, Unmatched, listed, matched
from weitiao.example import Span

TYPES = ("person", "place", "place: old")


def test_what_is_listed_is_found_again_where_it_stood() -> None:
    text = "Ann met Ann in Bath, and Bath met Ann.\nNew\nYork 苏州"
    spans = [Span(0, 3, "person"), Span(8, 11, "person"), Span(25, 29, "place"), Span(39, 47, "place")]
    spans.append(Span(48, 50, "place: old"))
    answer = listed(spans, text)
    assert answer == "person: Ann\nperson: Ann\nplace: Bath\nplace: New York\nplace: old: 苏州"
    # The first Bath is meant as far as anybody can tell.
    assert matched(answer, text, TYPES) == [*spans[:2], Span(15, 19, "place"), *spans[3:]]


def test_nothing_to_mark_has_an_answer_too() -> None:
    assert listed([], "text") == NOTHING
    assert matched(NOTHING, "a - b", TYPES) == []


def test_what_the_text_does_not_hold_is_given_back() -> None:
    found = matched("person: Bob\nanimal: cat\nperson: Ann\nperson: Ann\nperson:", "Ann and a cat", TYPES)
    assert found == [
        Unmatched("person", "Bob"),
        Unmatched("", "animal: cat"),
        Span(0, 3, "person"),
        Unmatched("person", "Ann"),
        Unmatched("person", ""),
    ]


def test_a_whole_word_is_preferred_to_a_part_of_one() -> None:
    assert matched("person: Al", "Always ask Al", TYPES) == [Span(11, 13, "person")]
    assert matched("person: Al", "Always", TYPES) == [Span(0, 2, "person")]
    assert matched("place: 州", "苏州市", TYPES) == [Span(1, 2, "place")]


def test_spans_out_of_order_are_found_before_the_last_one() -> None:
    assert matched("place: Bath\nperson: Ann", "Ann in Bath", TYPES) == [Span(7, 11, "place"), Span(0, 3, "person")]


def test_case_and_white_space_may_differ() -> None:
    assert matched("PLACE：new  york", "in New\n York", TYPES) == [Span(3, 12, "place")]


@pytest.mark.parametrize("name", ["(", "a+b", "x|y", "\\"])
def test_a_text_is_no_pattern(name: str) -> None:
    assert matched(f"person: {name}", f"so {name} it is", TYPES) == [Span(3, 3 + len(name), "person")]
