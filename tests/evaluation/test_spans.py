"""Spans found and missed: numbers by hand, intervals by a bootstrap written out, order and resamples."""

import numpy as np
import pytest

from weitiao.codec.listed import Unmatched
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.changes import changes
from weitiao.evaluation.marked import dumped, gold_json, parsed, placed, spans_json
from weitiao.evaluation.metrics import details, differences, scores
from weitiao.evaluation.spans import overlapping
from weitiao.example import Span
from weitiao.objectives.mark import Marked

TYPES = ("person", "place", "ship")
TEXT = "0123456789" * 3
A, B, C = Span(0, 3, "person"), Span(5, 8, "place"), Span(10, 12, "person")


def test_precision_recall_and_f1_are_those_counted_by_hand() -> None:
    # right: person 2, place 2; given: person 2 (one of them right), place 1 (right), ship 1 (wrong)
    answers = given([[A, B], [C], [B], []], [[A, B], [Span(10, 13, "person")], [], [Span(1, 2, "ship")]])
    found = scores(answers, TYPES)
    assert found["span_precision"].value == pytest.approx(2 / 4)
    assert found["span_recall"].value == pytest.approx(2 / 4)
    assert found["span_f1"].value == pytest.approx(2 / 4)
    assert found["span_f1/person"].value == pytest.approx(1 / 2)
    assert found["span_recall/place"].value == pytest.approx(1 / 2)
    assert found["span_f1/place"].value == pytest.approx(2 / 3)
    assert found["span_precision/ship"].value == 0
    assert "span_f1/ship" not in found
    assert found["span_f1"].count == 4
    assert found["span_recall"].count == 3
    told = details(answers, TYPES)
    assert told["per_class"][0] == {"category": "person", "support": 2, "predicted": 2, "found": 1}
    assert set(told["omitted"]) == {"span_f1/ship", "span_recall/ship"}
    assert told["weaker"]["overlap"]["value"] == pytest.approx(3 / 4)


def test_the_interval_is_that_of_drawing_texts_again() -> None:
    answers = drawn(80, hits=0.8)
    right, called, hits = (np.array(column) for column in zip(*_counted(answers), strict=True))
    random, values = np.random.default_rng(5), []
    for _ in range(4000):
        chosen = random.integers(0, len(right), len(right))
        values.append(2 * hits[chosen].sum() / (right[chosen].sum() + called[chosen].sum()))
    score = scores(answers, TYPES)["span_f1"]
    assert score.value == pytest.approx(2 * hits.sum() / (right.sum() + called.sum()))
    assert (score.low, score.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.015)


def test_borders_and_overlap_are_weaker_than_exact() -> None:
    two = given([[A, B], [C]], [[Span(0, 3, "ship"), Span(6, 9, "place")], [C]])
    told = details(two, TYPES)["weaker"]
    assert scores(two, TYPES)["span_f1"].value == pytest.approx(1 / 3)
    assert told["borders"]["value"] == pytest.approx(2 / 3)
    assert told["overlap"]["value"] == pytest.approx(2 / 3)
    assert overlapping([Span(0, 9, "person")], [A, Span(4, 6, "person")]) == 1


def test_all_found_of_a_rare_type_is_no_certainty() -> None:
    answers = given([[A], *[[B]] * 60], [[A], *[[B]] * 60])
    found = scores(answers, TYPES)
    assert found["span_f1/person"].value == 1
    assert found["span_f1/person"].low < 0.3
    assert found["span_f1/place"].low > 0.9


def test_what_is_not_in_the_text_counts_as_given_and_as_unmatched() -> None:
    answers = given([[A], [B]], [[A, Unmatched("person", "Bob")], [B]])
    assert scores(answers, TYPES)["span_precision"].value == pytest.approx(2 / 3)
    assert details(answers, TYPES)["unmatched"] == 1


def test_before_and_after_are_compared_on_the_same_texts() -> None:
    before, after = drawn(120, hits=0.3), drawn(120, hits=0.9)
    found = differences(before, after, TYPES)
    assert found["span_f1"].shown
    one, other = scores(before, TYPES)["span_f1"], scores(after, TYPES)["span_f1"]
    assert found["span_f1"].value == pytest.approx(other.value - one.value)
    assert not differences(before, before, TYPES)["span_f1"].shown


def test_a_text_is_fixed_when_all_its_spans_are_right() -> None:
    gold = [[A, B], [A], [], [C]]
    before = given(gold, [[A], [A], [], []])
    after = given(gold, [[B, A], [A, B], [], []])
    assert changes(before, after) == ["fixed", "broken", "right", "wrong"]


def test_an_answer_says_where_what_and_how_sure() -> None:
    answer = dumped(spans_json([Marked(Span(5, 8, "place"), 0.91239), Unmatched("person", "Bob")], TEXT))
    assert parsed(answer) == [
        {"start": 5, "end": 8, "label": "place", "text": "567", "confidence": 0.9124},
        {"label": "person", "text": "Bob"},
    ]
    assert placed(answer) == [B, Span(-1, -1, "person")]
    assert placed(gold_json([], TEXT)) == []


def test_texts_without_any_span_have_no_scores_and_say_why() -> None:
    answers = given([[], []], [[], []])
    assert set(scores(answers, TYPES)) == {"loss"}
    assert set(details(answers, TYPES)["omitted"]) >= {"span_f1", "span_precision", "span_recall"}


def given(gold: list[list[Span]], predicted: list[list[Span | Unmatched]]) -> Answers:
    """Answers to texts whose spans are ``gold``."""
    said = [[one if isinstance(one, Unmatched) else Marked(one, 0.5) for one in row] for row in predicted]
    return Answers(
        "mark",
        tuple(gold_json(spans, TEXT) for spans in gold),
        tuple(dumped(spans_json(row, TEXT)) for row in said),
        None,
        np.ones(len(gold)),
        np.full(len(gold), 3),
        np.zeros(len(gold), dtype=np.int64),
        np.ones(len(gold), dtype=np.bool_),
    )


def drawn(count: int, hits: float) -> Answers:
    """The same texts for the same count; a model that finds a span with probability ``hits``."""
    random, chance = np.random.default_rng(1), np.random.default_rng(int(1000 * hits))
    gold = [
        [Span(5 * n, 5 * n + 3, TYPES[random.integers(2)]) for n in range(random.integers(0, 5))] for _ in range(count)
    ]
    said = [
        [span if chance.random() < hits else Span(span.start, span.end + 1, span.name) for span in row] for row in gold
    ]
    return given(gold, said)  # type: ignore[arg-type]


def _counted(answers: Answers) -> list[tuple[int, int, int]]:
    pairs = [(set(placed(one)), set(placed(other))) for one, other in zip(answers.gold, answers.predicted, strict=True)]
    return [(len(right), len(called), len(right & called)) for right, called in pairs]
