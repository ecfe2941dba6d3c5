"""What stands between a block's two wide products: a gated unit, or GELU alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from weitiao.models.fast import elementwise


@dataclass(frozen=True, slots=True)
class Gated:
    """The gated unit (arXiv:2002.05202) of gate and value, with SiLU or the tanh form of GELU."""

    tanh_gelu: bool

    def forward(self, both: Tensor, out: Tensor) -> None:
        """``both`` [n, 2 × hidden] into the first columns of ``out``."""
        elementwise.gate(both, self.tanh_gelu, out)

    def backward(self, both: Tensor, gradient: Tensor, out: Tensor) -> Tensor:
        """The gradient of ``both``; the unit's output is calculated into ``out`` once more."""
        return elementwise.gate_backward(both, gradient, self.tanh_gelu, out)


@dataclass(frozen=True, slots=True)
class Gelu:
    """GELU (arXiv:1606.08415) by the error function."""

    def forward(self, inner: Tensor, out: Tensor) -> None:
        """``inner`` [n, hidden] into the first columns of ``out``."""
        elementwise.gelu(inner, out)

    def backward(self, inner: Tensor, gradient: Tensor, out: Tensor) -> Tensor:
        """As :meth:`Gated.backward`."""
        elementwise.gelu(inner, out)
        return elementwise.gelu_backward(inner, gradient)
