import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from fake_answers import SPAM, drawn, named
from weitiao.evaluation.metrics import details, differences, scores
from weitiao.evaluation.ranking import auroc, auroc_limits
from weitiao.evaluation.statistics import resamples

FOUR = ("a", "b", "c", "d")


@pytest.mark.parametrize("separation", [0.0, 1.0, 4.0])
def test_auroc_is_scikit_learns(separation: float) -> None:
    answers = drawn(200, SPAM, separation)
    theirs = sklearn.roc_auc_score([name == "spam" for name in answers.gold], answers.probabilities[:, 1])
    assert scores(answers, SPAM)["auroc"].value == pytest.approx(theirs)


def test_of_many_categories_it_is_the_mean_of_one_against_the_rest() -> None:
    answers = drawn(300, FOUR, 1.0)
    theirs = sklearn.roc_auc_score(answers.gold, answers.probabilities, multi_class="ovr", labels=list(FOUR))
    assert scores(answers, FOUR)["auroc"].value == pytest.approx(theirs)


def test_ties_count_half() -> None:
    value, _ = auroc(np.array([0.5, 0.5, 0.5, 0.5]), np.array([True, False, True, False]))
    assert value == 0.5
    value, _ = auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert value == pytest.approx(3.5 / 4)


def test_which_of_two_categories_is_positive_does_not_matter() -> None:
    answers = drawn(100, SPAM, 1.0)
    swapped = named(answers.gold, answers.predicted, answers.probabilities[:, ::-1].tolist())
    assert scores(swapped, SPAM[::-1])["auroc"].value == pytest.approx(scores(answers, SPAM)["auroc"].value)


def test_probabilities_that_round_to_one_are_still_ranked() -> None:
    sure = [[1e-18, 1.0], [1e-20, 1.0], [1e-22, 1.0], [1e-24, 1.0]]
    found = scores(named(["ham", "ham", "spam", "spam"], ["spam"] * 4, sure), SPAM)["auroc"]
    assert found.value == 1.0


def test_a_category_without_items_is_left_out_of_the_mean() -> None:
    answers = drawn(200, FOUR[:3], 1.0)
    wider = np.column_stack([answers.probabilities, np.zeros(200)])
    with_absent = named(answers.gold, answers.predicted, wider.tolist())
    assert scores(with_absent, FOUR)["auroc"].value == pytest.approx(scores(answers, FOUR[:3])["auroc"].value)


def test_one_category_alone_has_no_auroc_and_it_is_said() -> None:
    answers = named(["ham", "ham"], ["ham", "spam"], [[0.9, 0.1], [0.4, 0.6]])
    assert "auroc" not in scores(answers, SPAM)
    assert details(answers, SPAM)["omitted"]["auroc"] == "the test set holds one category alone"


def test_a_perfect_ranking_still_has_an_interval() -> None:
    found = scores(drawn(60, SPAM, 30.0), SPAM)["auroc"]
    assert found.value == found.high == 1.0
    assert 0.8 < found.low < 0.99


def test_a_resample_is_followed_to_first_order() -> None:
    random = np.random.default_rng(0)
    positive = random.random(300) < 0.3
    values = random.normal(size=300) + 1.2 * positive
    value, influence = auroc(values, positive)
    assert influence.mean() == pytest.approx(0.0, abs=1e-12)
    weights = next(resamples(300, 200))
    linear = value + weights @ influence / 300
    exact = [sklearn.roc_auc_score(positive, values, sample_weight=row) for row in weights]
    assert np.corrcoef(linear, exact)[0, 1] > 0.99
    assert linear.std() == pytest.approx(np.std(exact), rel=0.03)


def test_the_interval_holds_the_truth_about_95_times_in_100() -> None:
    random, held = np.random.default_rng(1), 0
    truth = stats.norm.cdf(2.5 / np.sqrt(2))
    for _ in range(400):
        positive = random.random(200) < 0.13
        value, _ = auroc(random.normal(size=200) + 2.5 * positive, positive)
        low, high = auroc_limits(value, int(positive.sum()), int((~positive).sum()))
        held += low <= truth <= high
    assert 0.93 <= held / 400 <= 0.995  # careful near 1


def test_two_rankings_are_compared_on_the_same_items() -> None:
    before, after = drawn(300, SPAM, 1.0, seed=5), drawn(300, SPAM, 2.5, seed=6)
    found = differences(before, after, SPAM)["auroc"]
    values = [scores(answers, SPAM)["auroc"].value for answers in (before, after)]
    assert found.value == pytest.approx(values[1] - values[0])
    assert found.shown
