"""Prompt learning: virtual tokens before every text learn, and nothing else.

Prefix tuning (Li and Liang, 2021, arXiv:2101.00190; P-tuning v2, Liu et al., 2022, arXiv:2110.07602) learns what every
block's attention reads there, prompt tuning (Lester et al., 2021, arXiv:2104.08691) only what enters the lowest block,
and P-tuning (Liu et al., 2021, arXiv:2103.10385) the same through a small network, of which only what it makes is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from peft import (
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    PromptTuningInit,
    TaskType,
    get_peft_model,
)
from torch import nn
from transformers import DynamicCache, PreTrainedModel

from weitiao.errors import SettingsError
from weitiao.models.anatomy import ADAPTER, embeddings
from weitiao.models.chatter import silenced
from weitiao.models.virtual import Pairs, pairs_of, virtual_tokens
from weitiao.words import t

DEFAULT_TOKENS = 16


@dataclass(frozen=True)
class VirtualTokens:
    """So many ``tokens`` (None is 16) before every text; a model that already has some keeps as many.

    Prefix and prompt begin with what the model makes of words drawn from its vocabulary: random numbers in their place
    would be far from anything that it has read.
    """

    kind: Literal["prefix", "prompt", "p_tuning"]
    tokens: int | None = None

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PeftModel:
        """The model with its virtual tokens, drawn from ``seed`` alone. Raises SettingsError where it can have none."""
        count = self.tokens or DEFAULT_TOKENS
        with silenced(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.kind == "prefix":
                return _with_prefix(model, count)
            shared: dict[str, Any] = {"task_type": TaskType.CAUSAL_LM, "num_virtual_tokens": count}
            config = (
                PromptTuningConfig(**shared, prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB)
                if self.kind == "prompt"
                else PromptEncoderConfig(**shared, encoder_hidden_size=embeddings(model).embedding_dim)
            )
            return cast(PeftModel, get_peft_model(model, config, adapter_name=ADAPTER))

    def resume(self, model: PeftModel) -> PeftModel:
        """The model whose own virtual tokens go on learning, without P-tuning's network: that was not kept."""
        own = virtual_tokens(model)
        if self.tokens not in (None, own):
            raise SettingsError(
                t("virtual_tokens is {asked}, and the model has {own}", asked=self.tokens, own=own),
                t("leave virtual_tokens out, or start from the base model"),
            )
        _encoder(model).requires_grad_(True)
        return model


def _with_prefix(model: PreTrainedModel, count: int) -> PeftModel:
    pairs = _of_drawn_words(model, count)
    shapes = {tuple(tensor.shape) for pair in pairs for tensor in pair}
    if len(shapes) != 1:
        raise SettingsError(
            t("method prefix needs layers whose keys and values are alike, and this model's are not"),
            t("use method prompt or lora"),
        )
    _, heads, _, depth = shapes.pop()
    config = PrefixTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=count,
        num_layers=len(pairs),
        num_attention_heads=heads,
        token_dim=heads * depth,
    )
    adapted = cast(PeftModel, get_peft_model(model, config, adapter_name=ADAPTER))
    with torch.no_grad():
        stacked = torch.stack([torch.cat(pair) for pair in pairs])  # layers, 2, heads, tokens, depth
        _encoder(adapted).embedding.weight.copy_(stacked.permute(3, 0, 1, 2, 4).flatten(1))  # type: ignore[union-attr, operator]
    return adapted


def _of_drawn_words(model: PreTrainedModel, count: int) -> Pairs:
    """The keys and values of ``count`` tokens of the vocabulary."""
    words = torch.randint(0, embeddings(model).num_embeddings, (1, count), device=embeddings(model).weight.device)
    cache = DynamicCache()
    with torch.no_grad():
        model.eval().base_model(input_ids=words, past_key_values=cache, use_cache=True)
    return pairs_of(cache)


def _encoder(model: PeftModel) -> nn.Module:
    return cast(nn.Module, cast(nn.ModuleDict, model.prompt_encoder)[ADAPTER])
