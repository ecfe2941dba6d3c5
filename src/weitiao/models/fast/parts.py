"""What the fast path knows of a model: the parts of its blocks and what stands around them.

Separate because the patterns fill these in, each in its own way, and one stack calculates from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from weitiao.models.anatomy import ADAPTER, START
from weitiao.models.fast.norm import LayerNorm, Norm
from weitiao.models.fast.unit import Gated, Gelu


class UnlikeError(Exception):
    """The model does not have the pattern; the message says where it differs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One block's parts."""

    queries: Sequence[nn.Module]  # one layer, or those of queries, keys and values
    output: nn.Module
    gates: Sequence[nn.Module]  # what the unit reads is theirs
    down: nn.Module
    unit: Gated | Gelu
    before_attention: Norm | LayerNorm
    before_unit: Norm | LayerNorm
    key_heads: int
    group: int  # query heads of a key head
    depth: int
    scale: float
    causal: bool = True
    after_attention: Norm | None = None
    after_unit: Norm | None = None
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    interleaved: bool = False
    layer_type: str | None = None  # what the rotation asks for
    window: int = 0  # keys that a query sees; 0 for all before it


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Tokens, and where a model has tables for them positions and types, to vectors."""

    tokens: nn.Embedding
    positions: nn.Embedding | None = None
    types: nn.Embedding | None = None
    first_position: int = 0

    @property
    def learn(self) -> bool:
        """Whether any table does."""
        tables = (self.tokens, self.positions, self.types)
        return any(table.weight.requires_grad for table in tables if table is not None)

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """[n, width]; every token is of the first type."""
        embedded: Tensor = self.tokens(tokens)
        if self.types is not None:
            embedded = embedded.float() + self.types.weight[0]
        if self.positions is not None:
            embedded = embedded.float() + self.positions(positions + self.first_position)
        return embedded


@dataclass(frozen=True, slots=True)
class HeadParts:
    """A linear layer, and what stands between it and the blocks: the model's own modules, for few places."""

    output: nn.Linear
    before: Callable[[Tensor], Tensor] | None = None  # [asked, width] to [asked, width]
    several: bool = False  # each logit answers yes or no


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model's parts."""

    embed: Embeddings
    rotary: nn.Module | None
    blocks: Sequence[Parts]
    norm: Norm | LayerNorm  # of what the last block leaves
    head: HeadParts

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it."""
        return self.blocks[0].causal


def simple(layer: nn.Module) -> nn.Module:
    """The layer, where it is linear, alone or with plain LoRA. Raises UnlikeError."""
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
