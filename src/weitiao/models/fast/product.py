"""Several linear layers that read the same input, and their LoRA, as one product forward and one backward.

``[x | x A] · [W | s B]``: the scaled B matrices stand beside the frozen weights, so that base and adapter are one
product. No gradient is made that nobody needs: none for frozen weights, none for an input under which nothing learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from weitiao.models.fast.gradients import add_gradient


@dataclass(frozen=True, slots=True)
class Pair:
    """The two matrices of an adapter, and where they lie in the product."""

    down: nn.Parameter  # [rank, inputs]
    up: nn.Parameter  # [outputs of its layer, rank]
    scale: float
    rows: slice  # of the outputs
    columns: slice  # of the ranks


@dataclass(frozen=True, slots=True)
class Back:
    """Gradients of a product's input [n, inputs], and of what its adapter made of it [n, rank]."""

    inputs: Tensor
    low: Tensor | None


class Product:
    """``layers`` as one. Their weights are moved into one matrix, which they then view."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = [(layer if isinstance(layer, LoraLinear) else None, _plain(layer)) for layer in layers]
        self._pairs = self._placed()
        first = self._layers[0][1].weight
        self.inputs: int = first.shape[1]
        self.rank = sum(len(pair.down) for pair in self._pairs)
        self._learning = sum(len(pair.down) for pair in self._pairs if pair.down.requires_grad)
        self.outputs = sum(plain.out_features for _, plain in self._layers)
        self._weight = first.new_zeros(self.outputs, self.inputs + self.rank)
        self._downs = first.new_zeros(self.rank, self.inputs)
        biased = any(plain.bias is not None for _, plain in self._layers)
        self._bias = first.new_zeros(self.outputs) if biased else None
        self._join()
        self._seen: list[int] = []  # of the adapter's weights, how often each had been written

    def refresh(self) -> None:
        """Take the adapter's weights as they are now, where they have changed."""
        versions = [weight._version for pair in self._pairs for weight in (pair.down, pair.up)]
        if versions == self._seen:
            return
        self._seen = versions
        with torch.no_grad():
            for pair in self._pairs:
                self._downs[pair.columns] = pair.down
                shifted = slice(self.inputs + pair.columns.start, self.inputs + pair.columns.stop)
                torch.mul(pair.up, pair.scale, out=self._weight[pair.rows, shifted])

    @property
    def learns(self) -> bool:
        """Whether anything in it does."""
        return self._learning > 0 or any(
            weight.requires_grad for _, plain in self._layers for weight in plain.parameters()
        )

    def room(self, n: int) -> Tensor:
        """An input to be written: [n, inputs + rank], of which the caller fills the first ``inputs`` columns."""
        return self._weight.new_empty(n, self.inputs + self.rank)

    def forward(self, extended: Tensor) -> Tensor:
        """[n, outputs] of all layers, in their order. Fills the last columns of ``extended``."""
        if self.rank:
            extended[:, self.inputs :] = extended[:, : self.inputs] @ self._downs.t()
        return nn.functional.linear(extended, self._weight, self._bias)

    def low(self, extended: Tensor) -> Tensor | None:
        """What the adapter made of the input, [n, rank], to be kept for :meth:`backward`."""
        return extended[:, self.inputs :].clone() if self.rank else None

    def backward(self, extended: Tensor, gradient: Tensor, passes_on: bool) -> Tensor | None:
        """The gradient of the input [n, inputs], where ``passes_on``; those of the weights go to their ``grad``.

        ``extended`` is the forward's, whole; where nothing here learns it is not looked at.
        """
        if passes_on:
            back = self.input_gradient(gradient)
            self.learn(extended, gradient, back)
            return back.inputs
        if self.learns:
            low = gradient @ self._weight[:, self.inputs :] if self.rank else None
            self.learn(extended, gradient, Back(gradient[:, :0], low))
        return None

    def input_gradient(self, gradient: Tensor) -> Back:
        """The gradients of the input and of what the adapter made of it."""
        back = gradient @ self._weight
        if not self.rank:
            return Back(back, None)
        low = back[:, self.inputs :].contiguous()
        return Back(back[:, : self.inputs].addmm_(low, self._downs), low)

    def learn(self, extended: Tensor, gradient: Tensor, back: Back) -> None:
        """Add the weights' gradients to their ``grad``."""
        if back.low is not None:
            self._learn_adapter(extended, back.low, gradient)
        self._learn_base(extended[:, : self.inputs], gradient)

    def _learn_adapter(self, extended: Tensor, low_gradient: Tensor, gradient: Tensor) -> None:
        if not self._learning:
            return
        downs = low_gradient[:, : self._learning].t() @ extended[:, : self.inputs]
        ups = gradient.t() @ extended[:, self.inputs : self.inputs + self._learning]
        for pair in self._pairs:
            if pair.down.requires_grad:
                add_gradient(pair.down, downs[pair.columns])
                add_gradient(pair.up, ups[pair.rows, pair.columns] * pair.scale)

    def _learn_base(self, inputs: Tensor, gradient: Tensor) -> None:
        learning = [plain for _, plain in self._layers if plain.weight.requires_grad]
        whole = gradient.t() @ inputs if learning else None
        start = 0
        for _, plain in self._layers:
            rows = slice(start, start + plain.out_features)
            if whole is not None and plain.weight.requires_grad:
                add_gradient(plain.weight, whole[rows])
            if plain.bias is not None and plain.bias.requires_grad:
                add_gradient(plain.bias, gradient[:, rows].sum(0))
            start = rows.stop

    def _placed(self) -> list[Pair]:
        """Every adapter's matrices; the columns of those that learn come first."""
        found: list[tuple[Any, str, slice]] = []
        start = 0
        for lora, plain in self._layers:
            rows = slice(start, start + plain.out_features)
            found += [(lora, name, rows) for name in (lora.active_adapters if lora else ())]
            start = rows.stop
        found.sort(key=lambda each: not each[0].lora_A[each[1]].weight.requires_grad)
        pairs, column = [], 0
        for lora, name, rows in found:
            down, up = lora.lora_A[name].weight, lora.lora_B[name].weight
            columns = slice(column, column + len(down))
            pairs.append(Pair(down, up, float(lora.scaling[name]), rows, columns))
            column = columns.stop
        return pairs

    def _join(self) -> None:
        """Move the base weights."""
        start = 0
        for _, plain in self._layers:
            rows = slice(start, start + plain.out_features)
            self._weight[rows, : self.inputs] = plain.weight.detach()
            plain.weight.data = self._weight[rows, : self.inputs]
            if plain.bias is not None and self._bias is not None:
                self._bias[rows] = plain.bias.detach()
                plain.bias.data = self._bias[rows]
            start = rows.stop


def _plain(layer: nn.Module) -> nn.Linear:
    return cast(nn.Linear, layer.base_layer if isinstance(layer, LoraLinear) else layer)
