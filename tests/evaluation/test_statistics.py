import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from weitiao.evaluation.statistics import (
    Difference,
    Score,
    bootstrap,
    bootstrap_p,
    correlations,
    detectable,
    detectable_share,
    difference_interval,
    mcnemar_exact,
    mean_interval,
    paired_bootstrap,
    percentile_interval,
    resamples,
    wilson,
)


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 50), (889, 907), (4999, 5000)])
def test_wilson_is_scipys(right: int, count: int) -> None:
    ours = wilson(right, count)
    theirs = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert (ours.value, ours.count) == (right / count, count)


@pytest.mark.parametrize(("right", "count"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(right: int, count: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        wilson(right, count)


def test_wilson_holds_the_truth_about_95_times_in_100() -> None:
    for truth, count in ((0.5, 30), (0.9, 60), (0.98, 400)):
        studies = np.random.default_rng(0).binomial(count, truth, 400)
        held = np.mean([wilson(int(right), count).low <= truth <= wilson(int(right), count).high for right in studies])
        assert 0.92 <= held <= 0.99  # 400 studies of a true 0.95 leave this range once in several hundred times


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(fixed: int, broken: int) -> None:
    expected = stats.binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
    assert mcnemar_exact(fixed, broken) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_changes_neither_overflows_nor_is_zero() -> None:
    assert 0 < mcnemar_exact(700, 0) < 1e-200
    assert mcnemar_exact(20_000, 20_000) == pytest.approx(1.0, abs=0.01)


def test_a_resample_draws_as_many_items_as_there_are() -> None:
    weights = np.concatenate(list(resamples(50, 200, seed=3)))
    assert weights.shape == (200, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean() == pytest.approx(1.0)


def test_resamples_do_not_depend_on_the_chunks_they_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(resamples(40, 100, seed=5)))
    monkeypatch.setattr("weitiao.evaluation.statistics._CHUNK", 130)
    chunks = list(resamples(40, 100, seed=5))
    assert len(chunks) > 30
    assert np.array_equal(np.concatenate(chunks), whole)


def test_items_of_one_cluster_are_drawn_together() -> None:
    weights = next(resamples(6, 50, seed=0, clusters=["a", "b", "a", "c", "c", "c"]))
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 3], weights[:, 5])
    assert not np.array_equal(weights[:, 0], weights[:, 1])


def test_the_percentile_interval_is_scipys_for_many_items() -> None:
    sample = np.random.default_rng(2).gamma(2.0, size=400)
    replicates = bootstrap(lambda weights: (weights @ sample / weights.sum(axis=1))[:, None], 400, 4000)[:, 0]
    ours = percentile_interval(float(sample.mean()), replicates, 400)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=4000, method="percentile", random_state=1)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.08 * width)
    assert replicates.std() == pytest.approx(theirs.standard_error, rel=0.06)


@pytest.mark.parametrize("units", [2, 3, 5, 12, 40, 1000])
def test_the_interval_is_widened_for_few_units_as_student_says(units: int) -> None:
    uniform = np.linspace(0, 1, 100_001)
    low, high = percentile_interval(0.5, uniform, units)
    tail = stats.norm.cdf(-math.sqrt(units / (units - 1)) * stats.t.ppf(0.975, units - 1))
    assert (low, 1 - high) == pytest.approx((tail, tail), abs=3e-4)


def test_the_bootstrap_of_a_ratio_holds_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(4)
    truth, held = 1.5, 0
    for study in range(400):
        tokens = random.integers(5, 60, 50).astype(np.float64)
        nats = tokens * random.gamma(6.0, truth / 6.0, 50)

        def ratio(weights: np.ndarray, nats: np.ndarray = nats, tokens: np.ndarray = tokens) -> np.ndarray:
            return (weights @ nats / (weights @ tokens))[:, None]

        value = nats.sum() / tokens.sum()
        low, high = percentile_interval(value, bootstrap(ratio, 50, 300, seed=study)[:, 0], 50)
        held += low <= truth <= high
    assert 0.90 <= held / 400 <= 0.98


def test_undefined_replicates_are_left_out() -> None:
    replicates = np.array([np.nan, 0.2, 0.4, np.inf, 0.6])
    low, high = percentile_interval(0.4, replicates, 10)
    assert 0.2 <= low <= 0.4 <= high <= 0.6
    assert bootstrap_p(0.4, replicates, 10) == pytest.approx(1 / 4)


def test_no_difference_has_p_one() -> None:
    assert bootstrap_p(0.0, np.zeros(100), 10) == 1.0
    assert bootstrap_p(0.0, np.random.default_rng(0).normal(size=100), 10) == 1.0


def test_a_p_is_never_zero() -> None:
    assert bootstrap_p(9.0, np.full(999, 9.0), 20) == pytest.approx(1 / 1000)


def test_the_paired_bootstrap_rejects_a_true_null_about_5_times_in_100() -> None:
    random, shown = np.random.default_rng(6), 0
    for study in range(400):
        before, noise = random.normal(size=40), random.normal(size=40)
        after = before + noise

        def means(weights: np.ndarray, before: np.ndarray = before, after: np.ndarray = after) -> np.ndarray:
            return weights @ np.column_stack([before, after]) / 40

        pairs = bootstrap(means, 40, 300, seed=study)
        values = float(before.mean()), float(after.mean())
        shown += paired_bootstrap(values[1] - values[0], pairs[:, 1] - pairs[:, 0], 40).shown
    assert 0.02 <= shown / 400 <= 0.09


def test_the_same_items_twice_are_paired() -> None:
    sample = np.random.default_rng(0).normal(size=200)

    def mean(weights: np.ndarray, shift: float = 0.0) -> np.ndarray:
        return (weights @ (sample + shift) / 200)[:, None]

    before = bootstrap(mean, 200)[:, 0]
    after = bootstrap(lambda weights: mean(weights, 0.01), 200)[:, 0]
    found = paired_bootstrap(0.01, after - before, 200)
    assert (found.low, found.value, found.high) == pytest.approx((0.01, 0.01, 0.01))
    assert found.shown


def test_the_interval_of_a_difference_has_width_where_the_bootstrap_has_none() -> None:
    low, high = difference_interval(wilson(0, 20), wilson(20, 20))
    assert low < 0.85 < high == pytest.approx(1.0)
    low, high = difference_interval(wilson(20, 20), wilson(20, 20))
    assert low == pytest.approx(-high)
    assert high > 0.1


def test_the_interval_of_a_mean_lies_between_independence_and_one_error_for_all() -> None:
    values, lows, highs = np.array([0.9, 0.8]), np.array([0.8, 0.7]), np.array([0.95, 0.85])
    free = mean_interval(values, lows, highs, np.eye(2))
    bound = mean_interval(values, lows, highs, np.ones((2, 2)))
    assert bound == pytest.approx((0.75, 0.9))
    assert free == pytest.approx((0.85 - 0.1 / math.sqrt(2), 0.85 + 0.05 / math.sqrt(2)))


def test_an_estimate_that_does_not_vary_gets_the_correlation_that_is_asked_for() -> None:
    sample = np.random.default_rng(0).normal(size=(50, 2))
    covariance = np.cov(np.column_stack([sample, np.ones(50)]).T)
    found = correlations(covariance, undefined=1.0)
    assert found[0, 1] == pytest.approx(np.corrcoef(sample.T)[0, 1])
    assert found[0, 2] == 1.0
    assert np.diagonal(found) == pytest.approx([1, 1, 1])


def test_the_detectable_share_is_shown_four_times_in_five() -> None:
    for count in (20, 40, 200, 900):
        share = detectable_share(count)
        needed = next(changed for changed in range(1, count) if mcnemar_exact(changed, 0) < 0.05)
        power = stats.binom.sf(needed - 1, count, share)
        assert 0.70 <= power <= 0.90, count


def test_fewer_than_six_items_show_nothing() -> None:
    assert mcnemar_exact(5, 0) > 0.05 > mcnemar_exact(6, 0)
    assert detectable_share(5) == math.inf
    assert detectable_share(6) < 1


def test_the_detectable_share_follows_connors_formula() -> None:
    count, beta = 35, stats.norm.ppf(0.8)
    share = detectable_share(count)
    needed = (stats.norm.ppf(0.975) * math.sqrt(share) + beta * math.sqrt(share - share**2)) ** 2 / share**2
    assert needed == pytest.approx(count)


def test_the_detectable_difference_is_2_8_standard_errors() -> None:
    assert detectable(Difference(0.0, -1.96, 1.96, 1.0)) == pytest.approx(2.80, abs=0.01)


@pytest.mark.parametrize(
    ("difference", "shown"),
    [
        (Difference(0.1, 0.01, 0.2, 0.03), True),
        (Difference(-0.1, -0.2, -0.01, 0.03), True),
        (Difference(0.1, 0.01, 0.2, 0.06), False),
        (Difference(0.1, -0.01, 0.2, 0.03), False),
        (Difference(0.0, 0.0, 0.0, 1.0), False),
    ],
)
def test_a_difference_is_shown_only_by_interval_and_p_together(difference: Difference, shown: bool) -> None:
    assert difference.shown is shown


def test_a_score_and_a_difference_go_through_json() -> None:
    score, difference = Score(0.5, 0.4, 0.6, 80), Difference(0.1, 0.0, 0.2, 0.05)
    assert Score(**json.loads(json.dumps(score.json()))) == score
    assert Difference(**json.loads(json.dumps(difference.json()))) == difference


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 50), st.floats(-1e6, 1e6))
def test_an_interval_always_holds_its_value(replicates: list[float], units: int, value: float) -> None:
    low, high = percentile_interval(value, np.array(replicates), units)
    assert low <= value <= high
    assert 0 < bootstrap_p(value, np.array(replicates), units) <= 1
