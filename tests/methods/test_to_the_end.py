"""Every method from the first step to the last use: trained, predicted with, talked to, evaluated, tuned again."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from tiny_training import tiny_settings
from weitiao.api.answering import find_respondent, load_respondent
from weitiao.api.chat import answer, next_prompt, open_conversation
from weitiao.api.evaluate import evaluate
from weitiao.api.predict import predict
from weitiao.api.train import train
from weitiao.models.generate import Sampling
from weitiao.models.source import resolve
from weitiao.settings import METHODS, TOKEN_KINDS, make_settings

NEW = tuple(name for name in METHODS if name not in ("full", "top_layers", "lora"))  # those have tests everywhere


def settings_of(method: str, model: Path, folder: Path, **changes: Any) -> Any:
    shared = {"max_steps": 4, "eval_steps": 2, "save_steps": 2, "lora_dropout": 0.0, "virtual_tokens": 5}
    if method not in TOKEN_KINDS:
        del shared["virtual_tokens"]
    return tiny_settings(model, folder, method=method, **{**shared, **changes})


@pytest.mark.parametrize("method", NEW)
def test_a_run_is_usable_to_the_end(tiny_llama: Path, tmp_path: Path, method: str) -> None:
    run = train(settings_of(method, tiny_llama, tmp_path))
    report = json.loads(run.report.read_text(encoding="utf-8"))
    assert report["model"]["method"] == method

    predicted = predict(make_settings({"model": run.folder, "data": tiny.tiny_rows(tmp_path / "again.csv")}))
    rows = {row["text"]: row["prediction"] for row in csv.DictReader(predicted.path.open(encoding="utf-8"))}
    assert {item["text"]: item["after"] for item in report["items"]} == {
        item["text"]: rows[item["text"]] for item in report["items"]
    }

    found = evaluate(make_settings({"model": run.folder, "data": tmp_path / "again.csv"}))
    assert found is not None

    asked = make_settings({"model": run.folder})
    respondent = find_respondent(asked)
    assert respondent.context == tiny.CONTEXT - (5 if method in TOKEN_KINDS else 0)
    conversation = open_conversation(respondent, raw=True)
    sampling = Sampling(max_new_tokens=4)
    reply = answer(
        load_respondent(respondent, asked), conversation, next_prompt(conversation, "Hello", sampling), sampling
    )
    assert isinstance(reply, str)

    child = train(
        settings_of(method, run.folder, tmp_path, output_dir=tmp_path / "child", lora_rank=None, virtual_tokens=None)
    )
    source = resolve(str(child.folder))
    assert source.folder == (tiny_llama if source.adapter else child.model)
    assert source.digest != resolve(str(run.folder)).digest


@pytest.mark.parametrize("method", ["prefix", "prompt", "p_tuning", "ia3", "dora"])
def test_replies_are_written_out_in_training(tiny_llama: Path, tmp_path: Path, method: str) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    run = train(settings_of(method, tiny_llama, tmp_path, data=data, max_new_tokens=4, batch_size=2))
    report = json.loads(run.report.read_text(encoding="utf-8"))
    assert any(item["after"] for item in report["items"])
