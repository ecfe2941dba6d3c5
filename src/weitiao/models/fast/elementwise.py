"""What a block does between its matrix products, forward and backward: one pass over memory each.

In torch here, and in C in ``kernels.c``; the compiled kernels are used where they are there, and the tests compare the
two. The stream between the blocks is float32; everything else has the type of the model's weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weitiao.models.fast.native import call

_GELU_TANH = "tanh"


def norm(
    stream: Tensor, addend: Tensor | None, weight: Tensor, offset: float, epsilon: float, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Root-mean-square norm (arXiv:1910.07467) of ``stream + addend`` [n, width] into the first columns of ``out``.

    Returns the sum, float32 [n, width], and the inverse root mean squares [n]. The weight counts as weight + offset.
    """
    n, width = stream.shape
    total = torch.empty_like(stream) if addend is not None else stream
    inverse = stream.new_empty(n)
    if call(
        "norm", out, stream, addend, weight, float(offset), float(epsilon), n, width, total, out, out.stride(0), inverse
    ):
        return total, inverse
    total = stream if addend is None else stream + addend
    inverse = torch.rsqrt(total.square().mean(1) + epsilon)
    renorm(total, inverse, weight, offset, out)
    return total, inverse


def renorm(stream: Tensor, inverse: Tensor, weight: Tensor, offset: float, out: Tensor) -> None:
    """The norm's output once more, from what :func:`norm` returned."""
    n, width = stream.shape
    if not call("renorm", out, stream, inverse, weight, float(offset), n, width, out, out.stride(0)):
        out[:, :width] = stream * inverse[:, None] * (weight.float() + offset)


def norm_backward(
    gradient: Tensor, stream: Tensor, inverse: Tensor, weight: Tensor, offset: float, stream_gradient: Tensor
) -> Tensor:
    """Add the gradient for the norm's input to ``stream_gradient``; returns its copy in the weights' type."""
    n, width = stream.shape
    narrow = gradient.new_empty(n, width)
    if call(
        "norm_backward",
        gradient,
        gradient,
        gradient.stride(0),
        stream,
        inverse,
        weight,
        float(offset),
        n,
        width,
        stream_gradient,
        narrow,
    ):
        return narrow
    scaled = gradient.float() * (weight.float() + offset)
    along = (scaled * stream).mean(1) * inverse**3
    stream_gradient += scaled * inverse[:, None] - stream * along[:, None]
    return stream_gradient.to(gradient.dtype)


def norm_weight_gradient(gradient: Tensor, stream: Tensor, inverse: Tensor, like: Tensor) -> Tensor:
    """The gradient of a norm's weight."""
    return (gradient.float() * stream * inverse[:, None]).sum(0).to(like.dtype)


def gate(both: Tensor, tanh_gelu: bool, out: Tensor) -> None:
    """The gated unit (arXiv:2002.05202): ``both`` [n, 2 × hidden] of gate and value to ``out`` [n, hidden]."""
    n, hidden = both.shape[0], both.shape[1] // 2
    if not call("gate", both, both, n, hidden, int(tanh_gelu), out, out.stride(0)):
        out[:, :hidden] = _activation(both[:, :hidden].float(), tanh_gelu) * both[:, hidden:]


def gate_backward(both: Tensor, gradient: Tensor, tanh_gelu: bool, out: Tensor) -> Tensor:
    """The gradient of ``both``; the unit's output is calculated into ``out`` once more."""
    n, hidden = both.shape[0], both.shape[1] // 2
    back = torch.empty_like(both)
    if call(
        "gate_backward", both, both, gradient, gradient.stride(0), n, hidden, int(tanh_gelu), back, out, out.stride(0)
    ):
        return back
    gates, values = both[:, :hidden].float(), both[:, hidden:].float()
    active = _activation(gates, tanh_gelu)
    out[:, :hidden] = active * values
    back[:, hidden:] = gradient * active
    slope = _activation_backward(gradient * values, gates, tanh_gelu)
    back[:, :hidden] = slope
    return back


def gelu(inner: Tensor, out: Tensor) -> None:
    """GELU of ``inner`` [n, hidden] into the first columns of ``out``."""
    out[:, : inner.shape[1]] = nn.functional.gelu(inner)  # gelu's own out= takes every tensor for a contiguous one


def gelu_backward(inner: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of ``inner``."""
    return torch.ops.aten.gelu_backward(gradient, inner)  # type: ignore[no-any-return]


def softmax(scores: Tensor, queries: int, group: int, before: int, window: int, scale: float) -> None:
    """``scores`` [batch, queries × group, keys] to shares in place.

    Query q sees the last ``window`` of the first ``before + q + 1`` keys; all of them where ``window`` is 0.
    """
    batch, _, keys = scores.shape
    if call("softmax", scores, scores, batch, queries, group, keys, before, window, float(scale)):
        return
    place = torch.arange(queries * group, device=scores.device)[:, None] // group + before
    key = torch.arange(keys, device=scores.device)[None]
    hidden = (key > place) | (key <= place - window) if window else key > place
    scores.copy_(torch.softmax((scores.float() * scale).masked_fill_(hidden, -torch.inf), dim=-1))


def softmax_backward(
    gradient: Tensor, shares: Tensor, queries: int, group: int, before: int, window: int, scale: float
) -> None:
    """The gradient of the shares to that of the scores, in place."""
    batch, _, keys = gradient.shape
    if call("softmax_backward", gradient, gradient, shares, batch, queries, group, keys, before, window, float(scale)):
        return
    wide, part = gradient.float(), shares.float()
    gradient.copy_(part * (wide - (wide * part).sum(-1, keepdim=True)) * scale)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of each row in nats, float32 [n]; ``logits`` [n, vocabulary] becomes its gradient."""
    n, vocabulary = logits.shape
    loss = torch.empty(n, dtype=torch.float32, device=logits.device)
    if call("entropy", logits, logits, targets, n, vocabulary, loss):
        return loss
    logs = torch.log_softmax(logits.float(), dim=-1)
    loss = -logs.gather(1, targets[:, None])[:, 0]
    logs.exp_()[torch.arange(n), targets] -= 1
    logits.copy_(logs)
    return loss


def _activation(gates: Tensor, tanh_gelu: bool) -> Tensor:
    return nn.functional.gelu(gates, approximate=_GELU_TANH) if tanh_gelu else nn.functional.silu(gates)


def _activation_backward(gradient: Tensor, gates: Tensor, tanh_gelu: bool) -> Tensor:
    if tanh_gelu:
        return torch.ops.aten.gelu_backward(gradient, gates, approximate=_GELU_TANH)  # type: ignore[no-any-return]
    return torch.ops.aten.silu_backward(gradient, gates)  # type: ignore[no-any-return]
