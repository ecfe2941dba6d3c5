import re

import pytest

from fake_answers import SPAM, drawn, named, written
from weitiao.evaluation.metrics import differences, scores
from weitiao.evaluation.statistics import Difference, Score
from weitiao.evaluation.verdict import verdict
from weitiao.words import Language, set_language

BEFORE = {"accuracy": Score(0.612, 0.58, 0.643, 907), "loss": Score(2.31, 2.2, 2.4, 200)}
AFTER = {"accuracy": Score(0.981, 0.97, 0.988, 907), "loss": Score(1.74, 1.7, 1.8, 200)}
RAISED = {"accuracy": Difference(0.369, 0.339, 0.399, 1e-30)}
UNCLEAR = {"accuracy": Difference(0.012, -0.004, 0.028, 0.11)}
LOWERED = {"loss": Difference(-0.57, -0.61, -0.53, 0.001)}


def test_a_shown_gain_is_said_with_its_interval_and_n() -> None:
    (said,) = verdict("classify", BEFORE, AFTER, RAISED)
    assert said == "Tuning raised accuracy from 61.2 % to 98.1 % (+36.9 points [33.9, 39.9], n = 907)."


def test_a_shown_gain_is_said_in_chinese() -> None:
    set_language("zh")
    (said,) = verdict("classify", BEFORE, AFTER, RAISED)
    assert said == "微调使准确率从 61.2 % 提高到 98.1 %（+36.9 个百分点 [33.9, 39.9]，n = 907）。"


def test_a_shown_loss_says_which_way_is_good() -> None:
    (said,) = verdict("reply", BEFORE, AFTER, LOWERED)
    assert said == (
        "Tuning lowered the loss per token (lower is better) from 2.310 to 1.740 (−0.570 [−0.610, −0.530], n = 200)."
    )
    set_language("zh")
    (said,) = verdict("reply", BEFORE, AFTER, LOWERED)
    assert said == "微调使每个词元的损失（越低越好）从 2.310 降低到 1.740（−0.570 [−0.610, −0.530]，n = 200）。"


@pytest.mark.parametrize(
    "difference",
    [Difference(0.1, -0.01, 0.2, 0.01), Difference(0.1, 0.01, 0.2, 0.06), Difference(-0.1, -0.2, 0.0, 0.01)],
)
def test_without_interval_and_p_together_nothing_is_claimed(difference: Difference) -> None:
    (said,) = verdict("classify", BEFORE, AFTER, {"accuracy": difference})
    assert said.startswith("No difference in accuracy could be shown: 61.2 % before, 98.1 % after")
    assert not re.search("raised|lowered|better|worse", said)
    set_language("zh")
    (said,) = verdict("classify", BEFORE, AFTER, {"accuracy": difference})
    assert said.startswith("未能证明准确率有差别")
    assert not re.search("提高|降低", said)


def test_a_small_test_set_says_what_it_could_have_shown() -> None:
    scored = {"accuracy": Score(0.8, 0.65, 0.9, 40)}
    first, few = verdict("classify", scored, scored, UNCLEAR)
    assert first.startswith("No difference in accuracy")
    assert few == "40 test items could only show a difference in accuracy of about 18 points or more (80 % power)."
    set_language("zh")
    assert (
        verdict("classify", scored, scored, UNCLEAR)[1]
        == "40 个测试条目只可能证明准确率约 18 个百分点或更大的差别（检验功效 80 %）。"
    )


def test_a_tiny_test_set_says_that_it_shows_nothing() -> None:
    scored = {"accuracy": Score(0.8, 0.4, 0.97, 5)}
    assert (
        verdict("classify", scored, scored, UNCLEAR)[1]
        == "5 test items are too few to show any difference in accuracy."
    )


def test_a_small_set_of_replies_says_it_in_nats() -> None:
    scored = {"loss": Score(2.0, 1.5, 2.5, 20)}
    said = verdict("reply", scored, scored, {"loss": Difference(0.1, -0.196, 0.196, 0.5)})
    assert "of about 0.280 or more" in said[1]


def test_fifty_items_are_not_few() -> None:
    scored = {"accuracy": Score(0.8, 0.6, 0.9, 50)}
    assert len(verdict("classify", scored, scored, UNCLEAR)) == 1


def test_nothing_in_common_is_said() -> None:
    assert verdict("classify", {}, AFTER, {}) == [
        "Before and after could not be compared: no metric is defined for both."
    ]


def test_no_sign_is_given_to_zero() -> None:
    (said,) = verdict("classify", BEFORE, BEFORE, {"accuracy": Difference(-0.00001, -0.00001, 0.00001, 1.0)})
    assert "(+0.0 points [0.0, 0.0], n = 907)" in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_real_answers_give_a_sentence_for_each_headline_in_each_language(language: Language) -> None:
    set_language(language)
    before, after = drawn(300, SPAM, 0.3, seed=1), drawn(300, SPAM, 3.0, seed=2)
    said = verdict("classify", scores(before, SPAM), scores(after, SPAM), differences(before, after, SPAM))
    assert len(said) == 3
    texts = ["今天天气很好", "你好，世界", "good morning to you"] * 4
    first, second = written(texts, ["不知道"] * 12), written(texts, texts, losses=[1.0] * 12)
    said += verdict("reply", scores(first), scores(second), differences(first, second))
    assert len(said) == 8
    for sentence in said:
        assert "{" not in sentence
        assert bool(re.search("Tuning|No difference|test items", sentence)) == (language == "en"), sentence


def test_the_sentence_of_an_untouched_model_claims_nothing() -> None:
    answers = named(["ham", "spam"] * 50, ["ham", "ham"] * 50)
    said = verdict("classify", scores(answers, SPAM), scores(answers, SPAM), differences(answers, answers, SPAM))
    assert all(sentence.startswith("No difference") for sentence in said)
