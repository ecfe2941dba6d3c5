"""A comparison asks every arm the same items, goes on where it was stopped, and claims no more than was shown."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from weitiao.api.compare import Comparison, compare, resume_comparison
from weitiao.cli import main
from weitiao.errors import SettingsError, Stopped
from weitiao.evaluation.ladder import comparison_html
from weitiao.evaluation.ladder_verdict import said_again
from weitiao.settings import make_settings
from weitiao.words import set_language

SMALL = {
    "arms": ("majority", "small", "zero-shot", "few-shot-2", "nearest-2", "tuned"),
    "draws": 2,
    "max_steps": 2,
    "threads": 1,
    "precision": "fp32",
    "test_size": 0.4,
    "curve": "off",
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Sixty messages with a rule that counting words finds."""
    texts = [f"win the {number} prize now" if number % 2 else f"see you at {number} for lunch" for number in range(60)]
    return written(tmp_path / "rows.csv", texts, ["ham", "spam"] * 30)


def written(file: Path, texts: list[str], labels: list[str]) -> Path:
    lines = [f"{text},{label}\n" for text, label in zip(texts, labels, strict=True)]
    file.write_text("text,label\n" + "".join(lines), encoding="utf-8")
    return file


def compared(model: Path, data: Path, **others: Any) -> Comparison:
    folder = data.parent / "comparisons" / "one"
    return compare(make_settings({"model": model, "data": data, "output_dir": folder, **SMALL, **others}))


def report_of(found: Comparison) -> Any:
    return json.loads(found.report.read_text(encoding="utf-8"))


def numbers(report: Any) -> Any:
    """What must be the same however often a comparison was stopped: all but times and where it was written."""
    arms = [{name: arm[name] for name in ("name", "scores", "spread", "prompt")} for arm in report["arms"]]
    return arms, report["differences"], report["items"], report["slices"]


def test_every_arm_answers_the_same_items_and_the_run_is_a_whole_one(tiny_llama: Path, rows: Path) -> None:
    found = compared(tiny_llama, rows)
    report = report_of(found)
    assert [arm["name"] for arm in report["arms"]] == [
        "majority", "small", "zero-shot", "few-shot-2", "nearest-2", "tuned-lora"
    ]  # fmt: skip
    assert {arm["scores"]["accuracy"]["count"] for arm in report["arms"]} == {report["items_count"]}
    assert set(report["differences"]) == {arm["name"] for arm in report["arms"]} - {"tuned-lora"}
    assert report["arms"][1]["scores"]["accuracy"]["value"] > 0.9
    assert len(report["arms"][3]["spread"]["values"]) == 2
    assert all(set(item["answers"]) == {arm["name"] for arm in report["arms"]} for item in report["items"])
    run = json.loads((found.folder / "runs" / "tuned-lora" / "report.json").read_text(encoding="utf-8"))
    tuned = report["arms"][-1]
    assert run["after"]["scores"]["accuracy"] == tuned["scores"]["accuracy"]
    assert run["before"]["scores"]["accuracy"] == report["arms"][2]["scores"]["accuracy"]  # asked once, used twice
    assert (found.folder / "report.html").is_file() and (found.folder / "card.md").is_file()


def test_a_prompt_shows_solved_examples_of_the_train_split_and_never_the_item(tiny_llama: Path, rows: Path) -> None:
    report = report_of(compared(tiny_llama, rows, arms=("few-shot-2", "nearest-2", "tuned")))
    tested = {item["text"] for item in report["items"]}
    for arm in report["arms"][:2]:
        roles = [message["role"] for message in arm["prompt"]]
        assert roles == ["user", "assistant", "user", "assistant", "user"]
        shown = [message["content"] for message in arm["prompt"][:-1] if message["role"] == "user"]
        assert not any(text.split("\n\n")[1] in tested for text in shown)
        assert {message["content"] for message in arm["prompt"] if message["role"] == "assistant"} <= {"ham", "spam"}


def test_stopped_after_any_arm_it_goes_on_to_the_same_numbers(tiny_llama: Path, rows: Path) -> None:
    whole = report_of(compared(tiny_llama, rows))
    for stop_at in ("small", "few-shot-2", "tuned-lora"):
        folder = rows.parent / "comparisons" / f"stopped at {stop_at}"

        def listen(kind: str, facts: dict[str, Any], stop_at: str = stop_at) -> None:
            if kind == "arm" and facts["name"] == stop_at:
                raise Stopped("stopped", "")

        settings = make_settings({"model": tiny_llama, "data": rows, "output_dir": folder, **SMALL})
        with pytest.raises(Stopped) as stopped:
            compare(settings, listen)
        assert f"weitiao compare {folder}" in stopped.value.hint
        report = report_of(resume_comparison(folder))
        assert numbers(report) == numbers(whole)
        kept = json.loads((folder / "arms" / "spent.json").read_text(encoding="utf-8"))["spent"]
        assert 0 < kept[0] <= report["cost"]["seconds"] + 0.01


def test_with_other_data_it_does_not_go_on(tiny_llama: Path, rows: Path) -> None:
    def listen(kind: str, facts: dict[str, Any]) -> None:
        if kind == "arm" and facts["name"] == "zero-shot":
            raise Stopped("stopped", "")

    folder = rows.parent / "comparisons" / "changed"
    with pytest.raises(Stopped):
        compare(make_settings({"model": tiny_llama, "data": rows, "output_dir": folder, **SMALL}), listen)
    rows.write_text(rows.read_text(encoding="utf-8") + "one more row,ham\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="something has changed: data"):
        resume_comparison(folder)


def test_the_curve_learns_from_nested_rows_and_ends_in_the_arm_itself(tiny_llama: Path, rows: Path) -> None:
    report = report_of(compared(tiny_llama, rows, arms=("small", "tuned"), curve="8,16,24"))
    curve = report["curve"]["arms"]
    labels = [point["labels"] for point in curve["tuned-lora"]]
    assert labels[:3] == [8, 16, 24] and labels == [point["labels"] for point in curve["small"]]
    assert curve["tuned-lora"][-1]["score"] == report["arms"][1]["scores"]["accuracy"]
    assert report["curve"]["fits"]["small"]["sentence"]


def test_wordings_of_the_question_are_draws_of_zero_shot(tiny_llama: Path, rows: Path) -> None:
    questions = rows.with_name("questions.txt")
    questions.write_text("Is this ham or spam?\n\nWhich is it: ham, spam?\n", encoding="utf-8")
    report = report_of(compared(tiny_llama, rows, arms=("zero-shot", "tuned"), questions=questions))
    assert report["arms"][0]["spread"]["of"] == "questions"
    assert report["arms"][0]["settings"]["questions"] == ["Is this ham or spam?", "Which is it: ham, spam?"]
    assert "2 wordings of the prompt" in comparison_html(report, "en")


def test_a_run_asks_before_itself_where_zero_shot_asked_otherwise(tiny_llama: Path, rows: Path) -> None:
    questions = rows.with_name("questions.txt")
    questions.write_text("Answer spam, whatever it is.\n", encoding="utf-8")
    found = compared(tiny_llama, rows, arms=("zero-shot", "tuned"), questions=questions)
    stored = json.loads((found.folder / "runs" / "tuned-lora" / "answers.json").read_text(encoding="utf-8"))
    zero = json.loads((found.folder / "arms" / "zero-shot.json").read_text(encoding="utf-8"))["draws"][0]
    assert stored["before"]["answers"]["probabilities"] != zero["answers"]["probabilities"]


def test_the_command_in_a_report_compares_again(tiny_llama: Path, rows: Path) -> None:
    found = compared(tiny_llama, rows, arms=("majority", "tuned"), max_steps=1)
    words = shlex.split(report_of(found)["command"])
    assert main([*words[1:], "--json"]) == 0
    assert (found.folder.with_name(f"{found.folder.name}-again") / "report.json").is_file()


def test_an_encoder_is_not_prompted_and_the_report_says_why(tiny_folders: Any, rows: Path) -> None:
    report = report_of(compared(tiny_folders["bert"], rows, arms="all", max_steps=1))
    assert {each["name"] for each in report["left_out"]} >= {"zero-shot", "few-shot-8"}
    assert report["reference"] == "tuned-lora"


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (("tuned-lra",), "there is no arm tuned-lra"),
        (("endpoint",), "the arm endpoint cannot be tried"),
        (("parent",), "the arm parent cannot be tried"),
    ],
)
def test_an_arm_that_cannot_be_tried_is_refused_and_nothing_is_left(
    arms: tuple[str, ...], words: str, tiny_llama: Path, rows: Path
) -> None:
    with pytest.raises(SettingsError, match=words):
        compared(tiny_llama, rows, arms=arms)
    assert not (rows.parent / "comparisons" / "one").exists()


def test_shuffled_labels_show_that_nothing_works(tiny_llama: Path, rows: Path) -> None:
    texts = [line.rpartition(",")[0] for line in rows.read_text(encoding="utf-8").splitlines()[1:]]
    written(rows, texts, ["spam" if (number * 7919) % 13 < 6 else "ham" for number in range(len(texts))])
    report = report_of(compared(tiny_llama, rows))
    assert "no way is shown to be better" in report["verdict"][0]


def test_answers_by_cost_are_chosen_on_dev_and_measured_on_the_test(tiny_llama: Path, rows: Path) -> None:
    report = report_of(compared(tiny_llama, rows, arms=("majority", "tuned"), costs="spam>ham=5"))
    found = report["threshold"]
    assert found["arm"] == "tuned-lora" and found["costs"] == [[0, 1], [5, 0]]
    assert found["cost"]["count"] == report["items_count"]
    for costs, words in (("spam>eggs=2", "eggs, which is no category"), ("spam>ham", "must say what each mistake")):
        with pytest.raises(SettingsError, match=words):
            compared(tiny_llama, rows, costs=costs, output_dir=rows.parent / "refused")


def test_plain_texts_and_fresh_models_are_refused(tiny_llama: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(tiny.SENTENCES), encoding="utf-8")
    for model, words in ((tiny_llama, "plain texts ask nothing"), ("preset:tiny", "knows nothing yet")):
        with pytest.raises(SettingsError, match=words):
            compare(make_settings({"model": model, "data": texts, "output_dir": tmp_path / "c"}))
    shutil.rmtree(tmp_path / "c", ignore_errors=True)


def test_a_report_is_said_again_in_the_other_language(tiny_llama: Path, rows: Path) -> None:
    report = report_of(compared(tiny_llama, rows, arms=("majority", "small", "tuned"), curve="8,16,24"))
    assert said_again(report) == report
    set_language("zh")
    again = said_again(report)
    assert "准确率" in again["verdict"][0] or "没有一种做法" in again["verdict"][0]
    assert all("标注" in fit["sentence"] for fit in again["curve"]["fits"].values())


def test_replies_and_marks_have_their_own_arms_and_headline(tiny_llama: Path, tmp_path: Path) -> None:
    pairs = [{"instruction": f"Say {number}.", "output": f"I say {number} now."} for number in range(40)]
    marks = [
        {"text": f"Anna met Bob in room {number}", "label": [[0, 4, "person"], [9, 12, "person"]]}
        for number in range(40)
    ]
    for kind, rows, headline in (("reply", pairs, "loss"), ("mark", marks, "span_f1")):
        data = tmp_path / f"{kind}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        folder = tmp_path / "comparisons" / kind
        arms = ("small", "zero-shot", "few-shot-2", "tuned")
        given = {**SMALL, "arms": arms, "eval_max_samples": 6, "generate_max_samples": 4, "max_new_tokens": 8}
        found = compare(make_settings({"model": tiny_llama, "data": data, "output_dir": folder, **given}))
        report = report_of(found)
        assert report["task"]["kind"] == kind and report["headline"] == headline
        assert [arm["name"] for arm in report["arms"]] == ["small", "zero-shot", "few-shot-2", "tuned-lora"]
        assert report["verdict"] and all(item["answers"] for item in report["items"])
