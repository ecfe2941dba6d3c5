"""Embeddings, blocks, norm and head are found in every family, adapter or not."""

from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM

import tiny
from weitiao.errors import ModelError
from weitiao.methods import Lora
from weitiao.models.anatomy import blocks, embeddings, final_norm, head, linear_names, parameter_count, plain

LLAMA = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
OPT = ["fc1", "fc2", "k_proj", "out_proj", "q_proj", "v_proj"]
GLM = ["down_proj", "gate_up_proj", "k_proj", "o_proj", "q_proj", "v_proj"]
PHI3 = ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"]
NEOX = ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"]
SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
MLP = {"intermediate_size": 24, "num_key_value_heads": 1}
MORE: dict[str, tuple[dict[str, Any], list[str], str | None]] = {
    "Qwen2Config": ({**SIZES, **MLP}, LLAMA, "model.norm"),
    "Phi3Config": ({**SIZES, **MLP, "pad_token_id": 0}, PHI3, "model.norm"),
    "GPTNeoXConfig": ({**SIZES, "intermediate_size": 24}, NEOX, "gpt_neox.final_layer_norm"),
    "FalconConfig": ({**SIZES, "new_decoder_architecture": False}, NEOX, "transformer.ln_f"),
    "GemmaConfig": ({**SIZES, **MLP, "head_dim": 8}, LLAMA, "model.norm"),
    "Gemma2Config": ({**SIZES, **MLP, "head_dim": 8}, LLAMA, "model.norm"),
    "OlmoConfig": ({**SIZES, **MLP}, LLAMA, None),
    "Olmo2Config": ({**SIZES, **MLP}, LLAMA, "model.norm"),
    "GlmConfig": ({**SIZES, **MLP, "head_dim": 8, "pad_token_id": 0}, GLM, "model.norm"),
    "BloomConfig": ({"vocab_size": 64, "hidden_size": 16, "n_layer": 3, "n_head": 2}, NEOX, "transformer.ln_f"),
    "OPTConfig": ({**SIZES, "ffn_dim": 24, "word_embed_proj_dim": 16}, OPT, "model.decoder.final_layer_norm"),
    "MixtralConfig": ({**SIZES, **MLP, "num_local_experts": 8}, ["k_proj", "o_proj", "q_proj", "v_proj"], "model.norm"),
}


@pytest.mark.parametrize("family", MORE)
def test_every_family_has_its_parts(family: str) -> None:
    settings, names, norm = MORE[family]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(getattr(transformers, family)(**settings))
    assert len(blocks(model)) == 3
    assert linear_names(model) == names
    assert embeddings(model).weight.shape == (64, 16)
    assert head(model).weight.shape == (64, 16)
    assert final_norm(model) is (model.get_submodule(norm) if norm else None)
    assert parameter_count(model) == model.num_parameters()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_adapter_changes_nothing_of_it(family: str) -> None:
    model = AutoModelForCausalLM.from_config(tiny.tiny_config(family))
    parts = blocks(model), embeddings(model), final_norm(model), linear_names(model), parameter_count(model)
    kind = type(head(model))
    tuned = Lora(rank=2).adapt(model)
    assert (blocks(tuned), embeddings(tuned), final_norm(tuned), linear_names(tuned), parameter_count(tuned)) == parts
    assert isinstance(head(tuned), kind)
    assert plain(tuned) is model


def test_the_head_is_never_among_the_linear_layers() -> None:
    model = AutoModelForCausalLM.from_config(tiny.tiny_config("mistral"))
    assert isinstance(head(model), nn.Linear)
    assert "lm_head" not in linear_names(model)


def test_a_model_without_blocks_is_refused() -> None:
    model = AutoModelForCausalLM.from_config(tiny.tiny_config("llama"))
    model.model.layers = nn.ModuleList()
    with pytest.raises(ModelError, match="its blocks cannot be found in a LlamaForCausalLM"):
        blocks(model)
