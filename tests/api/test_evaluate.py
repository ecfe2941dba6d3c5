"""An evaluation asks what training asked: the same items give the same scores, and what it cannot score it says."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from weitiao.api.answering import find_respondent, load_respondent
from weitiao.api.evaluate import evaluate
from weitiao.errors import DataError, ModelError, SettingsError
from weitiao.evaluation.card import card_markdown
from weitiao.evaluation.report import report_html
from weitiao.example import Message
from weitiao.settings import make_settings


def settings(model: Path, **others: Any) -> Any:
    return make_settings({"model": model, **others})


def report_of(run: Path) -> Any:
    return json.loads((run / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def moved(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the run and its data that a test may change."""
    shutil.copytree(tiny_run.parent.parent, tmp_path / "copy")
    run = tmp_path / "copy" / "runs" / "parent"
    for name in ("settings.yaml", "given.yaml"):
        text = (run / name).read_text(encoding="utf-8")
        (run / name).write_text(text.replace(str(tiny_run.parent.parent), str(tmp_path / "copy")), encoding="utf-8")
    return run


@pytest.mark.parametrize("name", ["tiny_run", "tiny_child"])
def test_a_run_on_its_own_test_split_gives_the_scores_of_its_report(name: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(name)
    found = evaluate(settings(run))
    assert found.json()["scores"] == report_of(run)["after"]["scores"]
    items = [
        {key: item[key] for key in ("source", "text", "gold", "after", "after_confidence")}
        for item in found.report["items"]
    ]
    assert items == [{key: item[key] for key in items[0]} for item in report_of(run)["items"]]


def test_the_untuned_model_gives_the_scores_from_before(tiny_run: Path, tiny_llama: Path) -> None:
    report = report_of(tiny_run)
    found = evaluate(
        settings(
            tiny_llama,
            data=tiny_run.parent.parent / "rows.csv",
            val_size=0.2,
            test_size=0.3,
            precision="fp32",
            threads=1,
        ),
        rows="test",
    )
    assert found.json()["scores"] == report["before"]["scores"]
    assert found.report["task"] == {**report["task"], "categories": ("ham", "spam")}


def test_the_adapter_in_transformers_and_peft_alone_gives_the_same_logits(tiny_run: Path, tiny_llama: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    respondent = find_respondent(settings(tiny_run))
    ours = load_respondent(respondent, settings(tiny_run)).eval()
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), tiny_run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_run / "model")
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Are we still meeting? 恭喜您"}], tokenize=False, add_generation_prompt=True
    )
    theirs_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    ours_ids = respondent.codec.encode_prompts([[Message("user", "Are we still meeting? 恭喜您")]])[0].tolist()
    assert theirs_ids == ours_ids
    with torch.inference_mode():
        ids = torch.tensor([ours_ids])
        logits = ours(input_ids=ids).logits
        assert (logits - theirs(input_ids=ids).logits).abs().max() < 1e-4
        with theirs.disable_adapter():
            assert (logits - theirs(input_ids=ids).logits).abs().max() > 1e-2


def test_all_rows_are_scored_and_what_was_learned_from_is_said(tiny_run: Path) -> None:
    found = evaluate(settings(tiny_run, data=tiny_run.parent.parent / "rows.csv"))
    assert found.scores["accuracy"].count == 30
    learned = sum(report_of(tiny_run)["data"]["counts"]["train"].values())
    (leak,) = [problem for problem in found.report["data"]["problems"] if problem["kind"] == "leak"]
    assert leak["message"].startswith(f"{learned} of these rows were learned from in parent")


def test_what_a_parent_learned_is_said_too(tiny_child: Path, tmp_path: Path) -> None:
    found = evaluate(settings(tiny_child, data=tiny_child.parent.parent / "rows.csv"))
    leaks = [problem["message"] for problem in found.report["data"]["problems"] if problem["kind"] == "leak"]
    assert ["child" in leaks[0], "parent" in leaks[1]] == [True, True]


def test_new_rows_are_no_leak_and_repeated_ones_are_said(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("text,label\nNever seen,spam\nNor this,ham\nnever  SEEN,spam\n", encoding="utf-8")
    found = evaluate(settings(tiny_run, data=data))
    (problem,) = found.report["data"]["problems"]
    assert (problem["kind"], problem["where"]) == ("duplicate", "new.csv:4")
    assert found.scores["accuracy"].count == 3


def test_rows_without_an_answer_are_in_the_ledger(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("text,label\nNever seen,spam\nNor this,\n,ham\nAnd this,ham\nAlso,ham\n", encoding="utf-8")
    found = evaluate(settings(tiny_run, data=data, output_dir=tmp_path / "out"))
    assert found.report["data"]["ledger"] == {"read": 5, "used": 3, "truncated": 0, "dropped": 2}
    assert found.report["data"]["reasons"] == {"no_label": 1, "empty_text": 1}
    lines = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["source"] for line in lines if line["outcome"] == "dropped"] == ["new.csv:3", "new.csv:4"]


def test_the_report_needs_no_before(tiny_run: Path, tmp_path: Path) -> None:
    found = evaluate(settings(tiny_run, output_dir=tmp_path / "out"), slices=True)
    written = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(found.report))
    assert "before" not in written
    assert report_html(written, "en") == (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "answered wrong" in report_html(written, "en")
    assert "答错" in report_html(written, "zh")
    assert "| Accuracy |" in card_markdown(written, "en")


def test_slices_part_the_items_by_length(tiny_run: Path) -> None:
    found = evaluate(settings(tiny_run, data=tiny_run.parent.parent / "rows.csv"), slices=True)
    assert [part.name for part in found.slices] == ["short", "middle", "long"]
    assert sum(part.scores["accuracy"].count for part in found.slices) == 30
    assert found.slices[0].longest < found.slices[1].shortest <= found.slices[1].longest < found.slices[2].shortest
    right = sum(part.scores["accuracy"].value * part.scores["accuracy"].count for part in found.slices)
    assert right == pytest.approx(found.scores["accuracy"].value * 30)
    assert found.json()["slices"]["length"]["short"]["to"] == found.slices[0].longest


def test_texts_of_one_length_stay_in_one_slice(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "same.csv"
    data.write_text("text,label\n" + "".join(f"text {n},{'spam' if n % 2 else 'ham'}\n" for n in range(10)), "utf-8")
    found = evaluate(settings(tiny_run, data=data), slices=True)
    assert [(part.name, part.scores["accuracy"].count) for part in found.slices] == [("short", 10)]


def test_of_many_rows_a_bounded_number_is_scored_and_it_is_said(tiny_run: Path, tmp_path: Path) -> None:
    data = tiny_run.parent.parent / "rows.csv"
    found = evaluate(settings(tiny_run, data=data, eval_max_samples=10))
    assert found.scores["accuracy"].count == 10
    assert "10 of 30 rows are scored" in str(found.report["data"]["problems"])
    with data.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    shuffled = tmp_path / "shuffled.csv"
    with shuffled.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([rows[0], *reversed(rows[1:])])
    again = evaluate(settings(tiny_run, data=shuffled, eval_max_samples=10))
    assert {item["text"] for item in again.report["items"]} == {item["text"] for item in found.report["items"]}


def test_replies_are_scored_and_written_out(tiny_llama: Path, tmp_path: Path) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    found = evaluate(settings(tiny_llama, data=data, generate_max_samples=4, max_new_tokens=5))
    assert found.scores["loss"].count == 12
    assert found.scores["chrf"].count == 4
    assert len(found.report["items"]) == 4
    assert found.report["task"]["kind"] == "reply"


def test_a_run_may_be_asked_another_kind_of_question(tiny_run: Path, tmp_path: Path) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    found = evaluate(settings(tiny_run, data=data, kind="reply", generate_max_samples=0))
    assert "loss" in found.scores and "accuracy" not in found.scores


def test_the_columns_that_training_was_told_are_looked_for_again(moved: Path, tmp_path: Path) -> None:
    text = (moved / "settings.yaml").read_text(encoding="utf-8")
    (moved / "settings.yaml").write_text(text.replace("text_column: null", "text_column: second"), encoding="utf-8")
    data = tmp_path / "new.csv"
    data.write_text("text,second,label\na,Never seen,spam\nb,Nor this,ham\n", encoding="utf-8")
    assert [item["text"] for item in evaluate(settings(moved, data=data)).report["items"]] == ["Never seen", "Nor this"]
    data.write_text("text,label\na,spam\nb,ham\n", encoding="utf-8")
    assert [item["text"] for item in evaluate(settings(moved, data=data)).report["items"]] == ["a", "b"]


def test_a_foreign_category_is_refused_with_its_line(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("text,label\nNever seen,spam\nNor this,Spam!\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"new\.csv:3 is labelled “Spam!”") as caught:
        evaluate(settings(tiny_run, data=data))
    assert "ham, spam" in caught.value.hint


def test_a_row_that_the_template_refuses_is_named(tiny_run: Path, tmp_path: Path) -> None:
    template, data = tmp_path / "chat.jinja", tmp_path / "new.csv"
    refusal = "{% if 'Nor this' in messages[0].content %}{{ raise_exception('no') }}{% endif %}"
    template.write_text(refusal + tiny.CHAT_TEMPLATE, encoding="utf-8")
    data.write_text("text,label\nNever seen,spam\nNor this,ham\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"^new\.csv:3: the chat template failed: no$"):
        evaluate(settings(tiny_run, data=data, template=template))


def test_changed_data_are_refused_by_digest(moved: Path) -> None:
    evaluate(settings(moved))
    with (moved.parent.parent / "rows.csv").open("a", encoding="utf-8") as file:
        file.write("one more,spam\n")
    with pytest.raises(DataError, match="have changed since it was trained"):
        evaluate(settings(moved))


def test_nothing_is_left_of_a_failed_evaluation(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        evaluate(settings(tiny_run, data=tmp_path / "missing.csv", output_dir=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_report_is_never_written_over_another(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match="not empty"):
        evaluate(settings(tiny_run, output_dir=tmp_path / "out"))
    assert (tmp_path / "out" / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_model_has_no_test_split_of_its_own(tiny_llama: Path) -> None:
    with pytest.raises(SettingsError, match="is not a run") as caught:
        evaluate(settings(tiny_llama))
    assert "--data" in caught.value.hint


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"kind": "classify"}', '{"kind": "x", "question": 1, "categories": "ab"}']
)
def test_a_damaged_task_is_one_clear_error(moved: Path, content: str | None) -> None:
    if content is None:
        (moved / "task.json").unlink()
    else:
        (moved / "task.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"task\.json") as caught:
        evaluate(settings(moved))
    assert "weitiao train" in caught.value.hint


def test_the_scores_are_not_those_of_the_base(tiny_run: Path, tiny_llama: Path) -> None:
    """Else the tests above would not notice an adapter that is left out."""
    probabilities = []
    for model in (tiny_run, tiny_llama):
        found = evaluate(settings(model, data=tiny_run.parent.parent / "rows.csv", precision="fp32"))
        probabilities.append([item["after_confidence"] for item in found.report["items"]])
    assert np.abs(np.subtract(*probabilities)).max() > 1e-2
