"""Which blocks have the Llama pattern, and where each family keeps its parts.

Separate because this is all that the fast path knows of families. What a family adds to the pattern is a trait here and
a line in :mod:`weitiao.models.fast.block`; a family that is not listed, or a model that differs, uses the exact path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peft.tuners.lora import Linear as LoraLinear
from torch import nn

from weitiao.models.anatomy import ADAPTER, START, Model, blocks, embeddings, final_norm, head, plain

_ACTIVATIONS = {"silu": False, "gelu_pytorch_tanh": True}  # whether it is the tanh form of GELU


class UnlikeError(Exception):
    """The model does not have the pattern; the message says where it differs."""


@dataclass(frozen=True, slots=True)
class Traits:
    """How a family differs from Llama."""

    queries: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    gates: tuple[str, ...] = ("gate_proj", "up_proj")
    before_unit: str = "post_attention_layernorm"  # the norm between attention and the gated unit
    after: tuple[str, str] | None = None  # norms of what attention and unit add to the stream
    head_norms: bool = False  # queries and keys are normed in each head
    offset: float = 0.0  # a norm's weight counts as weight + offset
    interleaved: bool = False  # rotation pairs neighbours
    by_layer: bool = False  # rotation differs between layer types


FAMILIES = {
    "LlamaDecoderLayer": Traits(),
    "MistralDecoderLayer": Traits(),
    "Qwen2DecoderLayer": Traits(),
    "Qwen3DecoderLayer": Traits(head_norms=True),
    "GemmaDecoderLayer": Traits(offset=1.0),
    "Gemma3DecoderLayer": Traits(
        before_unit="pre_feedforward_layernorm",
        after=("post_attention_layernorm", "post_feedforward_layernorm"),
        head_norms=True,
        offset=1.0,
        by_layer=True,
    ),
    "Phi3DecoderLayer": Traits(queries=("qkv_proj",), gates=("gate_up_proj",)),
    "Glm4DecoderLayer": Traits(
        gates=("gate_up_proj",),
        after=("post_self_attn_layernorm", "post_mlp_layernorm"),
        interleaved=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Norm:
    """A root-mean-square norm."""

    weight: nn.Parameter
    offset: float
    epsilon: float


@dataclass(frozen=True, slots=True)
class Parts:
    """One block's parts."""

    queries: Sequence[nn.Module]  # one layer, or those of queries, keys and values
    output: nn.Module
    gates: Sequence[nn.Module]
    down: nn.Module
    before_attention: Norm
    before_unit: Norm
    after_attention: Norm | None
    after_unit: Norm | None
    query_norm: Norm | None
    key_norm: Norm | None
    key_heads: int
    group: int  # query heads of a key head
    depth: int
    scale: float
    tanh_gelu: bool
    interleaved: bool
    layer_type: str | None  # what the rotation asks for
    window: int  # keys that a query sees; 0 for all before it


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model's parts."""

    embed: nn.Embedding
    rotary: nn.Module
    blocks: Sequence[Parts]
    norm: Norm
    head: nn.Linear


def skeleton(model: Model) -> Skeleton:
    """The parts of ``model``. Raises UnlikeError."""
    inner = plain(model)
    layers = blocks(model)
    kinds = {type(layer).__name__ for layer in layers}
    if len(kinds) != 1 or not kinds <= FAMILIES.keys():
        raise UnlikeError(", ".join(sorted(kinds)))
    traits = FAMILIES[kinds.pop()]
    config: Any = inner.config
    found, base = final_norm(model), inner.base_model
    output = head(model)
    if type(output) is not nn.Linear or output.bias is not None:
        raise UnlikeError("head")
    if config.to_dict().get("final_logit_softcapping") or config.to_dict().get("attn_logit_softcapping"):
        raise UnlikeError("softcapping")
    if found is None:
        raise UnlikeError("norm")
    return Skeleton(
        embeddings(model),
        base.get_submodule("rotary_emb"),
        [_parts(layer, traits, config) for layer in layers],
        _norm(found, traits),
        output,
    )


def _parts(layer: Any, traits: Traits, config: Any) -> Parts:
    attention, unit = layer.self_attn, layer.mlp
    stated = config.to_dict()
    activation = stated.get("hidden_activation") or stated.get("hidden_act")
    if activation not in _ACTIVATIONS:
        raise UnlikeError(str(activation))
    depth = int(attention.head_dim)
    key_heads = int(config.num_key_value_heads)
    return Parts(
        queries=[_simple(getattr(attention, name)) for name in traits.queries],
        output=_simple(attention.o_proj),
        gates=[_simple(getattr(unit, name)) for name in traits.gates],
        down=_simple(unit.down_proj),
        before_attention=_norm(layer.input_layernorm, traits),
        before_unit=_norm(getattr(layer, traits.before_unit), traits),
        after_attention=_norm(getattr(layer, traits.after[0]), traits) if traits.after else None,
        after_unit=_norm(getattr(layer, traits.after[1]), traits) if traits.after else None,
        query_norm=_norm(attention.q_norm, traits) if traits.head_norms else None,
        key_norm=_norm(attention.k_norm, traits) if traits.head_norms else None,
        key_heads=key_heads,
        group=int(config.num_attention_heads) // key_heads,
        depth=depth,
        scale=float(attention.scaling),
        tanh_gelu=_ACTIVATIONS[activation],
        interleaved=traits.interleaved,
        layer_type=config.layer_types[attention.layer_idx] if traits.by_layer else None,
        window=int(attention.__dict__.get("sliding_window", stated.get("sliding_window")) or 0),
    )


def _simple(layer: nn.Module) -> nn.Module:
    """The layer, where it is linear, alone or with plain LoRA."""
    if type(layer) is nn.Linear:
        return layer
    if isinstance(layer, LoraLinear) and type(layer.base_layer) is nn.Linear:
        known = layer.active_adapters in ([ADAPTER], [ADAPTER, START])
        if known and not layer.merged and all(_is_plain(layer, name) for name in layer.active_adapters):
            return layer
    raise UnlikeError(_kind_of(layer))


def _kind_of(layer: nn.Module) -> str:
    """What a layer is called: by its class, or by the method for which PEFT has made it."""
    module = type(layer).__module__
    return module.split(".")[2] if module.startswith("peft.tuners.") else type(layer).__name__


def _is_plain(layer: LoraLinear, name: str) -> bool:
    if layer.use_dora[name]:
        raise UnlikeError("DoRA")
    return isinstance(layer.lora_dropout[name], nn.Identity) and not layer.lora_bias[name]


def _norm(module: Any, traits: Traits) -> Norm:
    if list(module._parameters) != ["weight"]:
        raise UnlikeError(type(module).__name__)
    epsilon = module.__dict__.get("variance_epsilon", module.__dict__.get("eps"))
    return Norm(module.weight, traits.offset, float(epsilon))
