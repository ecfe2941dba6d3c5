import json

import numpy as np
import pytest
from scipy.optimize import curve_fit

from fake_answers import SPAM, named, written
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.learning_curve import CurveFit, fit, fitted
from weitiao.words import set_language

SIZES = [50, 100, 200, 400, 800]


def taught(errors: list[float], items: int = 900, seed: int = 0) -> list[list[Answers]]:
    """A model that errs that often at each size; what is hard stays hard."""
    hard = np.random.default_rng(seed).permutation(items) / items
    gold = np.arange(items) % 2
    found = []
    for error in errors:
        given = np.where(hard < error, 1 - gold, gold)
        found.append([named([SPAM[one] for one in gold], [SPAM[one] for one in given])])
    return found


def power_law(a: float, b: float, c: float) -> list[float]:
    return [a + b * size**-c for size in SIZES]


def without_noise(a: float, b: float, c: float, metric: str = "accuracy") -> CurveFit:
    """Through points that lie on the curve, with hardly any doubt."""
    errors = np.array(power_law(a, b, c))
    values = errors if metric == "loss" else 1 - errors
    noise = np.random.default_rng(0).normal(0, 2e-4, (200, 1))  # easier and harder test sets: all sizes together
    return fitted(np.array(SIZES, dtype=np.float64), values, values + noise, metric, 900)


def sentence_of(found: CurveFit) -> str:
    return str(found.json()["sentence"])


def test_it_finds_the_curve_that_the_points_lie_on() -> None:
    found = without_noise(0.05, 2.0, 0.6)
    assert (found.a, found.c) == pytest.approx((0.05, 0.6), abs=0.03)
    assert found.doubled[0] == pytest.approx(2.0 * (800**-0.6 - 1600**-0.6), rel=0.05)


def test_it_is_the_least_squares_fit_of_scipy() -> None:
    random = np.random.default_rng(4)
    errors = np.array(power_law(0.08, 1.5, 0.5)) + random.normal(0, 0.004, 5)
    values = 1 - errors
    noise = random.normal(0, 0.01, (400, 5))
    found = fitted(np.array(SIZES, dtype=np.float64), values, values + noise, "accuracy", 900)
    theirs, _ = curve_fit(
        lambda n, a, b, c: a + b * n**-c,
        SIZES,
        errors,
        p0=(0.05, 1.0, 0.5),
        sigma=noise.std(axis=0),
        bounds=([0, 0, 0.05], [1, 50, 2]),
    )
    ours = [found.a + found.b * n**-found.c for n in SIZES]
    assert ours == pytest.approx([theirs[0] + theirs[1] * n ** -theirs[2] for n in SIZES], abs=2e-4)


def test_labels_enough_for_two_points_are_named() -> None:
    found = without_noise(0.0, 1.5, 0.35)
    truth = (1.5 / (1.5 * 800**-0.35 - 0.02)) ** (1 / 0.35) - 800
    assert found.answer == "needed"
    assert found.more is not None
    assert found.more[1] <= found.more[0] <= found.more[2]
    assert found.more[0] == pytest.approx(truth, rel=0.1)
    assert sentence_of(found).startswith("About 4")
    assert sentence_of(found).endswith("] would bring 2 points more in accuracy.")
    set_language("zh")
    assert sentence_of(found).startswith("再标注约 4")
    assert sentence_of(found).endswith("，准确率可再提高 2 个百分点。")


def test_a_flat_curve_says_that_more_labels_will_not_help() -> None:
    found = fit(SIZES, taught([0.1, 0.1, 0.1, 0.1, 0.1]), "accuracy", SPAM)
    assert found.answer == "flat"
    assert (
        sentence_of(found) == "More labels will not help: even four times as many bring less than 2 points in accuracy."
    )
    set_language("zh")
    assert sentence_of(found) == "再多标注也没有用：即使标注增加到四倍，准确率的改善也不到 2 个百分点。"


def test_a_curve_that_scatters_cannot_say() -> None:
    found = fit(SIZES, taught([0.5, 0.2, 0.4, 0.1, 0.25], items=60), "macro_f1", SPAM)
    assert found.answer == "unclear"
    assert found.more is None
    assert found.doubled[1] <= found.doubled[0] <= found.doubled[2]
    assert sentence_of(found).startswith("How many more labels would help cannot be said: twice as many would bring ")


def test_a_loss_falls() -> None:
    found = without_noise(0.0, 8.0, 0.3, metric="loss")
    assert found.answer == "needed"
    assert found.step == pytest.approx(0.02 * 8 * 800**-0.3, rel=0.02)
    assert "would lower the loss per token by 0.02" in sentence_of(found)
    values = [row[1] for row in found.curve]
    assert values == sorted(values, reverse=True)


def test_the_curve_runs_to_ten_times_the_labels_within_its_band() -> None:
    found = fit(SIZES, taught(power_law(0.05, 2.0, 0.6)), "macro_f1", SPAM)
    assert (found.curve[0][0], found.curve[-1][0]) == pytest.approx((50, 8000))
    assert all(low <= value <= high for _, value, low, high in found.curve)
    values = [row[1] for row in found.curve]
    assert values == sorted(values)
    assert json.loads(json.dumps(found.json(), allow_nan=False))["answer"] == found.answer


def test_several_draws_at_a_size_and_clusters_are_taken() -> None:
    draws = [
        one + other for one, other in zip(taught(power_law(0.1, 1, 0.5)), taught(power_law(0.1, 1, 0.5)), strict=True)
    ]
    clusters = [str(number // 10) for number in range(900)]
    assert fit(SIZES, draws, "accuracy", SPAM, clusters).labels == 800


def test_losses_of_replies_have_a_curve() -> None:
    gold = [f"reply {number}" for number in range(80)]
    base = np.array([len(text) for text in gold], dtype=np.float64) * np.random.default_rng(0).uniform(0.5, 1.5, 80)
    draws = [[written(gold, gold, losses=(base * (0.5 + 8 * size**-0.5)).tolist())] for size in SIZES]
    found = fit(SIZES, draws, "loss")
    assert 0 < found.doubled[0] < 0.2
    assert found.answer in ("needed", "unclear")


def test_three_sizes_are_too_few() -> None:
    with pytest.raises(ValueError, match="4 sizes"):
        fit([50, 100, 200], taught([0.3, 0.2, 0.1]), "accuracy", SPAM)
    with pytest.raises(ValueError, match="chrf"):
        fit(SIZES, taught([0.3, 0.2, 0.1, 0.1, 0.1]), "chrf", SPAM)
