import math

import numpy as np
import pytest
from sklearn import metrics as sklearn

from fake_answers import SPAM, drawn, named
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.metrics import details, differences, scores

THREE = ("a", "b", "c")


def calibrated(count: int, seed: int, sharpness: float = 1.0) -> Answers:
    """Answers that are right just as often as their confidence says, or of a model too sure by ``sharpness``."""
    random = np.random.default_rng(seed)
    logits = random.normal(0.0, 2.0, count)
    is_spam = random.random(count) < 1 / (1 + np.exp(-logits))
    spam = 1 / (1 + np.exp(-sharpness * logits))
    gold = [SPAM[int(one)] for one in is_spam]
    return named(gold, [SPAM[int(one > 0.5)] for one in spam], np.column_stack([1 - spam, spam]).tolist())


@pytest.mark.parametrize("categories", [SPAM, THREE])
def test_loss_and_brier_are_scikit_learns(categories: tuple[str, ...]) -> None:
    answers = drawn(200, categories)
    found = scores(answers, categories)
    assert found["loss"].value == pytest.approx(
        sklearn.log_loss(answers.gold, answers.probabilities, labels=categories)
    )
    brier = sklearn.brier_score_loss(answers.gold, answers.probabilities, labels=categories, scale_by_half=False)
    assert found["brier"].value == pytest.approx(brier)


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    answers = named(["a", "a", "b", "b"], ["a", "a", "a", "b"], [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    found = scores(answers, ("a", "b"))["ece"]
    assert found.value == pytest.approx(3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(1 - 0.7))


def test_a_bin_holds_its_upper_edge() -> None:
    answers = named(["a", "a"], ["a", "a"], [[1.0, 0.0], [0.6, 0.4]])
    bins = [row for row in details(answers, ("a", "b"))["calibration"] if row["count"]]
    assert [row["high"] for row in bins] == pytest.approx([9 / 15, 1.0])


def test_the_bins_cover_every_item_once() -> None:
    answers = drawn(333, THREE, separation=0.5)
    bins = details(answers, THREE)["calibration"]
    assert len(bins) == 15
    assert sum(row["count"] for row in bins) == 333
    for row in bins:
        if row["count"]:
            assert row["low"] - 1e-9 < row["confidence"] <= row["high"] + 1e-9
            assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
        else:
            assert row["confidence"] is row["accuracy"] is row["interval"] is None


def test_a_calibrated_model_is_not_called_miscalibrated() -> None:
    begins_at_zero = sum(scores(calibrated(300, seed), SPAM, seed)["ece"].low == 0.0 for seed in range(60))
    assert begins_at_zero >= 54  # 97.5 % of such models are within what chance alone does


def test_a_model_that_is_too_sure_is_called_so() -> None:
    found = scores(calibrated(600, 1, sharpness=4.0), SPAM)["ece"]
    assert 0.03 < found.low < found.value < found.high < 0.3


def test_the_error_by_chance_is_what_calibrated_models_show() -> None:
    studies = [calibrated(300, seed) for seed in range(60)]
    seen = np.mean([scores(study, SPAM)["ece"].value for study in studies[:30]])
    assert details(studies[0], SPAM)["ece_by_chance"] == pytest.approx(seen, rel=0.15)


def test_the_interval_of_the_calibration_error_holds_the_truth() -> None:
    sure = calibrated(60_000, 99, sharpness=3.0)
    truth, held = error_of_bins(sure), 0
    for seed in range(100):
        found = scores(calibrated(300, seed, sharpness=3.0), SPAM, seed)["ece"]
        held += found.low <= truth <= found.high
    assert held >= 86


def error_of_bins(answers: Answers) -> float:
    bins = details(answers, SPAM)["calibration"]
    return sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins if row["count"]) / len(answers)


def test_better_calibration_shows_as_a_lower_error() -> None:
    before, after = calibrated(500, 3, sharpness=5.0), calibrated(500, 3)
    found = differences(before, after, SPAM)["ece"]
    assert found.value < 0
    assert found.shown


def test_a_probability_of_zero_gives_a_large_finite_loss() -> None:
    found = scores(named(["a", "b"], ["b", "b"], [[0.0, 1.0], [0.0, 1.0]]), ("a", "b"))
    assert found["loss"].value == pytest.approx(-math.log(1e-12) / 2)
    assert found["brier"].value == pytest.approx(1.0)


def test_the_worst_brier_score_is_two() -> None:
    assert scores(named(["a", "a"], ["b", "b"], [[0.0, 1.0]] * 2), ("a", "b"))["brier"].value == pytest.approx(2.0)


def test_probabilities_that_are_not_numbers_are_left_out_and_said() -> None:
    answers = named(["a", "b"], ["a", "b"], [[float("nan"), 1.0], [0.1, 0.9]])
    assert {"ece", "brier", "loss", "auroc"}.isdisjoint(scores(answers, ("a", "b")))
    assert details(answers, ("a", "b"))["omitted"]["ece"] == "a probability is not a finite number"


def test_without_probabilities_their_metrics_are_left_out_and_said() -> None:
    answers = named(["a", "b"], ["a", "b"])
    assert {"ece", "brier", "loss", "auroc"}.isdisjoint(scores(answers, ("a", "b")))
    assert details(answers, ("a", "b"))["omitted"]["auroc"] == "there are no probabilities"


@pytest.mark.parametrize("rows", [[[0.5, 0.2]], [[1.5, -0.5]]])
def test_numbers_that_are_no_probabilities_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        named(["a"], ["a"], rows)
