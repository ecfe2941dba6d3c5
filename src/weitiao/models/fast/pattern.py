"""Which blocks have the Llama pattern, and where each family keeps its parts.

Separate because this, with :mod:`weitiao.models.fast.encoders`, is all that the fast path knows of families. What one
adds to the pattern is a trait here and a line in :mod:`weitiao.models.fast.block`; a family that is not listed, or a
model that differs, uses the exact path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from weitiao.models.anatomy import Model, blocks, embeddings, final_norm, head, plain
from weitiao.models.fast import encoders
from weitiao.models.fast.norm import Norm
from weitiao.models.fast.parts import Embeddings, HeadParts, Parts, Skeleton, UnlikeError, simple
from weitiao.models.fast.unit import Gated
from weitiao.models.heads import use_of

_UNITS = {"silu": Gated(tanh_gelu=False), "gelu_pytorch_tanh": Gated(tanh_gelu=True)}


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


def skeleton(model: Model) -> Skeleton:
    """The parts of ``model``. Raises UnlikeError."""
    kinds = {type(layer).__name__ for layer in blocks(model)}
    if len(kinds) != 1 or not kinds <= FAMILIES.keys() | encoders.FAMILIES.keys():
        raise UnlikeError(", ".join(sorted(kinds)))
    kind = kinds.pop()
    found = _decoder(model, FAMILIES[kind]) if kind in FAMILIES else encoders.encoder_skeleton(model)
    return replace(found, head=replace(found.head, several=use_of(model).several))


def _decoder(model: Model, traits: Traits) -> Skeleton:
    inner = plain(model)
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
        Embeddings(embeddings(model)),
        base.get_submodule("rotary_emb"),
        [_parts(layer, traits, config) for layer in blocks(model)],
        _norm(found, traits),
        HeadParts(output),
    )


def _parts(layer: Any, traits: Traits, config: Any) -> Parts:
    attention, unit = layer.self_attn, layer.mlp
    stated = config.to_dict()
    activation = stated.get("hidden_activation") or stated.get("hidden_act")
    if activation not in _UNITS:
        raise UnlikeError(str(activation))
    depth = int(attention.head_dim)
    key_heads = int(config.num_key_value_heads)
    return Parts(
        queries=[simple(getattr(attention, name)) for name in traits.queries],
        output=simple(attention.o_proj),
        gates=[simple(getattr(unit, name)) for name in traits.gates],
        down=simple(unit.down_proj),
        unit=_UNITS[activation],
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
        interleaved=traits.interleaved,
        layer_type=config.layer_types[attention.layer_idx] if traits.by_layer else None,
        window=int(attention.__dict__.get("sliding_window", stated.get("sliding_window")) or 0),
    )


def _norm(module: Any, traits: Traits) -> Norm:
    if list(module._parameters) != ["weight"]:
        raise UnlikeError(type(module).__name__)
    epsilon = module.__dict__.get("variance_epsilon", module.__dict__.get("eps"))
    return Norm(module.weight, traits.offset, float(epsilon))
