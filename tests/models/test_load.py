"""Loading: the right numbers, nothing else touched, nothing said."""

import hashlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from transformers import AutoModelForCausalLM

import tiny
from weitiao.errors import ModelError
from weitiao.methods import Full, Lora, prepare, save_result, trained
from weitiao.models.load import load, load_tokenizer
from weitiao.models.source import resolve

IDS = torch.arange(3, 43).reshape(2, 20)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_logits_are_those_of_transformers(family: str, tiny_folders: Any) -> None:
    loaded = load(resolve(str(tiny_folders[family])), torch.float32)
    reference = AutoModelForCausalLM.from_pretrained(tiny_folders[family], attn_implementation="eager").eval()
    assert not loaded.model.training
    with torch.no_grad():
        assert torch.equal(loaded.model(IDS).logits, reference(IDS).logits)
    assert loaded.tokenizer.is_fast
    assert loaded.tokenizer.eos_token == "<|im_end|>"


def test_weights_come_in_the_type_that_was_asked_for(tiny_llama: Path) -> None:
    model = load(resolve(str(tiny_llama)), torch.bfloat16).model
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


def test_an_adapter_is_float32_on_a_bfloat16_model(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = load(resolve(str(tiny_llama)), torch.float32)
    save_result(prepare(loaded, Lora(rank=2)), loaded.tokenizer, tmp_path / "a", {}, tiny_llama, torch.float32)
    for trainable in (False, True):
        model = load(resolve(str(tmp_path / "a")), torch.bfloat16, trainable_adapter=trainable).model
        types = {("lora_" in name, weight.dtype) for name, weight in model.named_parameters()}
        assert types == {(True, torch.float32), (False, torch.bfloat16)}
        assert bool(trained(model)) == trainable
        assert all("lora_" in name for name in trained(model))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_loading_draws_nothing_and_fetches_nothing_and_says_nothing(
    family: str, tiny_folders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    base = tiny_folders[family]

    wanted: list[object] = []

    def refuse(*arguments: object) -> None:
        wanted.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    capfd.readouterr()
    state = torch.random.get_rng_state()
    loaded = load(resolve(str(base)), torch.float32)
    model = prepare(loaded, Lora(rank=2), seed=3)
    save_result(model, loaded.tokenizer, tmp_path / "a", {}, base, torch.float32)
    load(resolve(str(tmp_path / "a")), torch.float32)
    assert wanted == []
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")


def test_training_never_writes_into_the_file_that_was_loaded(tiny_llama: Path) -> None:
    file = tiny_llama / "model.safetensors"
    before = hashlib.sha256(file.read_bytes()).digest()
    model = prepare(load(resolve(str(tiny_llama)), torch.float32), Full())
    with torch.no_grad():
        for weight in trained(model).values():
            weight.add_(1)
    assert hashlib.sha256(file.read_bytes()).digest() == before


def test_a_control_token_over_the_vocabulary_that_no_text_becomes_is_fine(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    value["added_tokens"].append(
        {**value["added_tokens"][0], "id": tiny.VOCABULARY, "content": "<image_soft_token>", "special": True}
    )
    path.write_text(json.dumps(value))
    load(resolve(str(folder)), torch.float32)
    template = folder / "chat_template.jinja"
    template.write_text("<image_soft_token>" + template.read_text())
    with pytest.raises(ModelError, match="gives <image_soft_token> the id 480"):
        load(resolve(str(folder)), torch.float32)


def test_a_tokenizer_loads_alone(tiny_llama: Path) -> None:
    assert load_tokenizer(tiny_llama).decode([5, 6, 7])
