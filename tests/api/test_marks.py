"""Runs that mark spans, from the file to the prediction: a head on an encoder and on a decoder, and marks in words."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForTokenClassification, AutoTokenizer

import tiny
from conftest import TinyFolders
from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api.check import check
from weitiao.api.evaluate import evaluate
from weitiao.api.predict import predict
from weitiao.api.train import resume, train
from weitiao.cli.train import headline_metrics
from weitiao.errors import DataError, Stopped
from weitiao.run import Run
from weitiao.settings import make_settings, parse_settings


def settings(model: Path, folder: Path, name: str = "run", **changes: Any) -> Any:
    data = folder / "marks.jsonl"
    data = data if data.exists() else tiny.tiny_marks(data)
    values = {"data": str(data), "lora_dropout": 0.0, "max_steps": 60, "top_layers": 1, "learning_rate": 1e-2}
    return tiny_settings(model, folder, name, **{**values, **changes})


def report(run: Run) -> Any:
    return json.loads(run.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["bert-lora", "bert-full", "llama-lora", "llama-full", "llama-top_layers"])
def tuned(request: pytest.FixtureRequest, tiny_folders: TinyFolders, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with a head for tokens; never write into it."""
    family, _, method = request.param.partition("-")
    return train(settings(tiny_folders[family], tmp_path_factory.mktemp(request.param), method=method))


def test_a_run_learns_to_mark(tuned: Run) -> None:
    found = report(tuned)
    assert found["before"]["scores"]["span_f1"]["value"] == 0
    assert found["after"]["scores"]["span_f1"]["value"] > 0
    assert any("marking nothing" in sentence for sentence in found["verdict"])
    assert headline_metrics(found)[0] == "span_f1", "what the terminal shows first"


def test_an_evaluation_of_the_run_gives_the_scores_of_its_report(tuned: Run) -> None:
    assert evaluate(make_settings({"model": tuned.folder})).json()["scores"] == report(tuned)["after"]["scores"]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_prediction_is_what_the_run_measured(tuned: Run, tmp_path: Path, form: str) -> None:
    data = tuned.folder.parent / "marks.jsonl"
    predicted = predict(make_settings({"model": tuned.folder, "data": data}), tmp_path / f"out.{form}")
    with predicted.path.open(encoding="utf-8") as file:
        rows = {row["text"]: row for row in (csv.DictReader(file) if form == "csv" else map(json.loads, file))}
    assert predicted.ledger["used"] == 30
    for item in report(tuned)["items"]:
        spans = rows[item["text"]]["spans"]
        spans = json.loads(spans) if form == "csv" else spans
        assert [one["text"] for one in spans] == [part for part, label in item["marks"]["after"] if label]
        assert all(one["text"] == item["text"][one["start"] : one["end"]] for one in spans)
        assert all(0 < one["confidence"] <= 1 for one in spans)


def test_predictions_can_be_read_as_data_again(tuned: Run, tmp_path: Path) -> None:
    data = tuned.folder.parent / "marks.jsonl"
    predicted = predict(make_settings({"model": tuned.folder, "data": data}), tmp_path / "out.jsonl")
    assert check(make_settings({"data": predicted.path})).kind == "mark"


def test_texts_without_marks_and_long_ones_are_marked_too(tuned: Run, tmp_path: Path) -> None:
    data = tmp_path / "new.jsonl"
    long = "Ann lives in Bath. " * 60
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in (long, "Bob Lee", "…")), encoding="utf-8")
    given = {"model": tuned.folder, "data": data, "cutoff_len": 64}
    predicted = predict(make_settings(given), tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in predicted.path.read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == [long, "Bob Lee", "…"]
    assert all(row["text"][one["start"] : one["end"]] == one["text"] for row in rows for one in row["spans"])


def test_the_result_opens_in_transformers_and_peft_and_gives_equal_marks(tuned: Run) -> None:
    from weitiao.api.answering import find_respondent, load_engine

    given = make_settings({"model": tuned.folder, "engine": "exact"})
    respondent = find_respondent(given)
    ours = load_engine(respondent, given, lambda kind, facts: None)
    names = dict(enumerate(respondent.use.categories))
    config = json.loads((tuned.model / "adapter_config.json").read_text()) if _is_adapter(tuned) else {}
    base = config.get("base_model_name_or_path", str(tuned.model))
    model = AutoModelForTokenClassification.from_pretrained(base, num_labels=len(names), dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(tuned.model)) if config else model
    if not config:
        assert model.config.id2label == names
    tokenizer = AutoTokenizer.from_pretrained(tuned.model)
    inputs = tokenizer("Ann lives in Bath.", return_tensors="pt")
    with torch.inference_mode():
        theirs = model.eval()(**inputs).logits[0]
        mine = ours.model(**inputs).logits[0]
    assert torch.allclose(theirs.float(), mine.float(), atol=1e-5)


def test_stopped_and_gone_on_with_it_ends_in_the_same_bits(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    given = settings(tiny_folders["bert"], tmp_path, "straight", max_steps=6, save_steps=2, eval_steps=3)
    straight = train(given)

    def stop(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        train(settings(tiny_folders["bert"], tmp_path, "stopped", max_steps=6, save_steps=2, eval_steps=3), stop)
    resumed = resume(tmp_path / "stopped")
    assert step_losses(resumed) == step_losses(straight)
    assert last_weights(resumed) == last_weights(straight)
    assert result_bytes(resumed) == result_bytes(straight)
    assert report(resumed)["after"] == report(straight)["after"]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_is_tuned_again_with_its_head(tiny_folders: TinyFolders, tmp_path: Path, method: str) -> None:
    first = train(settings(tiny_folders["bert"], tmp_path, "first"))
    second = train(settings(first.folder, tmp_path, "second", method=method, max_steps=4))
    assert report(second)["before"]["scores"]["span_f1"] == report(first)["after"]["scores"]["span_f1"]
    assert not any("marking nothing" in sentence for sentence in report(second)["verdict"])


def test_a_causal_model_writes_its_marks_as_lines(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    given = {"head": "words", "max_steps": 4, "generate_max_samples": 4, "max_new_tokens": 12}
    run = train(settings(tiny_folders["llama"], tmp_path, **given))
    found = report(run)
    assert "loss" in found["after"]["scores"]
    assert len(found["items"]) == 4
    assert found["after"]["details"]["marked"] == 4
    again = evaluate(make_settings({"model": run.folder}))
    assert again.json()["scores"] == found["after"]["scores"]
    predicted = predict(make_settings({"model": run.folder, "data": tmp_path / "marks.jsonl"}), tmp_path / "o.jsonl")
    assert predicted.ledger["read"] == 30


def test_check_shows_the_label_of_each_token(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    found = check(settings(tiny_folders["bert"], tmp_path), rows=2)
    assert found.refused is None
    labels = [token["label"] for row in found.json()["rows"] for token in row["tokens"]]
    assert {"B-person", "B-place", "O", ""} <= set(labels)
    assert found.splits["train"]["person"] > 1


def test_data_in_which_nothing_is_marked_are_refused(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    data = tmp_path / "none.conll"
    data.write_text("".join(f"text O\nnumber{n} O\n\n" for n in range(9)))
    with pytest.raises(DataError, match="marks nothing"):
        train(settings(tiny_folders["bert"], tmp_path, data=str(data)))


def _is_adapter(run: Run) -> bool:
    return (run.model / "adapter_config.json").is_file()


def test_the_example_runs(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "entities" / "settings.yaml"
    given = {"model": str(tiny_folders["bert"]), "data": str(tiny.tiny_marks(tmp_path / "marks.jsonl"))}
    given |= {"output_dir": str(tmp_path / "run"), "max_steps": "3", "precision": "fp32", "threads": "1"}
    run = train(parse_settings([str(example), *(f"{name}={value}" for name, value in given.items())]).settings)
    assert run.finished()
