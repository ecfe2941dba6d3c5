"""One block, forward and backward, written out by hand.

Kept for the way back: the float32 stream before each norm, rotated queries, keys and values, what attention returned,
and the unit's input. Everything else is cheaper to calculate again than to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from weitiao.models.fast.attention import Shape, Turned, attend, attend_backward
from weitiao.models.fast.headwise import Heads, norm_heads, norm_heads_backward
from weitiao.models.fast.layout import Layout
from weitiao.models.fast.norm import LayerNorm, Norm, Normed
from weitiao.models.fast.parts import Parts
from weitiao.models.fast.product import Product
from weitiao.models.fast.rotation import Angles


@dataclass(slots=True)
class Kept:
    """What a block keeps for the way back."""

    before_attention: Normed
    low_queries: Tensor | None
    heads: Heads | None
    turned: list[Turned]
    mixed: Tensor  # [asked or n, heads × depth + rank]
    after_attention: Normed | None
    before_unit: Normed
    low_gates: Tensor | None
    both: Tensor  # [asked or n, 2 × hidden], or hidden where the unit has no gate
    low_down: Tensor | None
    after_unit: Normed | None
    only: Tensor | None  # the places that went on past attention; None for all


class Block:
    """A block's products and norms."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._queries, self._output = Product(parts.queries), Product([parts.output])
        self._gates, self._down = Product(parts.gates), Product([parts.down])
        self._shape = Shape(
            parts.key_heads, parts.group, parts.depth, parts.scale, parts.causal, parts.interleaved, parts.window
        )
        self.layer_type = parts.layer_type

    @property
    def learns(self) -> bool:
        """Whether anything in it does."""
        return any(part.learns for part in (*self._products, *self._norms))

    @property
    def kept_bytes(self) -> int:
        """What :class:`Kept` holds, a token."""
        ranks = sum(product.rank for product in self._products)
        narrow = self._queries.outputs + self._output.inputs + self._gates.outputs + ranks
        norms = 2 + (self._parts.after_attention is not None) + (self._parts.after_unit is not None)
        heads = self._queries.outputs if self._parts.query_norm else 0
        return narrow * self._parts.before_unit.weight.itemsize + 4 * (norms * self._queries.inputs + heads)

    def refresh(self) -> None:
        """Take the adapter's weights as they are now."""
        for product in self._products:
            product.refresh()

    def forward(
        self, stream: Tensor, addend: Tensor | None, angles: Angles, layout: Layout, only: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Kept]:
        """The stream [n, width] and what the block adds to it, not yet added; past attention only at ``only``."""
        parts = self._parts
        room = self._queries.room(len(stream))
        stream, first = parts.before_attention.forward(stream, addend, room)
        joined = self._queries.forward(room)
        low_queries = self._queries.low(room)
        heads = norm_heads(joined, parts) if parts.query_norm else None
        mixed = self._output.room(len(stream))
        turned = attend(joined, angles, layout, self._shape, mixed)
        if only is not None:
            mixed, stream = mixed[only], stream[only]
        added, after_attention = self._after(parts.after_attention, self._output.forward(mixed))
        room = self._gates.room(len(stream))
        stream, second = parts.before_unit.forward(stream, added, room)
        both = self._gates.forward(room)
        low_gates = self._gates.low(room)
        room = self._down.room(len(stream))
        parts.unit.forward(both, room)
        added, after_unit = self._after(parts.after_unit, self._down.forward(room))
        kept = Kept(
            first, low_queries, heads, turned, mixed, after_attention,
            second, low_gates, both, self._down.low(room), after_unit, only,
        )  # fmt: skip
        return stream, added, kept

    def backward(
        self, gradient: Tensor, narrow: Tensor, kept: Kept, angles: Angles, layout: Layout, passes_on: bool
    ) -> tuple[Tensor, Tensor]:
        """From the gradient of the stream behind the block, and its copy in the weights' type, to that before it.

        ``gradient`` is changed in place. Where nothing below learns (``passes_on`` False) what comes back is worthless.
        """
        parts = self._parts
        gradient, narrow = self._unit_backward(gradient, narrow, kept)
        back = self._after_backward(parts.after_attention, narrow, kept.after_attention)
        mixed = self._output.backward(kept.mixed, back, passes_on=True)
        assert mixed is not None
        if kept.only is not None:
            n = len(kept.before_attention.stream)
            mixed, gradient = _scattered(mixed, kept.only, n), _scattered(gradient, kept.only, n)
        joined = attend_backward(mixed, kept.turned, angles, layout, self._shape)
        if kept.heads is not None:
            norm_heads_backward(joined, kept.heads, parts)
        room = self._again(self._queries, parts.before_attention, kept.before_attention, kept.low_queries)
        back_normed = self._queries.backward(room, joined, passes_on or parts.before_attention.learns)
        if back_normed is None:
            return gradient, narrow
        return parts.before_attention.backward(back_normed, kept.before_attention, gradient)

    def _unit_backward(self, gradient: Tensor, narrow: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        parts = self._parts
        back = self._after_backward(parts.after_unit, narrow, kept.after_unit)
        room = self._down.room(len(gradient))
        # What the unit returned is not kept but comes with its gradient, and the weights' gradients need it.
        unit = self._down.input_gradient(back)
        both = parts.unit.backward(kept.both, unit.inputs, room)
        if kept.low_down is not None:
            room[:, self._down.inputs :] = kept.low_down
        self._down.learn(room, back, unit)
        room = self._again(self._gates, parts.before_unit, kept.before_unit, kept.low_gates)
        normed = self._gates.backward(room, both, passes_on=True)
        assert normed is not None
        return parts.before_unit.backward(normed, kept.before_unit, gradient)

    def _again(self, product: Product, norm: Norm | LayerNorm, kept: Normed, low: Tensor | None) -> Tensor:
        """A product's input once more."""
        room = product.room(len(kept.stream))
        if product.learns:
            norm.again(kept, room)
            if low is not None:
                room[:, product.inputs :] = low
        return room

    def _after(self, norm: Norm | None, added: Tensor) -> tuple[Tensor, Normed | None]:
        if norm is None:
            return added, None
        out = torch.empty_like(added)
        return out, norm.forward(added.float(), None, out)[1]

    def _after_backward(self, norm: Norm | None, gradient: Tensor, kept: Normed | None) -> Tensor:
        if norm is None or kept is None:
            return gradient
        return norm.backward(gradient, kept, torch.zeros_like(kept.stream))[1]

    @property
    def _products(self) -> tuple[Product, ...]:
        return (self._queries, self._output, self._gates, self._down)

    @property
    def _norms(self) -> list[Norm | LayerNorm]:
        parts = self._parts
        every = (
            parts.before_attention, parts.before_unit, parts.after_attention, parts.after_unit,
            parts.query_norm, parts.key_norm,
        )  # fmt: skip
        return [norm for norm in every if norm is not None]


def _scattered(rows: Tensor, places: Tensor, n: int) -> Tensor:
    whole = rows.new_zeros(n, rows.shape[1])
    whole[places] = rows
    return whole
