"""Where gradients made by hand go."""

from __future__ import annotations

from torch import Tensor


def add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Add to ``parameter.grad``, as autograd would."""
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad += gradient
