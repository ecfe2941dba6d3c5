"""Runs with a category head, from the file to the prediction: an encoder and a decoder, every method, all the verbs."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import TinyFolders
from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api.answering import find_respondent
from weitiao.api.chat import open_conversation
from weitiao.api.check import check
from weitiao.api.evaluate import evaluate
from weitiao.api.plan import plan
from weitiao.api.predict import predict
from weitiao.api.train import resume, train
from weitiao.errors import ModelError, SettingsError, Stopped
from weitiao.evaluation.commonest import commonest_answers
from weitiao.example import Task
from weitiao.models.source import resolve
from weitiao.models.use import own_use
from weitiao.run import Run
from weitiao.settings import make_settings


def settings(model: Path, folder: Path, name: str = "run", **changes: Any) -> Any:
    values = {"head": "category", "lora_dropout": 0.0, "max_steps": 12, "top_layers": 1, "learning_rate": 5e-3}
    return tiny_settings(model, folder, name, **{**values, **changes})


def report(run: Run) -> Any:
    return json.loads(run.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["bert-lora", "bert-full", "llama-lora", "llama-full", "llama-top_layers"])
def tuned(request: pytest.FixtureRequest, tiny_folders: TinyFolders, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run; never write into it."""
    family, _, method = request.param.partition("-")
    return train(settings(tiny_folders[family], tmp_path_factory.mktemp(request.param), method=method))


def test_an_evaluation_of_the_run_gives_the_scores_of_its_report(tuned: Run) -> None:
    found = evaluate(make_settings({"model": tuned.folder}))
    assert found.json()["scores"] == report(tuned)["after"]["scores"]
    assert found.json()["scores"]["f1/spam"]["low"] < found.json()["scores"]["f1/spam"]["high"]


def test_a_prediction_is_what_the_run_measured(tuned: Run, tmp_path: Path) -> None:
    data = tuned.folder.parent / "rows.csv"
    predicted = predict(make_settings({"model": tuned.folder, "data": data}), tmp_path / "out.csv")
    with predicted.path.open(encoding="utf-8") as file:
        rows = {row["text"]: row for row in csv.DictReader(file)}
    assert predicted.ledger["read"] == predicted.ledger["used"] == 30
    for item in report(tuned)["items"]:
        assert rows[item["text"]]["prediction"] == item["after"]
        assert float(rows[item["text"]]["confidence"]) == pytest.approx(item["after_confidence"], abs=1e-4)
        shares = [float(rows[item["text"]][f"probability/{name}"]) for name in ("ham", "spam")]
        assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_what_was_decided_is_written_down(tuned: Run) -> None:
    assert "head: category" in tuned.settings.read_text(encoding="utf-8")
    assert own_use(resolve(str(tuned.folder))).categories == ("ham", "spam")  # type: ignore[union-attr]
    assert json.loads((tuned.folder / "task.json").read_text())["categories"] == ["ham", "spam"]


def test_the_card_says_how_transformers_opens_it(tuned: Run) -> None:
    card = (tuned.folder / "card.md").read_text(encoding="utf-8")
    assert "AutoModelForSequenceClassification" in card and "AutoModelForCausalLM" not in card
    assert ("num_labels=2" in card) == ("lora" in str(tuned.folder))
    assert "the question, an empty line" not in card


def test_a_new_head_is_compared_with_the_commonest_category_and_that_is_said(tuned: Run) -> None:
    found = report(tuned)
    assert "A new head answers by chance" in found["verdict"][1]
    named = {item["before"] for item in found["items"]}
    assert len(named) == 1 and f"“{named.pop()}”" in found["verdict"][1]
    assert "A new head answers by chance" in (tuned.folder / "report.html").read_text(encoding="utf-8")
    assert found["difference"]["accuracy"]["low"] <= found["difference"]["accuracy"]["value"]


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {"method": "lora", "lora_dropout": 0.1}),
        ("bert", {"method": "full", "precision": "bf16"}),
        ("llama", {"method": "lora"}),
        ("llama", {"method": "top_layers", "precision": "bf16"}),
    ],
)
def test_stopped_and_resumed_is_straight_through(
    family: str, changes: dict[str, Any], tiny_folders: TinyFolders, tmp_path: Path
) -> None:
    def stop(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    straight = train(settings(tiny_folders[family], tmp_path, "straight", **changes))
    with pytest.raises(Stopped):
        train(settings(tiny_folders[family], tmp_path, "run", **changes), stop)
    run = resume(tmp_path / "run")
    assert step_losses(run) == step_losses(straight)
    assert last_weights(run) == last_weights(straight)
    assert result_bytes(run) == result_bytes(straight)
    assert report(run)["after"] == report(straight)["after"]


def test_tuned_again_the_head_goes_on_and_before_is_the_parents_after(tuned: Run, tmp_path: Path) -> None:
    own = {"method": "lora"} if "lora" in str(tuned.folder) else {"method": "full"}
    own |= {"lora_rank": 4, "head": "auto", "output_dir": tmp_path / "child"}
    child = train(settings(tuned.folder, tuned.folder.parent, **own))
    assert report(child)["before"]["scores"] == report(tuned)["after"]["scores"]
    assert "chance" not in " ".join(report(child)["verdict"])
    assert report(child)["settings"]["head"]["reason"] == "the model has one already"


def test_auto_gives_an_encoder_a_head_and_lets_a_decoder_speak(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    for family, head, why in (("bert", "category", "both directions"), ("llama", "words", "says the category's name")):
        found = plan(settings(tiny_folders[family], tmp_path, head="auto"))
        assert found.settings.head == head
        assert why in found.reasons["head"]
    assert "head" not in plan(settings(tiny_folders["llama"], tmp_path)).reasons


def test_the_check_shows_what_the_head_reads(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    found = check(settings(tiny_folders["bert"], tmp_path))
    assert found.refused is None and found.rows
    for row in found.rows:
        assert [token.text for token in row.tokens if token.learned] == ["<cls>"]
        assert row.tokens[-1].text == "<sep>"


def test_what_a_head_cannot_do_is_said_before_anything_is_read(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    with pytest.raises(SettingsError, match="head is category, and the kind of these data is reply"):
        train(settings(tiny_folders["llama"], tmp_path, data=data))
    with pytest.raises(SettingsError, match="a head of the model's own is asked none"):
        train(settings(tiny_folders["llama"], tmp_path, question="Spam?"))
    for changes in ({"head": "words"}, {"head": "auto", "data": data}):
        with pytest.raises(ModelError, match="writes no text"):
            train(settings(tiny_folders["bert"], tmp_path, **changes))
    with pytest.raises(ModelError, match="has no head"):
        evaluate(settings(tiny_folders["bert"], tmp_path))
    assert not (tmp_path / "run").exists()


def test_a_run_with_a_head_does_not_chat_and_answers_no_other_kind(tuned: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="writes no text"):
        open_conversation(find_respondent(make_settings({"model": tuned.folder})))
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    with pytest.raises(ModelError, match="writes no text"):
        evaluate(make_settings({"model": tuned.folder, "data": data, "kind": "reply"}))


def test_the_commonest_category_is_as_sure_as_the_training_rows_say() -> None:
    task = Task("classify", "", ("a", "b", "c"))
    answers = commonest_answers([("a",), ("b",)], task, {"a": 2, "b": 5}, 7)
    assert answers.predicted == ("b", "b")
    assert answers.probabilities is not None
    assert answers.probabilities.tolist() == [[0.3, 0.6, 0.1]] * 2


# --- several categories at once ---


def topics(path: Path) -> Path:
    """Thirty messages with none, one or both of the categories money and chinese."""
    lines = []
    for text in (*tiny.SPAM, *tiny.HAM):
        names = [name for name, holds in (("money", text in tiny.SPAM), ("chinese", text[0] > "z")) if holds]
        lines.append(json.dumps({"text": text, "label": names}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["bert-full", "llama-lora"])
def sorted_out(
    request: pytest.FixtureRequest, tiny_folders: TinyFolders, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A finished run over texts with several categories; never write into it."""
    family, _, method = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param)
    changes = {"data": topics(folder / "topics.jsonl"), "head": "auto", "method": method, "max_steps": 40}
    return train(settings(tiny_folders[family], folder, **changes, metric_for_best_model="micro_f1"))


def test_several_categories_are_learned_measured_and_predicted(sorted_out: Run, tmp_path: Path) -> None:
    found = report(sorted_out)
    assert found["task"]["several"] is True and found["task"]["categories"] == ["chinese", "money"]
    scores = found["after"]["scores"]
    assert {"exact_match", "micro_f1", "macro_f1", "f1/chinese", "f1/money"} <= scores.keys()
    assert scores["micro_f1"]["value"] > found["before"]["scores"]["exact_match"]["value"]
    assert evaluate(make_settings({"model": sorted_out.folder})).json()["scores"] == scores
    data = sorted_out.folder.parent / "topics.jsonl"
    predicted = predict(make_settings({"model": sorted_out.folder, "data": data}), tmp_path / "out.jsonl")
    rows = {row["text"]: row for row in map(json.loads, predicted.path.read_text(encoding="utf-8").splitlines())}
    for item in found["items"]:
        row = rows[item["text"]]
        assert row["prediction"] == item["after"]
        given = [name for name, share in row["probabilities"].items() if share >= 0.5]
        assert row["prediction"] == ", ".join(given)
        assert row["confidence"] == pytest.approx(item["after_confidence"], abs=1e-4)
    counted = Counter(name for row in rows.values() for name in row["prediction"].split(", ") if name)
    assert predicted.predicted == dict(counted)
    assert "Micro F1" in (sorted_out.folder / "report.html").read_text(encoding="utf-8")


def test_tuned_again_on_several_categories_the_head_goes_on(sorted_out: Run) -> None:
    own = {"method": "lora" if "lora" in str(sorted_out.folder) else "full", "max_steps": 2, "lora_rank": 4}
    own |= {"data": sorted_out.folder.parent / "topics.jsonl", "head": "auto", "metric_for_best_model": "macro_f1"}
    child = train(settings(sorted_out.folder, sorted_out.folder.parent, "child", **own))
    assert report(child)["before"]["scores"] == report(sorted_out)["after"]["scores"]


def test_words_cannot_say_several_categories(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="several categories at once"):
        train(settings(tiny_llama, tmp_path, data=topics(tmp_path / "topics.jsonl"), head="words"))
