import numpy as np
import pytest

from fake_answers import SPAM, drawn, named, written
from weitiao.evaluation.answers import Answers, select
from weitiao.evaluation.metrics import differences, scores
from weitiao.evaluation.repeated import difference_of, differences_of, scores_of, spread
from weitiao.evaluation.statistics import quantile, wilson


def right_or_wrong(right: np.ndarray) -> Answers:
    """Half of the items are spam; ``right`` says which are answered rightly."""
    gold = np.arange(len(right)) % 2
    given = np.where(right, gold, 1 - gold)
    return named([SPAM[one] for one in gold], [SPAM[one] for one in given])


def test_one_draw_has_exactly_the_scores_and_differences_of_a_single_model() -> None:
    one, other = drawn(120), drawn(120, seed=5)
    assert scores_of([one], SPAM) == scores(one, SPAM)
    assert differences_of([one], [other], SPAM) == differences(one, other, SPAM)


def test_the_score_of_several_draws_is_their_mean() -> None:
    draws = [drawn(150, seed=seed, separation=seed) for seed in (1, 2, 3)]
    mean = scores_of(draws, SPAM)
    for name in ("accuracy", "macro_f1", "auroc", "ece", "brier", "loss", "f1/spam"):
        alone = [scores(one, SPAM)[name] for one in draws]
        assert mean[name].value == pytest.approx(np.mean([one.value for one in alone]))
        assert mean[name].low < mean[name].value < mean[name].high
        assert mean[name].count == min(one.count for one in alone)


def test_the_same_draw_three_times_is_as_sure_as_one() -> None:
    one = drawn(100)
    alone, thrice = scores(one, SPAM), scores_of([one, one, one], SPAM)
    for name, score in thrice.items():
        expected = alone[name]
        assert (score.low, score.value, score.high) == pytest.approx((expected.low, expected.value, expected.high))


def test_draws_that_err_independently_are_surer_than_one() -> None:
    draws = [drawn(400, seed=seed) for seed in range(4)]
    alone, mean = scores(draws[0], SPAM)["accuracy"], scores_of(draws, SPAM)["accuracy"]
    assert mean.high - mean.low == pytest.approx((alone.high - alone.low) / 2, rel=0.15)


def test_draws_that_are_all_right_keep_the_width_of_one() -> None:
    mean = scores_of([right_or_wrong(np.ones(20, dtype=bool))] * 3, SPAM)["accuracy"]
    assert (mean.low, mean.high) == pytest.approx((wilson(20, 20).low, 1.0))


def test_the_interval_of_a_mean_is_over_items_and_the_spread_over_draws_apart() -> None:
    random = np.random.default_rng(0)
    hard = random.random(300) < 0.5  # the same items are hard in every draw
    draws = [right_or_wrong(~hard | (random.random(300) < luck)) for luck in (0.0, 0.3, 0.9)]
    mean, apart = scores_of(draws, SPAM)["accuracy"], spread(draws, SPAM, "accuracy")
    per_item = np.mean([[g == p for g, p in zip(one.gold, one.predicted, strict=True)] for one in draws], axis=0)
    error = per_item.std() / np.sqrt(300)
    assert (mean.high - mean.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert apart.values == tuple(scores(one, SPAM)["accuracy"].value for one in draws)
    assert (apart.low, apart.high) == (min(apart.values), max(apart.values))
    assert apart.deviation == pytest.approx(np.std(apart.values, ddof=1))
    assert spread(draws[:1], SPAM, "accuracy").deviation is None


def test_a_metric_that_a_draw_lacks_is_left_out() -> None:
    never = named(["ham", "spam"] * 10, ["ham"] * 20)
    both = named(["ham", "spam"] * 10, ["ham", "spam"] * 10)
    found = scores_of([never, both], SPAM)
    assert "precision/spam" not in found
    assert "f1/spam" in found
    with pytest.raises(ValueError, match="precision/spam"):
        spread([never, both], SPAM, "precision/spam")


def test_draws_without_probabilities_are_compared_by_their_names() -> None:
    one = drawn(60)
    bare = named(one.gold, one.predicted)
    assert {"accuracy", "macro_f1"} <= set(scores_of([one, bare], SPAM))
    assert "ece" not in scores_of([one, bare], SPAM)
    assert differences_of([one], [one, bare], SPAM)["accuracy"].value == 0


def test_the_difference_of_means_is_the_mean_of_the_differences() -> None:
    before, after = [drawn(200, seed=1), drawn(200, seed=2)], [drawn(200, seed=3, separation=3.0)]
    found = differences_of(before, after, SPAM)
    for name in ("accuracy", "macro_f1", "brier", "ece"):
        each = [differences(one, after[0], SPAM)[name].value for one in before]
        assert found[name].value == pytest.approx(np.mean(each))
    assert found["accuracy"].shown


def test_losses_of_several_draws_are_divided_once_each_and_averaged() -> None:
    gold = ["aa", "bbbbbb", "cccc"]
    draws = [written(gold, gold, losses=[2.0, 12.0, 4.0]), written(gold, gold, losses=[1.0, 6.0, 2.0])]
    assert scores_of(draws)["loss"].value == pytest.approx((18 / 12 + 9 / 12) / 2)


def test_clusters_are_drawn_together_in_every_draw() -> None:
    random = np.random.default_rng(3)
    document = np.repeat(np.arange(30), 10)
    draws = [right_or_wrong((random.random(30) < 0.7)[document]) for _ in range(2)]
    clusters = [str(one) for one in document]
    free, drawn_together = scores_of(draws, SPAM), scores_of(draws, SPAM, clusters=clusters)
    width = {name: one["accuracy"].high - one["accuracy"].low for name, one in (("free", free), ("t", drawn_together))}
    assert width["t"] > 2.2 * width["free"]
    shuffled = random.permutation(300)
    again = scores_of([select(one, shuffled) for one in draws], SPAM, clusters=[clusters[item] for item in shuffled])
    assert again["accuracy"].low == pytest.approx(drawn_together["accuracy"].low, abs=0.02)


def test_the_order_of_the_items_changes_no_number() -> None:
    draws, shuffled = [drawn(80, seed=seed) for seed in (1, 2)], np.random.default_rng(0).permutation(80)
    moved = [select(one, shuffled) for one in draws]
    assert scores_of(draws, SPAM) == pytest.approx(scores_of(moved, SPAM))
    assert differences_of(draws[:1], draws[1:], SPAM) == differences_of(moved[:1], moved[1:], SPAM)


def test_draws_of_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        scores_of([drawn(20), drawn(21)], SPAM)


def test_a_difference_at_a_higher_level_is_wider() -> None:
    one, other = [drawn(200, seed=1)], [drawn(200, seed=2)]
    for metric in ("accuracy", "macro_f1", "brier"):
        plain = difference_of(one, other, metric, SPAM)
        strict = difference_of(one, other, metric, SPAM, z=quantile(0.99), replicates=4000)
        assert plain is not None
        assert strict is not None
        ratio = (strict.high - strict.low) / (plain.high - plain.low)
        assert ratio == pytest.approx(quantile(0.99) / quantile(0.95), rel=0.1)
    assert difference_of(one, other, "chrf", SPAM) is None
