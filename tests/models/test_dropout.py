"""What a configuration drops out is found by name, and left out of a loaded model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from conftest import TinyFolders
from weitiao.models.dropout import dropout_settings, without_dropout
from weitiao.models.load import load
from weitiao.models.source import resolve
from weitiao.training.prefix import may_share


@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(classifier_dropout=0.2),
        transformers.DistilBertConfig(),
        transformers.GPT2Config(),
        transformers.OPTConfig(layerdrop=0.1),
        transformers.LlamaConfig(attention_dropout=0.1),
        transformers.Gemma3Config(text_config={"attention_dropout": 0.1}),
    ],
    ids=lambda config: config.model_type,
)
def test_nothing_is_dropped_out_any_more(config: transformers.PretrainedConfig) -> None:
    assert dropout_settings(config.get_text_config())
    without_dropout(config)
    assert not dropout_settings(config) and not dropout_settings(config.get_text_config())


def test_a_loaded_model_learns_the_same_twice(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folders["gpt2"], folder)
    stated = json.loads((folder / "config.json").read_text())
    dropping = {"attn_pdrop": 0.5, "resid_pdrop": 0.5, "embd_pdrop": 0.5}
    (folder / "config.json").write_text(json.dumps({**stated, **dropping}))
    model = load(resolve(str(folder)), torch.float32).model.train()
    tokens = torch.arange(3, 30)[None]
    assert torch.equal(model(input_ids=tokens).logits, model(input_ids=tokens).logits)
    assert may_share(model)
