"""What the fast path knows of a model: the parts of its blocks and what stands around them.

Separate because the patterns fill these in, each in its own way, and one stack calculates from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from weitiao.models.fast.norm import LayerNorm, Norm
from weitiao.models.fast.unit import Gated, Gelu

ADAPTER = "default"  # PEFT's name of a model's only adapter


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


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model's parts."""

    embed: Embeddings
    rotary: nn.Module | None
    blocks: Sequence[Parts]
    norm: Norm | LayerNorm  # of what the last block leaves
    head: HeadParts


def simple(layer: nn.Module) -> nn.Module:
    """The layer, where it is linear, alone or with plain LoRA. Raises UnlikeError."""
    if type(layer) is nn.Linear:
        return layer
    if isinstance(layer, LoraLinear) and type(layer.base_layer) is nn.Linear:
        plain_lora = layer.active_adapters == [ADAPTER] and not layer.merged and not layer.use_dora[ADAPTER]
        if plain_lora and isinstance(layer.lora_dropout[ADAPTER], nn.Identity) and not layer.lora_bias[ADAPTER]:
            return layer
    raise UnlikeError(type(layer).__name__)
