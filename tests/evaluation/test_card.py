"""The model card: complete in both languages, with intervals, and with no text that Markdown or YAML could act on."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from sample_reports import classify_report, evaluation_report, reply_report, with_added
from weitiao.evaluation.report import card_markdown


@pytest.mark.parametrize("make", [classify_report, reply_report, evaluation_report])
def test_a_card_has_front_matter_results_with_intervals_and_the_code_to_load_it(
    make: Callable[[], dict[str, Any]],
) -> None:
    made = make()
    for language in ("en", "zh"):
        card = card_markdown(made, language)
        assert card.startswith('---\nlicense: "unknown"\nbase_model: "smollm2-135m-instruct"\n')
        assert "from transformers import" in card
        row = next(line for line in card.splitlines() if re.match(r"\| (Accuracy|Loss|准确率|损失) ", line))
        assert re.search(r"[\d.]+( ?%)? \([\d.]+ (to|至) [\d.]+( ?%)?\)", row)
    with_adapter = card_markdown(classify_report(rows=60), "en")
    assert "PeftModel.from_pretrained" in with_adapter
    assert "library_name: peft" in with_adapter


def test_a_card_holds_no_text_that_markdown_could_act_on() -> None:
    added = "\n# x\n<script>alert(1)</script> [a](javascript:1) | `b` ``` www.a.b"
    card = card_markdown(with_added(classify_report(rows=60), added), "en")
    _, front, body = card.split("---\n", 2)
    assert [line.split(":")[0] for line in front.splitlines()[:3]] == ["license", "base_model", "library_name"]
    assert json.loads(front.splitlines()[1].removeprefix("base_model: ")) == "smollm2-135m-instruct" + added
    assert body.count("\n```") == 6
    outside = re.sub(r"```\w*\n.*?\n```", "", body, flags=re.DOTALL)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\[a\]\(", outside)
    assert not re.search(r"(?<!\\)`", outside)
    assert outside.count("\n# ") == 1
    table = [line for line in outside.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {7}


def test_the_languages_of_the_card_are_those_of_the_rows() -> None:
    def languages(text: str) -> str:
        items = [{"text": text, "gold": ""}] * 20
        return card_markdown({"items": items}, "en").split("tags:")[0]

    assert "- en" in languages("Are you on the way to the station?")
    assert "- zh" in languages("你什么时候回家吃饭？")
    assert "language:" not in languages("Wo ist der Bahnhof, bitte?")
