"""Norms of queries and keys in each head (Qwen 3, Gemma 3), in place in the joined projection."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from weitiao.models.fast import elementwise
from weitiao.models.fast.gradients import add_gradient
from weitiao.models.fast.norm import Norm
from weitiao.models.fast.parts import Parts


@dataclass(frozen=True, slots=True)
class Heads:
    """The norms' inputs, float32 [n × heads, depth], and inverse root mean squares, of queries and of keys."""

    queries: tuple[Tensor, Tensor]
    keys: tuple[Tensor, Tensor]


def norm_heads(joined: Tensor, parts: Parts) -> Heads:
    """Norm ``joined`` [n, (heads + 2 × key heads) × depth] in place, but for the values."""
    queries, keys = _views(joined, parts)
    assert parts.query_norm is not None and parts.key_norm is not None
    return Heads(_norm(queries, parts.query_norm), _norm(keys, parts.key_norm))


def norm_heads_backward(gradient: Tensor, kept: Heads, parts: Parts) -> None:
    """The gradient of the normed projection to that of the projection, in place."""
    queries, keys = _views(gradient, parts)
    assert parts.query_norm is not None and parts.key_norm is not None
    _backward(queries, kept.queries, parts.query_norm)
    _backward(keys, kept.keys, parts.key_norm)


def _views(joined: Tensor, parts: Parts) -> tuple[Tensor, Tensor]:
    heads = parts.key_heads * parts.group
    each = joined.view(len(joined), heads + 2 * parts.key_heads, parts.depth)
    return each[:, :heads], each[:, heads : heads + parts.key_heads]


def _norm(states: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    flat = states.flatten(0, 1)
    out = torch.empty_like(flat)
    stream, inverse = elementwise.norm(flat.float(), None, norm.weight, norm.offset, norm.epsilon, out)
    states.copy_(out.view(states.shape))
    return stream, inverse


def _backward(gradient: Tensor, kept: tuple[Tensor, Tensor], norm: Norm) -> None:
    stream, inverse = kept
    flat = gradient.flatten(0, 1)
    if norm.weight.requires_grad:
        add_gradient(norm.weight, elementwise.norm_weight_gradient(flat, stream, inverse, norm.weight))
    zero = torch.zeros_like(stream)
    back = elementwise.norm_backward(flat, stream, inverse, norm.weight, norm.offset, zero)
    gradient.copy_(back.view(gradient.shape))
