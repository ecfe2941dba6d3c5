import numpy as np
import pytest
from scipy import stats

from fake_answers import SPAM, drawn, named
from weitiao.evaluation.chance import chance_p


def test_answers_that_know_nothing_have_any_p() -> None:
    random, found = np.random.default_rng(0), []
    for _ in range(60):
        gold, given = ([SPAM[one] for one in random.integers(0, 2, 40)] for _ in range(2))
        found.append(chance_p([named(gold, given)], "macro_f1", SPAM))
    assert np.mean(np.array(found) < 0.05) <= 0.12
    assert 0.35 < np.mean(found) < 0.65


def test_of_two_categories_it_is_fishers_exact_test() -> None:
    random = np.random.default_rng(3)
    gold = random.integers(0, 2, 60)
    given = np.where(random.random(60) < 0.6, gold, 1 - gold)
    table = [[int(((gold == a) & (given == b)).sum()) for b in (0, 1)] for a in (0, 1)]
    ours = chance_p([named([SPAM[one] for one in gold], [SPAM[one] for one in given])], "macro_f1", SPAM)
    assert ours == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, abs=0.03)


def test_answers_that_know_something_have_a_small_p() -> None:
    assert chance_p([drawn(200)], "macro_f1", SPAM) < 0.002
    assert chance_p([drawn(200), drawn(200, seed=1)], "macro_f1", SPAM) < 0.002


def test_answers_that_name_no_category_are_counted_for_none() -> None:
    gold = ["ham", "spam"] * 30
    blind = [named(gold, ["ham"] * 30 + [""] * 30)]
    assert chance_p(blind, "macro_f1", SPAM) > 0.3
    assert chance_p([named(gold, [*gold[:40], *[""] * 20])], "macro_f1", SPAM) < 0.01


def test_no_blind_answer_is_above_the_commonest_in_accuracy() -> None:
    assert chance_p([drawn(20)], "accuracy", SPAM) == 0.0
