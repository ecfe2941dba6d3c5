import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from fake_answers import SPAM, drawn, named, written
from weitiao.evaluation.answers import Answers, select
from weitiao.evaluation.metrics import details, differences, scores
from weitiao.evaluation.statistics import mcnemar_exact

GOLD = ["今天天气很好", "你好，世界", "the cat sat on the mat", "good morning to you", "再见，朋友们", "一二三四五六"]
REPLIES = ["今天天气不错", "你好，世界", "the cat is on a mat", "morning", "再见", "一二三四五六"]


def plain(found: dict) -> str:
    """As JSON, which raises on NaN and infinity."""
    return json.dumps({name: one.json() for name, one in found.items()}, allow_nan=False)


def test_classify_has_the_metrics_of_the_documentation() -> None:
    stems = {name.partition("/")[0] for name in scores(drawn(60), SPAM)}
    assert stems == {"accuracy", "macro_f1", "f1", "precision", "recall", "ece", "brier", "loss", "auroc"}


def test_reply_has_the_metrics_of_the_documentation() -> None:
    expected = {"loss", "perplexity", "bits_per_byte", "exact_match", "chrf", "bleu", "rouge_l"}
    assert set(scores(written(GOLD, REPLIES))) == expected


def test_continue_has_losses_alone() -> None:
    answers = replace(written(GOLD, [""] * 6, generated=[False] * 6), kind="continue")
    assert set(scores(answers)) == {"loss", "perplexity", "bits_per_byte"}
    assert details(answers)["omitted"] == {}


def test_losses_are_summed_and_divided_once() -> None:
    answers = written(["aa", "bbbbbb"], ["", ""], losses=[2.0, 12.0])
    found = scores(answers)
    assert found["loss"].value == pytest.approx(14 / 8)
    assert found["perplexity"].value == pytest.approx(math.exp(14 / 8))
    assert found["bits_per_byte"].value == pytest.approx(14 / math.log(2) / 8)
    assert found["loss"].count == 2


def test_the_interval_of_perplexity_is_that_of_the_loss() -> None:
    found = scores(written(GOLD * 5, REPLIES * 5))
    for end in ("low", "high"):
        assert getattr(found["perplexity"], end) == pytest.approx(math.exp(getattr(found["loss"], end)))


def test_generated_replies_are_scored_as_sacrebleu_scores_the_corpus() -> None:
    for tokenizer, part in (("13a", slice(0, 6)), ("zh", slice(0, 2))):
        answers = written(GOLD[part], REPLIES[part])
        found = scores(answers)
        assert details(answers)["bleu_tokenizer"] == tokenizer
        theirs = BLEU(tokenize=tokenizer).corpus_score(REPLIES[part], [GOLD[part]])
        assert found["bleu"].value == pytest.approx(theirs.score)
        assert found["chrf"].value == pytest.approx(CHRF().corpus_score(REPLIES[part], [GOLD[part]]).score)


def test_exact_match_forgives_white_space_and_width_only() -> None:
    answers = written(["ＯＫ, 好的", "Yes", "yes"], ["OK,  好的\n", "yes", "yes."])
    assert scores(answers)["exact_match"].value == pytest.approx(1 / 3)


def test_replies_that_were_not_generated_are_left_out() -> None:
    part = written(GOLD, REPLIES[:3] + [""] * 3, generated=[True] * 3 + [False] * 3)
    alone = written(GOLD[:3], REPLIES[:3])
    found, expected = scores(part), scores(alone)
    for name in ("exact_match", "rouge_l", "chrf"):
        assert found[name].value == pytest.approx(expected[name].value)
        assert found[name].count == 3
    assert found["loss"].count == 6
    assert details(part)["generated"] == 3


def test_no_generated_reply_is_said() -> None:
    answers = written(GOLD, [""] * 6, generated=[False] * 6)
    assert "bleu" not in scores(answers)
    assert details(answers)["omitted"]["bleu"] == "no replies were generated"


def test_a_loss_that_is_not_a_number_is_left_out_and_said() -> None:
    answers = written(GOLD, REPLIES, losses=[1.0, float("nan"), 2.0, float("inf"), 3.0, 4.0])
    found = scores(answers)
    assert found["loss"].count == 4
    assert "2 items" in details(answers)["omitted"]["items"]
    plain(found)


def test_a_loss_too_large_for_a_perplexity_is_said() -> None:
    answers = written(["ab", "cd"], ["", ""], losses=[3000.0, 2900.0])
    assert "perplexity" not in scores(answers)
    assert details(answers)["omitted"]["perplexity"] == "the loss is too large"


def test_one_item_gives_only_what_a_formula_gives() -> None:
    assert set(scores(written(["好"], ["好"]))) == {"exact_match"}
    found = scores(named(["ham"], ["ham"], [[0.9, 0.1]]), SPAM)
    assert set(found) == {"accuracy", "macro_f1", "f1/ham", "precision/ham", "recall/ham"}
    assert found["accuracy"].low < 0.25
    assert details(written(["好"], ["好"]))["omitted"]["loss"] == "a single item gives no interval"


def test_no_items_give_no_scores_and_it_is_said() -> None:
    assert scores(named([], []), SPAM) == {}
    assert scores(written([], [])) == {}
    assert differences(written([], []), written([], [])) == {}
    assert details(named([], []), SPAM)["omitted"]["accuracy"] == "there are no test items"
    json.dumps(details(written([], [])), allow_nan=False)


def test_a_resample_at_the_end_of_the_scale_still_gives_an_interval() -> None:
    found = scores(written(["你好吗朋友"] * 20, ["你好吗朋友"] * 20))
    assert (found["bleu"].value, found["chrf"].value, found["rouge_l"].value) == pytest.approx((100, 100, 1))
    assert found["bleu"].low < 90
    assert found["rouge_l"].low < 0.9


def test_a_shuffled_order_changes_nothing() -> None:
    before, after = drawn(120, SPAM, 0.5, seed=2), drawn(120, SPAM, 1.5, seed=3)
    order = np.random.default_rng(0).permutation(120)
    shuffled = select(before, order), select(after, order)
    assert scores(shuffled[0], SPAM) == scores(before, SPAM)
    assert differences(*shuffled, SPAM) == differences(before, after, SPAM)
    replies, order = written(GOLD * 3, REPLIES * 3), np.random.default_rng(0).permutation(18)
    assert scores(select(replies, order)) == scores(replies)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    answers = drawn(100)
    assert scores(answers, SPAM, seed=4) == scores(answers, SPAM, seed=4)
    assert scores(answers, SPAM, seed=4)["brier"] != scores(answers, SPAM, seed=5)["brier"]
    assert scores(answers, SPAM, seed=4)["accuracy"] == scores(answers, SPAM, seed=5)["accuracy"]


@pytest.mark.parametrize("answers", [drawn(80, SPAM, 1.0), written(GOLD * 4, REPLIES * 4)], ids=["classify", "reply"])
def test_identical_answers_have_p_one_and_an_interval_around_zero(answers: Answers) -> None:
    found = differences(answers, answers, SPAM)
    assert set(found) == set(scores(answers, SPAM))
    for name, difference in found.items():
        assert difference.value == 0, name
        assert difference.p == 1, name
        assert difference.low <= 0 <= difference.high, name
        assert not difference.shown


def test_a_difference_is_the_difference_of_the_scores() -> None:
    before, after = drawn(200, SPAM, 0.5, seed=2), drawn(200, SPAM, 2.0, seed=3)
    first, second = scores(before, SPAM), scores(after, SPAM)
    for name, difference in differences(before, after, SPAM).items():
        assert difference.value == pytest.approx(second[name].value - first[name].value, abs=1e-12), name
        assert difference.low <= difference.value <= difference.high


def test_accuracy_and_exact_match_are_tested_by_mcnemar() -> None:
    before, after = drawn(200, SPAM, 0.5, seed=2), drawn(200, SPAM, 1.5, seed=3)
    outcomes = [[gold == given for gold, given in zip(one.gold, one.predicted, strict=True)] for one in (before, after)]
    fixed = sum(second and not first for first, second in zip(*outcomes, strict=True))
    broken = sum(first and not second for first, second in zip(*outcomes, strict=True))
    assert differences(before, after, SPAM)["accuracy"].p == mcnemar_exact(fixed, broken)
    replies = differences(written(GOLD, ["?"] * 6), written(GOLD, [*GOLD[:5], "!"]))
    assert replies["exact_match"].p == mcnemar_exact(5, 0)


def test_from_all_wrong_to_all_right_has_an_interval_with_width() -> None:
    found = differences(named(["a"] * 20, ["b"] * 20), named(["a"] * 20, ["a"] * 20), ("a", "b"))["accuracy"]
    assert found.value == 1.0
    assert found.low < 0.85
    assert found.shown


def test_only_replies_that_both_models_generated_are_compared() -> None:
    before = written(GOLD, REPLIES, generated=[True, True, True, True, False, False])
    after = written(GOLD, GOLD, generated=[True, True, True, False, True, False])
    found = differences(before, after)
    expected = differences(written(GOLD[:3], REPLIES[:3]), written(GOLD[:3], GOLD[:3]))
    assert found["rouge_l"].value == pytest.approx(expected["rouge_l"].value)
    assert found["exact_match"] == expected["exact_match"]


def test_losses_in_other_tokens_are_not_compared() -> None:
    before = written(GOLD, REPLIES)
    after = replace(before, loss_count=before.loss_count + 1)
    assert {"loss", "perplexity"}.isdisjoint(differences(before, after))
    assert "bits_per_byte" in differences(before, after)


def test_a_model_without_probabilities_is_compared_by_its_names() -> None:
    after = drawn(50, SPAM)
    found = differences(named(after.gold, ["ham"] * 50), after, SPAM)
    assert found["accuracy"].shown
    assert {"ece", "brier", "loss", "auroc"}.isdisjoint(found)


def test_answers_to_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        differences(named(["ham"], ["ham"]), named(["spam"], ["ham"]), SPAM)
    with pytest.raises(ValueError, match="lengths"):
        replace(written(GOLD, REPLIES), loss_sum=np.zeros(2))


def test_clusters_make_an_interval_wider_and_leave_the_value() -> None:
    answers = drawn(40, SPAM, 1.0)
    copies = select(answers, np.repeat(np.arange(40), 10))
    documents = [str(item) for item in np.repeat(np.arange(40), 10)]
    alone, together = scores(copies, SPAM), scores(copies, SPAM, clusters=documents)
    for name in ("accuracy", "macro_f1", "brier", "auroc"):
        assert together[name].value == pytest.approx(alone[name].value)
        wider = (together[name].high - together[name].low) / (alone[name].high - alone[name].low)
        assert wider > 1.5, name
    found = differences(copies, copies, SPAM, clusters=documents)
    assert {difference.p for difference in found.values()} == {1.0}


def test_what_stands_behind_the_scores_is_json() -> None:
    for answers, categories in ((drawn(30), SPAM), (written(GOLD, REPLIES), ())):
        found = details(answers, categories)
        assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert details(named(["ham", "ham", "spam"], ["ham"] * 3), SPAM)["majority"] == {
        "category": "ham",
        "share": pytest.approx(2 / 3),
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 12)),
        min_size=1,
        max_size=12,
    )
)
def test_no_categories_however_odd_give_a_nan(rows: list[tuple[str, str, str, int]]) -> None:
    gold, first, second, level = zip(*rows, strict=True)
    probabilities = [[part / 12, 1 - part / 12, 0.0] for part in level]
    before, after = named(gold, first, probabilities), named(gold, second, probabilities[::-1])
    for found in (scores(before, tuple("abc")), scores(after, tuple("abc")), differences(before, after, tuple("abc"))):
        plain(found)
        assert all(one.low <= one.value <= one.high for one in found.values())
    json.dumps(details(before, tuple("abc")), allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("a好 .", max_size=6), st.text("a好 .", max_size=6), st.floats(0, 2000), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_no_replies_however_odd_give_a_nan(rows: list[tuple[str, str, float, bool]]) -> None:
    gold, predicted, losses, generated = zip(*rows, strict=True)
    before = written(gold, predicted, losses, generated)
    after = written(gold, gold, [0.0] * len(gold), generated)
    for found in (scores(before), scores(after), differences(before, after)):
        plain(found)
        assert all(one.low <= one.value <= one.high for one in found.values())
    json.dumps(details(before), allow_nan=False)


def test_importing_the_metrics_loads_neither_torch_nor_sacrebleu() -> None:
    code = "import sys, weitiao.evaluation.metrics; print({'torch', 'sacrebleu', 'scipy'} & set(sys.modules) or 'none')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "none"
