"""Virtual tokens: what prompt learning puts before every text, as keys and values that any row can read.

Prefix tuning learns the keys and values themselves. Prompt tuning and P-tuning learn vectors in the place of token
embeddings; they stand first and see nothing but themselves, so what the model makes of them is the same before every
text. All three therefore are one cache, and whoever reads rows behind a cache can read them behind virtual tokens: in
batches, padded, at generation. PEFT's own ``generate`` is not used.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache

from weitiao.models.anatomy import ADAPTER, Model, plain

PREFIX, PROMPT, P_TUNING = "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"  # as PEFT calls them

Pairs = list[tuple[Tensor, Tensor]]
"""Keys and values [rows, heads, tokens, depth] of each layer, bottom first."""


def virtual_tokens(model: Model) -> int:
    """How many stand before every text; 0 for a model without."""
    config = _config(model)
    return int(config.num_virtual_tokens) if config else 0


def virtual_pairs(model: Model) -> Pairs:
    """Their keys and values, for one row; nothing for a model without. What learns is reached by their gradients."""
    config = _config(model)
    if config is None:
        return []
    vectors = _vectors(model, config)
    if config.peft_type == PREFIX:
        n, layers, heads = len(vectors), config.num_layers, config.num_attention_heads
        parts = vectors.view(n, layers, 2, heads, -1).permute(1, 2, 3, 0, 4)
        return [(keys[None], values[None]) for keys, values in parts]
    cache = DynamicCache()  # without a configuration: every layer keeps all, masks alone make windows
    plain(model).base_model(inputs_embeds=vectors[None], past_key_values=cache, use_cache=True)
    return pairs_of(cache)


def pairs_of(cache: DynamicCache) -> Pairs:
    """What ``cache`` holds."""
    return [(layer.keys, layer.values) for layer in cache.layers]  # type: ignore[union-attr, misc]


def cache_of(pairs: Pairs, rows: int) -> DynamicCache:
    """A cache for a batch of ``rows``, to be written into; nothing is copied before that."""
    return DynamicCache([(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values in pairs])


def _config(model: Model) -> Any:
    """PEFT's configuration of the virtual tokens, where there are any."""
    if not isinstance(model, PeftModel):
        return None
    config = model.peft_config[ADAPTER]
    return config if config.is_prompt_learning else None


def _vectors(model: Any, config: Any) -> Tensor:
    """What is learned, [tokens, dimensions]: directly, or by the encoder that P-tuning trains and does not save."""
    encoder = model.prompt_encoder[ADAPTER]
    if config.inference_mode:
        found: Tensor = encoder.embedding.weight
        return found
    numbers = torch.arange(config.num_virtual_tokens, device=encoder.embedding.weight.device)
    made: Tensor = encoder(numbers[None])[0]
    return made
