import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from fake_answers import SPAM, drawn, named
from weitiao.evaluation.answers import Answers, select
from weitiao.evaluation.threshold import applied, cheapest

DEAR_MISS = {"spam": {"ham": 20.0}, "ham": {"spam": 1.0}}
THREE = ("good", "mixed", "bad")


def overconfident(count: int, seed: int) -> Answers:
    """Ranks well, but says 0.99 where 0.7 would be right."""
    random = np.random.default_rng(seed)
    gold = (random.random(count) < 0.2).astype(int)
    odds = random.normal(size=count) + np.where(gold == 1, 0.6, -0.6)
    share = 1 / (1 + np.exp(-6 * odds + 4))
    probabilities = np.column_stack([1 - share, share])
    given = probabilities.argmax(axis=1)
    return named([SPAM[one] for one in gold], [SPAM[one] for one in given], probabilities.tolist())


def test_the_cost_is_that_of_the_confusion_matrix() -> None:
    test = drawn(300, seed=2)
    threshold = cheapest(drawn(300, seed=1), DEAR_MISS, SPAM)
    found = applied(test, threshold)
    assert test.probabilities is not None
    given = [SPAM[one] for one in threshold.decide(test.probabilities)]
    table = confusion_matrix(test.gold, given, labels=SPAM)
    assert found.cost.value == pytest.approx((table[0, 1] + 20 * table[1, 0]) / 300)
    plain = confusion_matrix(test.gold, test.predicted, labels=SPAM)
    assert found.plain.value == pytest.approx((plain[0, 1] + 20 * plain[1, 0]) / 300)
    assert found.difference.value == pytest.approx(found.cost.value - found.plain.value)


def test_of_two_categories_no_threshold_on_dev_is_much_cheaper() -> None:
    dev = overconfident(400, seed=1)
    threshold = cheapest(dev, DEAR_MISS, SPAM)
    assert dev.probabilities is not None
    gold = np.array([SPAM.index(one) for one in dev.gold])
    costs = np.array([[0.0, 1.0], [20.0, 0.0]])
    ours = costs[gold, threshold.decide(dev.probabilities)].mean()
    share = dev.probabilities[:, 1]
    every = [costs[gold, (share >= border).astype(int)].mean() for border in (*np.unique(share), 2.0)]
    assert min(every) <= ours <= min(every) + 0.02


def test_a_mistake_that_costs_more_is_made_less_often() -> None:
    test = overconfident(2000, seed=2)
    found = applied(test, cheapest(overconfident(400, seed=1), DEAR_MISS, SPAM))
    assert found.difference.shown
    assert found.difference.value < 0
    assert found.cost.low < found.cost.value < found.cost.high


def test_calibrated_probabilities_and_equal_costs_need_no_weights() -> None:
    random = np.random.default_rng(0)
    share = random.random(3000)
    gold = random.random(3000) < share
    answers = named(
        [SPAM[int(one)] for one in gold],
        [SPAM[int(one > 0.5)] for one in share],
        np.column_stack([1 - share, share]).tolist(),
    )
    threshold = cheapest(answers, {}, SPAM)
    assert threshold.weights == pytest.approx((1.0, 1.0), rel=0.25)
    assert abs(applied(answers, threshold).difference.value) < 0.01


def test_three_categories_with_a_table_of_costs() -> None:
    dev, test = drawn(400, THREE, 1.0, seed=1), drawn(900, THREE, 1.0, seed=2)
    costs = [[0, 1, 10], [1, 0, 1], [2, 1, 0]]
    threshold = cheapest(dev, costs, THREE)
    found = applied(test, threshold)
    assert found.cost.value < found.plain.value
    assert threshold.costs[0] == (0.0, 1.0, 10.0)


def test_the_test_items_choose_nothing() -> None:
    dev = drawn(200, seed=1)
    assert cheapest(dev, DEAR_MISS, SPAM) == cheapest(dev, DEAR_MISS, SPAM)
    threshold = cheapest(dev, DEAR_MISS, SPAM)
    one = applied(drawn(200, seed=2), threshold)
    shuffled = np.random.default_rng(0).permutation(200)
    assert applied(select(drawn(200, seed=2), shuffled), threshold) == one


def test_clusters_are_drawn_together() -> None:
    test = drawn(200, seed=2)
    threshold = cheapest(drawn(200, seed=1), DEAR_MISS, SPAM)
    found = applied(test, threshold, [str(number // 20) for number in range(200)])
    assert found.cost.value == applied(test, threshold).cost.value


def test_costs_that_make_no_sense_are_refused() -> None:
    dev = drawn(50)
    for costs in ([[0, 1]], [[0, -1], [1, 0]], {"eggs": {"ham": 1.0}}):
        with pytest.raises(ValueError, match="costs"):
            cheapest(dev, costs, SPAM)
    with pytest.raises(ValueError, match="probabilities"):
        cheapest(named(dev.gold, dev.predicted), DEAR_MISS, SPAM)
