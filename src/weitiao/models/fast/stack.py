"""A whole model on the fast path: tokens to the loss at the asked places, and back.

Beside transformers' modules, over the same weights. Gradients are made by hand, block after block, down to the lowest
one that learns; autograd records nothing. The last block goes past attention only where a target is set.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weitiao.models.fast.block import Block, Kept
from weitiao.models.fast.head import Head
from weitiao.models.fast.layout import Layout
from weitiao.models.fast.norm import Normed
from weitiao.models.fast.parts import Skeleton
from weitiao.models.fast.rotation import Angles, angles_of


class Stack:
    """The fast path of a model whose parts are these. Moves its weights."""

    def __init__(self, parts: Skeleton) -> None:
        self._parts = parts
        self._blocks = [Block(parts) for parts in self._parts.blocks]
        self.head = Head(self._parts.head)

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it."""
        return self._parts.causal

    @property
    def kept_bytes(self) -> int:
        """For the way back, a token."""
        return sum(block.kept_bytes for block in self._blocks[self._lowest() :])

    @property
    def kept_bytes_of_block(self) -> int:
        """Of one block, a token."""
        return self._blocks[0].kept_bytes

    @property
    def border(self) -> int:
        """How many blocks can never change; never the last one, calculated only where a target is."""
        return min(self._lowest(), len(self._blocks) - 1)

    def below(self, layout: Layout) -> Tensor:
        """The stream at the border, float32 [n, width]."""
        with torch.no_grad():
            stream, addend = self._embed(layout).float(), None
            angles = self._angles(layout)
            for block in self._blocks[: self.border]:
                block.refresh()
                stream, addend, _ = block.forward(stream, addend, angles[block.layer_type], layout)
            return stream if addend is None else stream + addend

    def learn(self, layout: Layout, below: Tensor | None = None) -> float:
        """The summed cross-entropy in nats over the asked places; gradients are added to the parameters' ``grad``.

        What :meth:`below` returned is not calculated again.
        """
        asked, targets = torch.from_numpy(layout.asked), torch.from_numpy(layout.targets)
        lowest = self._lowest()
        with torch.no_grad():
            embedded = self._embed(layout) if below is None else below
            first = 0 if below is None else self.border
            hidden, final, kept, angles = self._up(embedded.detach().float(), layout, asked, first, keep_from=lowest)
            loss, back = self.head.learn(hidden, targets)
            gradient, narrow = self._parts.norm.backward(back, final, torch.zeros_like(final.stream))
            for number in range(len(self._blocks) - 1, lowest - 1, -1):
                block = self._blocks[number]
                passes_on = number > lowest or embedded.requires_grad
                given = (kept.pop(), angles[block.layer_type], layout, passes_on)
                gradient, narrow = block.backward(gradient, narrow, *given)
                del given  # before the next block needs room
        if embedded.requires_grad:
            torch.autograd.backward(embedded, gradient.to(embedded.dtype))
        return loss

    def hidden(self, layout: Layout, below: Tensor | None = None) -> Tensor:
        """What the head reads at the asked places: [asked, width]. ``below`` as in :meth:`learn`."""
        with torch.inference_mode():
            first = 0 if below is None else self.border
            stream = self._embed(layout).float() if below is None else below
            return self._up(stream, layout, torch.from_numpy(layout.asked), first, keep_from=len(self._blocks))[0]

    def _lowest(self) -> int:
        """The lowest block that learns; all of them where the embeddings do."""
        if self._parts.embed.learn:
            return 0
        learning = [number for number, block in enumerate(self._blocks) if block.learns]
        return learning[0] if learning else len(self._blocks)

    def _embed(self, layout: Layout) -> Tensor:
        with torch.set_grad_enabled(self._parts.embed.learn):
            return self._parts.embed(torch.from_numpy(layout.tokens), torch.from_numpy(layout.positions))

    def _up(
        self, stream: Tensor, layout: Layout, asked: Tensor, first: int, keep_from: int
    ) -> tuple[Tensor, Normed, list[Kept], dict[str | None, Angles]]:
        angles = self._angles(layout)
        addend: Tensor | None = None
        kept: list[Kept] = []
        for number, block in enumerate(self._blocks[first:], first):
            block.refresh()
            only = asked if number == len(self._blocks) - 1 else None
            stream, addend, saved = block.forward(stream, addend, angles[block.layer_type], layout, only)
            if number >= keep_from:
                kept.append(saved)
        hidden = self._parts.norm.weight.new_empty(stream.shape)
        _, final = self._parts.norm.forward(stream, addend, hidden)
        return hidden, final, kept, angles

    def _angles(self, layout: Layout) -> dict[str | None, Angles]:
        positions = torch.from_numpy(layout.positions)
        kinds = {block.layer_type for block in self._blocks}
        return {kind: angles_of(self._parts.rotary, positions, kind) for kind in kinds}
