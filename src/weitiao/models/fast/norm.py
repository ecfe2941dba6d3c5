"""The two norms of the stream between the blocks.

Separate because the norm decides what a block adds to: under a root-mean-square norm the sum goes on as it is and only
what the products read is normed; under a layer norm, as BERT has it, what is normed is what goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weitiao.models.fast import elementwise
from weitiao.models.fast.gradients import add_gradient


@dataclass(frozen=True, slots=True)
class Normed:
    """A norm's input, its rows' inverse deviations and, for a layer norm, means."""

    stream: Tensor  # float32 [n, width]
    inverse: Tensor  # float32 [n]
    mean: Tensor | None = None  # float32 [n]


@dataclass(frozen=True, slots=True)
class Norm:
    """A root-mean-square norm, beside the stream."""

    weight: nn.Parameter
    offset: float  # a weight counts as weight + offset
    epsilon: float

    @property
    def learns(self) -> bool:
        """Whether it does."""
        return self.weight.requires_grad

    def forward(self, stream: Tensor, addend: Tensor | None, out: Tensor) -> tuple[Tensor, Normed]:
        """Norm ``stream + addend`` into the first columns of ``out``; what goes on, and what the way back needs."""
        total, inverse = elementwise.norm(stream, addend, self.weight, self.offset, self.epsilon, out)
        return total, Normed(total, inverse)

    def again(self, kept: Normed, out: Tensor) -> None:
        """The norm's output once more."""
        elementwise.renorm(kept.stream, kept.inverse, self.weight, self.offset, out)

    def backward(self, back: Tensor, kept: Normed, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """From the gradients of ``out`` and of what went on, changed in place, to that of the sum, wide and narrow."""
        if self.learns:
            add_gradient(self.weight, elementwise.norm_weight_gradient(back, kept.stream, kept.inverse, self.weight))
        narrow = elementwise.norm_backward(back, kept.stream, kept.inverse, self.weight, self.offset, gradient)
        return gradient, narrow


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """A layer norm (arXiv:1607.06450), in the stream."""

    weight: nn.Parameter
    bias: nn.Parameter
    epsilon: float

    @property
    def learns(self) -> bool:
        """Whether anything in it does."""
        return self.weight.requires_grad or self.bias.requires_grad

    def forward(self, stream: Tensor, addend: Tensor | None, out: Tensor) -> tuple[Tensor, Normed]:
        """As :meth:`Norm.forward`."""
        total = stream if addend is None else stream + addend
        weight, bias = self.weight.float(), self.bias.float()
        normed, mean, inverse = torch.native_layer_norm(total, total.shape[1:], weight, bias, self.epsilon)
        out[:, : total.shape[1]] = normed
        return normed, Normed(total, inverse, mean)

    def again(self, kept: Normed, out: Tensor) -> None:
        """As :meth:`Norm.again`."""
        width = kept.stream.shape[1:]
        weight, bias = self.weight.float(), self.bias.float()
        out[:, : width[0]] = nn.functional.layer_norm(kept.stream, width, weight, bias, self.epsilon)

    def backward(self, back: Tensor, kept: Normed, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`Norm.backward`."""
        found = torch.ops.aten.native_layer_norm_backward(
            gradient.add_(back),
            kept.stream,
            kept.stream.shape[1:],
            kept.mean,
            kept.inverse,
            self.weight.float(),
            self.bias.float(),
            [True, self.weight.requires_grad, self.bias.requires_grad],
        )
        for weight, of_weight in zip((self.weight, self.bias), found[1:], strict=True):
            if weight.requires_grad:
                add_gradient(weight, of_weight.to(weight.dtype))
        return found[0], found[0].to(back.dtype)
