"""A whole model of the Llama pattern on the fast path: tokens to the loss at the asked places, and back.

Beside transformers' modules, over the same weights. Gradients are made by hand, block after block, down to the lowest
one that learns; autograd records nothing. The last block goes past attention only where a target is set.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weitiao.models.anatomy import Model
from weitiao.models.fast import elementwise
from weitiao.models.fast.block import Block, Kept, Normed, norm_backward, norm_forward
from weitiao.models.fast.layout import Layout
from weitiao.models.fast.pattern import skeleton
from weitiao.models.fast.product import add_gradient
from weitiao.models.fast.rotation import Angles
from weitiao.models.head_parts import head_parts
from weitiao.models.heads import two_way, use_of


class Stack:
    """The fast path of a model. Raises UnlikeError for one without the pattern; moves the weights of others."""

    def __init__(self, model: Model) -> None:
        self._parts = skeleton(model)
        self._several = use_of(model).several
        self._blocks = [Block(parts) for parts in self._parts.blocks]

    @property
    def kept_bytes(self) -> int:
        """For the way back, a token."""
        return sum(block.kept_bytes for block in self._blocks[self._lowest() :])

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
            loss, back = self._head(hidden, targets)
            gradient = torch.zeros_like(final.stream)
            narrow = norm_backward(self._parts.norm, back, final, gradient)
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
        if self._parts.embed.weight.requires_grad:
            return 0
        learning = [number for number, block in enumerate(self._blocks) if block.learns]
        return learning[0] if learning else len(self._blocks)

    def _embed(self, layout: Layout) -> Tensor:
        tokens = torch.from_numpy(layout.tokens)
        with torch.set_grad_enabled(self._parts.embed.weight.requires_grad):
            embedded: Tensor = self._parts.embed(tokens)
        return embedded

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
        _, final = norm_forward(self._parts.norm, stream, addend, hidden)
        return hidden, final, kept, angles

    def _angles(self, layout: Layout) -> dict[str | None, Angles]:
        positions = torch.from_numpy(layout.positions)[None]
        like = torch.empty(0, dtype=torch.float32)
        found = {}
        for kind in {block.layer_type for block in self._blocks}:
            given = (like, positions) if kind is None else (like, positions, kind)
            cosine, sine = self._parts.rotary(*given)
            half = cosine.shape[-1] // 2
            found[kind] = Angles(cosine[0, :, :half].contiguous(), sine[0, :, :half].contiguous())
        return found

    def _head(self, hidden: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        """The summed loss, and the gradient of ``hidden``; logits exist for a chunk at a time, and become gradients."""
        weight = self._parts.head.weight
        back = torch.empty_like(hidden)
        loss = 0.0
        for part in head_parts(len(hidden), weight.shape[0]):
            logits, wanted = nn.functional.linear(hidden[part], weight), targets[part]
            if self._several:
                pairs, wanted = two_way(logits, wanted)
                loss += float(elementwise.cross_entropy(pairs, wanted).sum(dtype=torch.float64))
                logits = pairs[:, 1].reshape(logits.shape)
            else:
                loss += float(elementwise.cross_entropy(logits, wanted).sum(dtype=torch.float64))
            torch.mm(logits, weight, out=back[part])
            if weight.requires_grad:
                add_gradient(weight, logits.t() @ hidden[part])
        return loss, back
