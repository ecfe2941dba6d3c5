import re
from typing import Any

import pytest

from fake_comparisons import MAJORITY, against, arm, comparison, general
from weitiao.evaluation.ladder_verdict import ladder_verdict
from weitiao.evaluation.ladder_words import Amount, duration, in_figures, with_time
from weitiao.words import set_language


def changed(**arms: dict[str, Any]) -> dict[str, Any]:
    """The differences of the usual comparison, some of them others."""
    return comparison()["differences"] | {name.replace("_", "-"): one for name, one in arms.items()}


def test_the_first_sentence_is_the_answer() -> None:
    assert ladder_verdict(comparison())[0] == (
        "Tuning beats the best prompt (few-shot-8) by 21 points in macro-F1 [17, 25] on 900 items; the small model is "
        "1 point behind tuning [−1, 3], too little to be sure, in about 1/1,000 of the time; general English text got "
        "0.30 % worse [0.15, 0.45]."
    )


def test_the_answer_in_chinese() -> None:
    set_language("zh")
    assert ladder_verdict(comparison())[0] == (
        "微调胜过最好的提示（few-shot-8）：在 900 个条目上，宏平均 F1 值相差 21 个百分点 [17, 25]；小模型落后微调 "
        "1 个百分点 [−1, 3]，差距太小，不能断定，用时约为其 1/1,000；对通用英文文本的预测变差 0.30 % [0.15, 0.45]。"
    )


def test_the_best_prompt_is_beaten_only_when_every_prompt_is() -> None:
    report = comparison(differences=changed(zero_shot=against(0.36, -0.01, 0.6, False)))
    first = ladder_verdict(report)[0]
    assert first.startswith("Tuning is not shown to beat zero-shot prompting: 36 points ahead in macro-F1 [−1, 60]")
    assert "beats" not in first


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (against(0.02, -0.01, 0.05, False), "Tuning is not shown to beat the best prompt (few-shot-8): 2 points ahead"),
        (
            against(-0.02, -0.05, 0.01, False),
            "Tuning is not shown to beat the best prompt (few-shot-8): 2 points behind",
        ),
        (
            against(0.0, -0.03, 0.03, False),
            "Tuning is not shown to beat the best prompt (few-shot-8): level in macro-F1",
        ),
        (
            against(-0.06, -0.09, -0.03, True),
            "The best prompt (few-shot-8) beats tuning by 6 points in macro-F1 [3, 9]",
        ),
    ],
)
def test_what_is_said_of_the_best_prompt(difference: dict[str, Any], said: str) -> None:
    assert ladder_verdict(comparison(differences=changed(few_shot_8=difference)))[0].startswith(said)


def test_nothing_is_called_better_that_was_not_shown() -> None:
    unclear = {name: against(0.04, -0.01, 0.09, False) for name in comparison()["differences"]}
    unclear["small"] = against(-0.04, -0.09, 0.01, False)
    text = " ".join(ladder_verdict(comparison(differences=unclear)))
    assert "is 4 points ahead of tuning [−1, 9], too little to be sure" in text
    assert not re.search(r"beats|\bbetter\b", text)
    set_language("zh")
    for said in ladder_verdict(comparison(differences=unclear)):
        assert "胜过" not in said or "未能证明" in said


def test_a_small_model_that_is_shown_better_is_said_to_be() -> None:
    said = ladder_verdict(comparison(differences=changed(small=against(-0.01, -0.018, -0.002, True))))
    assert "the small model beats tuning by 1.0 points [0.2, 1.8], in about 1/1,000 of the time" in said[0]
    assert said[1] == (
        "The cheapest way that beats tuning is the small model: less than a second in all, against 15 minutes for "
        "tuning."
    )


def test_the_cheapest_way_not_shown_to_be_worse_is_named() -> None:
    assert ladder_verdict(comparison())[1] == (
        "The cheapest way not shown to be worse than tuning is the small model: less than a second in all, against 15 "
        "minutes for tuning."
    )
    worse = comparison(differences=changed(small=against(0.12, 0.09, 0.15, True)))
    assert ladder_verdict(worse)[1] == "Every cheaper way is shown to be worse than tuning."
    dear = comparison()
    for one in dear["arms"]:
        one["cost"] = {"prepare_seconds": 10.0, "answer_seconds": 10.0}
    assert not any("cheap" in said for said in ladder_verdict(dear))


def test_where_nothing_is_above_the_baseline_nothing_works() -> None:
    nothing = {name: against(0.01, -0.03, 0.05, False) for name in comparison()["above_baseline"]}
    said = ladder_verdict(comparison(above_baseline=nothing))
    assert said[0].startswith(
        "Nothing works: no way is shown to be better than always answering “ham”, which is right on 86.6\xa0% of 900 "
        "items;"
    )
    assert "beats" not in " ".join(said)
    set_language("zh")
    assert ladder_verdict(comparison(above_baseline=nothing))[0].startswith(
        "没有一种做法有效：未能证明任何一种做法好于一律回答“ham”，而后者在 900 个条目中答对 86.6"
    )


def test_one_way_that_works_is_enough() -> None:
    above = {name: against(0.01, -0.03, 0.05, False) for name in comparison()["above_baseline"]}
    above["small"] = against(0.3, 0.2, 0.4, True)
    assert "Nothing works" not in ladder_verdict(comparison(above_baseline=above))[0]


def test_thirty_items_are_too_few_to_say_that_nothing_works() -> None:
    nothing = {name: against(0.01, -0.03, 0.05, False) for name in comparison()["above_baseline"]}
    few = comparison(above_baseline=nothing, items_count=30, detectable=0.31, side_effects=None)
    assert ladder_verdict(few) == [
        "On 30 items no way is shown to be better than always answering “ham”.",
        "On 30 items, differences in macro-F1 of less than about 31 points would often go unseen (80 % power).",
    ]
    set_language("zh")
    assert ladder_verdict(few)[1] == (
        "在 30 个条目上，宏平均 F1 值的差别若小于约 31 个百分点，往往看不出来（检验功效 80 %）。"
    )


def test_five_items_can_show_nothing() -> None:
    assert "5 items are too few to show any difference in macro-F1." in ladder_verdict(
        comparison(items_count=5, detectable=None)
    )


def test_where_all_is_settled_on_many_items_nothing_went_unseen() -> None:
    settled = changed(small=against(0.12, 0.09, 0.15, True))
    assert not any("unseen" in said for said in ladder_verdict(comparison(differences=settled)))


def lower_is_better() -> dict[str, Any]:
    return comparison(
        headline="loss",
        arms=[
            arm("zero-shot", "prompt", 2.31, 30.0, "loss", settings={"shots": 0}),
            arm("tuned-lora", "tuned", 1.74, 900.0, "loss"),
            arm("tuned-full", "tuned", 1.70, 2900.0, "loss"),
            arm("parent", "parent", 1.9, 10.0, "loss"),
        ],
        differences={
            "zero-shot": against(-0.57, -0.61, -0.53, True),
            "tuned-full": against(0.04, -0.01, 0.09, False),
            "parent": against(-0.16, -0.2, -0.12, True),
        },
        above_baseline=None,
        side_effects=None,
    )


def test_a_lower_loss_is_better() -> None:
    first, others, cheapest, _ = ladder_verdict(lower_is_better())
    assert first == "Tuning (lora) beats zero-shot prompting by 0.57 in loss per token [0.53, 0.61] on 900 items."
    assert others == (
        "Tuning (full) is 0.04 ahead of tuning (lora) [−0.01, 0.09], too little to be sure, in about 3 times the time; "
        "the parent model is 0.16 behind tuning (lora) [0.12, 0.20], in about 1/90 of the time."
    )
    assert cheapest == "Every cheaper way is shown to be worse than tuning (lora)."


@pytest.mark.parametrize("metric", ["span_f1", "micro_f1", "exact_match", "accuracy"])
def test_other_headlines_are_named(metric: str) -> None:
    report = comparison(headline=metric, differences={"small": against(0.2, 0.1, 0.3, True)})
    report["arms"] = [arm("small", "small", 0.5, 1.0, metric), arm("tuned-lora", "tuned", 0.7, 90.0, metric)]
    first = ladder_verdict(report)[0]
    assert first.startswith("The small model is 20 points behind tuning [10, 30], in about 1/90 of the time")


def test_without_prompts_tuning_is_held_against_the_commonest_answer() -> None:
    report = comparison(differences={"majority": against(0.51, 0.47, 0.55, True)}, side_effects=None)
    report["arms"] = [arm("majority", "baseline", 0.46, 0.0) | MAJORITY, arm("tuned-lora", "tuned", 0.97, 900.0)]
    assert ladder_verdict(report)[0] == (
        "Tuning beats always answering “ham” by 51 points in macro-F1 [47, 55] on 900 items."
    )


def test_general_text_is_said_to_change_only_where_that_was_shown() -> None:
    def last(**texts: dict[str, Any]) -> str:
        return ladder_verdict(comparison(side_effects={"general": texts}))[0].split("of the time; ")[1]

    assert last(en=general(0.01), zh=general(-0.02)) == (
        "general English text got 1.0 % worse [0.5, 1.5]; general Chinese text got 2.0 % better [1.0, 3.0]."
    )
    assert last(en=general(0.01, shown=False), zh=general(0.02, shown=False)) == (
        "no change on general text could be shown."
    )
    assert last(en=general(0.01, shown=False)) == "no change on general English text could be shown."


def test_earlier_tasks_are_said_to_be_lost_kept_or_gained() -> None:
    def parent(value: float, low: float, high: float, p: float) -> dict[str, Any]:
        difference = {"value": value, "low": low, "high": high, "p": p}
        return {"run": "runs/a", "task": "sms-spam", "metric": "accuracy", "difference": difference}

    changes = [parent(-0.021, -0.03, -0.01, 0.001), parent(0.05, 0.03, 0.07, 0.001), parent(0.01, -0.02, 0.04, 0.4)]
    assert ladder_verdict(comparison(side_effects={"parents": changes}))[-3:] == [
        "The earlier task “sms-spam” lost 2.1 points in accuracy [1.0, 3.0].",
        "The earlier task “sms-spam” gained 5 points in accuracy [3, 7].",
        "No change of the earlier task “sms-spam” in accuracy could be shown [−2, 4].",
    ]


def test_without_any_answer_nothing_is_compared() -> None:
    assert ladder_verdict(comparison(arms=[])) == [
        "Nothing could be compared: no way to do the task has an answer to every item."
    ]


def test_one_point_is_singular_and_no_end_that_is_not_zero_is_written_as_zero() -> None:
    assert Amount(0.01, -0.01, 0.03, "accuracy").size == "1 point"
    assert Amount(0.012, -0.01, 0.03, "accuracy").size == "1 point"
    assert Amount(0.0, -0.02, 0.02, "accuracy").level
    assert in_figures(2.0, 0.2, 4.2) == ("2.0", "0.2", "4.2")
    assert in_figures(-2.0, -4.2, -0.02) == ("2.00", "−4.20", "−0.02")
    assert in_figures(0.0, 0.0, 0.0) == ("0.0", "0.0", "0.0")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1.1, "1/800"), (0.87, "1/1,000"), (0.08, "1/10,000"), (20, "1/40"), (450, "1/2"), (1000, "about the same"),
     (1800, "2 times"), (1400, "1.6 times"), (9000, "10 times")],
)  # fmt: skip
def test_times_are_said_in_round_words(seconds: float, said: str) -> None:
    arms = [arm("a", "small", 0.5, seconds), arm("b", "tuned", 0.5, 900.0)]
    assert said in with_time("so", *arms)


def test_a_time_that_was_not_measured_is_not_said() -> None:
    unknown = arm("a", "endpoint", 0.5, 1.0) | {"cost": {"prepare_seconds": 0.0, "answer_seconds": None}}
    assert with_time("so", unknown, arm("b", "tuned", 0.5, 900.0)) == "so"


def test_durations() -> None:
    assert [duration(one) for one in (0.2, 1.2, 30, 900, 9000)] == [
        "less than a second",
        "1 second",
        "30 seconds",
        "15 minutes",
        "2.5 hours",
    ]
