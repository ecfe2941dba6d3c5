import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from fake_answers import SPAM, drawn, named, written
from weitiao.evaluation import multiple
from weitiao.evaluation.metrics import differences
from weitiao.evaluation.multiple import Compared, above_baseline, compared, holm, smallest_shown
from weitiao.evaluation.statistics import detectable_share, quantile

SEPARATIONS = (2.0, 1.9, 1.4, 0.9, 0.4, 0.0)


def test_holm_is_as_in_the_worked_example() -> None:
    # By hand: 0.005 * 4, 0.01 * 3, then 0.03 * 2 and 0.04 * 1, which may not be less than the step before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_what_statsmodels_says() -> None:
    random = np.random.default_rng(0)
    for count in (1, 4, 12):
        p_values = (random.random(count) ** 3).tolist()
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_definition_rejects(p_values: list[float]) -> None:
    rejected = set()
    for step, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] >= 0.05 / (len(p_values) - step):
            break
        rejected.add(int(index))
    assert {index for index, p in enumerate(holm(p_values)) if p < 0.05} == rejected


def test_a_claim_and_its_interval_agree() -> None:
    arms = {f"arm{seed}": [drawn(300, separation=separation, seed=seed)] for seed, separation in enumerate(SEPARATIONS)}
    found = compared("arm0", arms, "macro_f1", SPAM)
    assert set(found) == set(arms) - {"arm0"}
    assert {one.shown for one in found.values()} == {True, False}
    for one in found.values():
        if one.shown:
            assert one.low > 0 or one.high < 0
        else:
            assert one.low <= 0 <= one.high
        assert one.p <= one.adjusted_p


def test_levels_go_from_the_strictest_to_plain_95_percent() -> None:
    arms = {"best": [drawn(400, separation=4.0)]}
    arms |= {name: [drawn(400, separation=one, seed=3)] for name, one in (("a", 0.5), ("b", 1.0), ("c", 1.5))}
    found = compared("best", arms, "accuracy", SPAM)
    assert all(one.shown for one in found.values())
    assert sorted(one.level for one in found.values()) == pytest.approx([0.95, 0.975, 1 - 0.05 / 3])


def test_from_the_first_step_that_shows_nothing_the_level_stays() -> None:
    same = drawn(200)
    found = compared("a", {"a": [same], "b": [same], "c": [same]}, "accuracy", SPAM)
    assert {one.level for one in found.values()} == {0.975}
    assert not any(one.shown for one in found.values())


def test_one_arm_needs_no_correction() -> None:
    one, other = drawn(300, separation=1.0, seed=1), drawn(300, separation=3.0, seed=2)
    found = compared("after", {"before": [one], "after": [other]}, "accuracy", SPAM)["before"]
    plain = differences(one, other, SPAM)["accuracy"]
    assert (found.value, found.p, found.adjusted_p, found.level) == (plain.value, plain.p, plain.p, 0.95)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_arms_of_noise_are_claimed_to_differ_in_at_most_5_of_100_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiple, "REPLICATES", 400)
    random, wrong = np.random.default_rng(0), 0
    for _ in range(120):
        right = random.random((5, 60)) < 0.7
        gold = np.arange(60) % 2
        arms = {
            str(arm): [named([SPAM[one] for one in gold], [SPAM[one] for one in np.where(row, gold, 1 - gold)])]
            for arm, row in enumerate(right)
        }
        wrong += any(one.shown for one in compared("0", arms, "accuracy", SPAM).values())
    assert wrong <= 11  # with 6 expected at most, 11 are exceeded once in 50


def test_answers_that_know_nothing_are_not_above_the_baseline_whatever_their_f1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multiple, "REPLICATES", 400)
    random = np.random.default_rng(2)
    gold = [SPAM[int(one)] for one in random.random(6000) < 0.13]
    guesses = [SPAM[int(one)] for one in random.random(6000) < 0.15]
    found_some = [one if lucky else "ham" for one, lucky in zip(gold, random.random(6000) < 0.4, strict=True)]
    arms = {name: [named(gold, given)] for name, given in (("guesses", guesses), ("works", found_some))}
    arms["majority"] = [named(gold, ["ham"] * 6000)]
    assert compared("guesses", arms, "macro_f1", SPAM)["majority"].shown
    found = above_baseline("majority", arms, "macro_f1", SPAM)
    assert not found["guesses"].shown
    assert found["works"].shown
    assert found["works"].value > 0


def test_a_metric_that_an_arm_lacks_leaves_the_arm_out() -> None:
    one = drawn(40)
    assert set(compared("a", {"a": [one], "b": [named(one.gold, one.predicted)], "c": [one]}, "brier", SPAM)) == {"c"}


def test_losses_are_compared_too() -> None:
    gold = [f"reply number {number}" for number in range(40)]
    low, high = written(gold, gold, losses=[5.0 + n % 7 for n in range(40)]), written(gold, gold)
    found = compared("low", {"low": [low], "high": [high, high]}, "loss")["high"]
    assert found.value < 0
    assert found.shown


def test_thirty_items_say_what_they_could_have_shown() -> None:
    arms = {name: [drawn(30, seed=seed, separation=1.0)] for seed, name in enumerate("abcd")}
    found = compared("a", arms, "accuracy", SPAM)
    least = smallest_shown(found, "accuracy", 30)
    assert least is not None
    assert least >= detectable_share(30, quantile(1 - 0.05 / 3)) > detectable_share(30)
    assert 0.25 < least < 1
    assert smallest_shown({}, "accuracy", 30) is None


def test_too_few_items_could_have_shown_nothing() -> None:
    same = Compared(0.0, -0.5, 0.5, 1.0, 1.0, 0.95)
    assert smallest_shown({"a": same}, "span_f1", 5) is None
    assert smallest_shown({"a": same}, "span_f1", 6) == pytest.approx(2.8016 * 0.5 / 1.95996, rel=1e-3)


def test_as_json_it_says_whether_it_was_shown() -> None:
    assert Compared(0.2, 0.1, 0.3, 0.001, 0.002, 0.975).json() == {
        "value": 0.2,
        "low": 0.1,
        "high": 0.3,
        "p": 0.001,
        "adjusted_p": 0.002,
        "level": 0.975,
        "shown": True,
    }
