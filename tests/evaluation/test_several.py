"""Scores of texts with several categories, against counting by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_score, recall_score

from weitiao.evaluation.answers import Answers, category_answers, confidences, select
from weitiao.evaluation.metrics import details, differences, scores
from weitiao.evaluation.stored import answers_from_json, answers_json
from weitiao.example import Task

TASK = Task("classify", "", ("a", "b", "c"), several=True)


def drawn(count: int = 200, seed: int = 0) -> tuple[Answers, NDArray[np.bool_], NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    held = draw.random((count, 3)) < (0.5, 0.3, 0.1)
    shares = np.where(draw.random((count, 3)) < 0.85, held, ~held) * 0.8 + 0.1
    gold = [[name for name, holds in zip(TASK.categories, row, strict=True) if holds] for row in held]
    return category_answers(gold, TASK, shares), held, shares >= 0.5


def test_every_value_is_scikit_learns() -> None:
    answers, held, given = drawn()
    found = {name: score.value for name, score in scores(answers, TASK.categories).items()}
    assert found["micro_f1"] == pytest.approx(f1_score(held, given, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(held, given, average="macro"))
    assert found["exact_match"] == pytest.approx((held == given).all(axis=1).mean())
    for number, name in enumerate(TASK.categories):
        assert found[f"f1/{name}"] == pytest.approx(f1_score(held[:, number], given[:, number]))
        assert found[f"precision/{name}"] == pytest.approx(precision_score(held[:, number], given[:, number]))
        assert found[f"recall/{name}"] == pytest.approx(recall_score(held[:, number], given[:, number]))


def test_every_score_has_an_interval_that_holds_it() -> None:
    for name, score in scores(drawn()[0], TASK.categories).items():
        assert score.low < score.value < score.high, name


def test_the_loss_is_the_sum_of_two_way_cross_entropies() -> None:
    answers = category_answers([["a", "c"]], TASK, np.array([[0.9, 0.2, 0.4]]))
    assert answers.loss_sum[0] == pytest.approx(-np.log(0.9 * 0.8 * 0.4))
    assert (answers.gold, answers.predicted) == (("a, c",), ("a",))
    sure = confidences(answers)
    assert sure is not None and sure.tolist() == pytest.approx([0.6])


def test_a_category_that_nothing_has_is_left_out_with_a_reason() -> None:
    answers = category_answers([["a"], []], TASK, np.array([[0.9, 0.2, 0.4], [0.2, 0.1, 0.1]]))
    found = details(answers, TASK.categories)
    assert set(found["omitted"]) == {f"{stem}/{name}" for stem in ("f1", "recall", "precision") for name in "bc"}
    assert "f1/b" not in scores(answers, TASK.categories)
    assert [row["support"] for row in found["per_class"]] == [1, 0, 0]


def test_nothing_right_is_zero_and_not_undefined() -> None:
    answers = category_answers([[], []], TASK, np.full((2, 3), 0.1))
    found = scores(answers, TASK.categories)
    assert found["exact_match"].value == 1
    assert "macro_f1" not in found and "micro_f1" not in found


def test_a_difference_is_paired_over_the_same_texts() -> None:
    answers, held, _ = drawn()
    gold = [[name for name, holds in zip(TASK.categories, row, strict=True) if holds] for row in held]
    worse = category_answers(gold, TASK, np.tile([0.6, 0.4, 0.2], (len(held), 1)))
    found = differences(worse, answers, TASK.categories)
    assert found["micro_f1"].low > 0 and found["micro_f1"].p < 0.05
    assert found["exact_match"].p < 0.05


def test_answers_are_stored_and_selected_whole() -> None:
    answers = drawn(9)[0]
    again = answers_from_json(answers_json(answers))
    assert again.held is not None and answers.held is not None and (again.held == answers.held).all()
    part = select(answers, np.array([2, 0]))
    assert part.held is not None and (part.held == answers.held[[2, 0]]).all()
