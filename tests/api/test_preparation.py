"""Names of data: what was meant by one that is mistyped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from weitiao.api.preparation import open_named
from weitiao.data.dataset import Hints
from weitiao.errors import DataError, ModelError
from weitiao.models.source import resolve
from weitiao.words import set_language


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def hint_of(name: str) -> str:
    with pytest.raises(DataError, match="there is no file") as caught:
        open_named(name, Hints())
    return caught.value.hint


def test_a_mistyped_sample_names_the_nearest_sample() -> None:
    assert hint_of("sms-spma") == "did you mean sms-spam?"
    assert hint_of("alpaka-en").startswith("did you mean alpaca-en")
    set_language("zh")
    with pytest.raises(DataError) as caught:
        open_named("sms-spma", Hints())
    assert caught.value.hint == "是不是想用 sms-spam？"


def test_files_with_a_similar_name_are_named_beside_the_sample(tmp_path: Path) -> None:
    (tmp_path / "sms-spam.csv").touch()
    assert hint_of("sms-spma") == "did you mean sms-spam, sms-spam.csv?"


@pytest.mark.parametrize("name", ["folder/sms-spma", "./sms-spma", "/sms-spma"])
def test_a_path_is_no_sample(name: str) -> None:
    assert "weitiao samples" in hint_of(name)


def test_a_model_is_never_meant_by_data() -> None:
    assert "smollm2" not in hint_of("smollm2-135m-instrukt")


def test_data_sets_of_llama_factory_are_named_beside_the_sample(tmp_path: Path) -> None:
    entry = {"sms-spax": {"file_name": "rows.jsonl", "columns": {"prompt": "prompt", "response": "reply"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entry), encoding="utf-8")
    tiny.tiny_instructions(tmp_path / "rows.jsonl")
    assert open_named("sms-spax", Hints()).layout.kind == "reply"
    assert hint_of("sms-spay") == "did you mean sms-spax?"


def test_a_mistyped_model_names_the_nearest_sample() -> None:
    with pytest.raises(ModelError) as caught:
        resolve("smolm2-135m-instruct")
    assert caught.value.hint == "did you mean smollm2-135m-instruct?"
