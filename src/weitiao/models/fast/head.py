"""What stands above the blocks: logits at the asked places, a part at a time, to the loss and back.

Separate because all kinds of head are one: a linear layer, of the vocabulary or of categories, and what comes before
it. That is for few places, so the model's own modules calculate it, under autograd.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from weitiao.models.fast import elementwise
from weitiao.models.fast.gradients import add_gradient
from weitiao.models.fast.parts import HeadParts
from weitiao.models.head_parts import head_parts
from weitiao.models.heads import two_way


class Head:
    """The loss over the asked places."""

    def __init__(self, parts: HeadParts) -> None:
        self._before, self._output, self._several = parts.before, parts.output, parts.several

    @property
    def outputs(self) -> int:
        """How many logits a place has."""
        return self._output.out_features

    def learn(self, hidden: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        """The summed cross-entropy of ``hidden`` [asked, width] in nats, and its gradient; weights' go to ``grad``."""
        if self._before is None:
            return self._learn_output(hidden, targets)
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            made = self._before(leaf)
        loss, back = self._learn_output(made.detach(), targets)
        torch.autograd.backward(made, back)
        assert leaf.grad is not None
        return loss, leaf.grad

    def reader(self) -> Callable[[Tensor], Tensor]:
        """Hidden states [asked, width] to logits [asked, outputs], multiplied in float32."""
        weight, bias = self._output.weight.detach().float(), self._output.bias
        wide_bias = None if bias is None else bias.detach().float()

        def read(hidden: Tensor) -> Tensor:
            with torch.inference_mode():
                made = hidden if self._before is None else self._before(hidden)
                return nn.functional.linear(made.float(), weight, wide_bias)

        return read

    def _learn_output(self, hidden: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        """Logits exist for a part at a time, and become gradients."""
        weight, bias = self._output.weight, self._output.bias
        back = torch.empty_like(hidden)
        loss = 0.0
        for part in head_parts(len(hidden), self.outputs):
            logits = nn.functional.linear(hidden[part], weight, bias)
            asked, wanted = two_way(logits, targets[part]) if self._several else (logits, targets[part])
            loss += float(elementwise.cross_entropy(asked, wanted).sum(dtype=torch.float64))
            logits = asked[:, 1].reshape(logits.shape) if self._several else asked
            torch.mm(logits, weight, out=back[part])
            if weight.requires_grad:
                add_gradient(weight, logits.t() @ hidden[part])
            if bias is not None and bias.requires_grad:
                add_gradient(bias, logits.sum(0))
        return loss, back
