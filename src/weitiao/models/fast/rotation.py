"""Rotary positions (arXiv:2104.09864), and the move from token after token to head after head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weitiao.models.fast.layout import Group
from weitiao.models.fast.native import call

if TYPE_CHECKING:
    from weitiao.models.fast.attention import Shape, Turned


@dataclass(frozen=True, slots=True)
class Angles:
    """Cosines and sines of a pass's tokens, float32 [n, turned / 2]."""

    cosine: Tensor
    sine: Tensor

    @property
    def turned(self) -> int:
        """How much of a head is turned."""
        return 2 * self.cosine.shape[1]


def angles_of(rotary: nn.Module | None, positions: Tensor, kind: str | None) -> Angles:
    """For ``positions`` [n] in the layers of ``kind``; of nothing where a model's positions are in its embeddings."""
    if rotary is None:
        return Angles(*(torch.empty(len(positions), 0) for _ in range(2)))
    given = (torch.empty(0, dtype=torch.float32), positions[None])
    cosine, sine = rotary(*given) if kind is None else rotary(*given, kind)
    half = cosine.shape[-1] // 2
    return Angles(cosine[0, :, :half].contiguous(), sine[0, :, :half].contiguous())


def rotate(joined: Tensor, angles: Angles, group: Group, before: int, shape: Shape, into: Turned) -> None:
    """Fill ``into`` from the group's tokens ``joined``; keys and values behind ``before`` places."""
    if _call(joined, angles, group, before, shape, into, backward=0):
        return
    queries, keys, values = _split(joined, group, shape)
    cosine, sine = _of(angles, group, joined.dtype)
    into.queries.view_as(queries).copy_(_turn(queries, cosine, sine, shape))
    into.keys.view(*keys.shape[:2], -1, shape.depth)[:, :, before:] = _turn(keys, cosine, sine, shape)[..., 0, :]
    into.values.view(*keys.shape[:2], -1, shape.depth)[:, :, before:] = values[..., 0, :]


def rotate_back(joined: Tensor, angles: Angles, group: Group, before: int, shape: Shape, back: Turned) -> None:
    """The gradient of ``joined``, from those of queries, keys and values."""
    if _call(joined, angles, group, before, shape, back, backward=1):
        return
    queries, keys, values = _split(joined, group, shape)
    cosine, sine = _of(angles, group, joined.dtype)
    own = slice(before, None)
    queries.copy_(_turn(back.queries.view_as(queries), cosine, -sine, shape))
    keys.copy_(_turn(back.keys.view(*keys.shape[:2], -1, 1, shape.depth)[:, :, own], cosine, -sine, shape))
    values.copy_(back.values.view(*keys.shape[:2], -1, 1, shape.depth)[:, :, own])


def _call(
    joined: Tensor, angles: Angles, group: Group, before: int, shape: Shape, turned: Turned, backward: int
) -> bool:
    cosine, sine = angles.cosine[group.start : group.stop], angles.sine[group.start : group.stop]
    sizes = (group.rows, group.length, before, shape.key_heads, shape.group, shape.depth, angles.turned)
    parts = (joined, cosine, sine, turned.queries, turned.keys, turned.values)
    return call("rotate", joined, *parts, *sizes, int(shape.interleaved), backward)


def _split(joined: Tensor, group: Group, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Views [rows, key heads, length, members, depth] of ``joined``."""
    heads = shape.key_heads * shape.group
    each = joined.view(group.rows, group.length, heads + 2 * shape.key_heads, shape.depth)
    queries, keys, values = each.split([heads, shape.key_heads, shape.key_heads], dim=2)
    return tuple(part.unflatten(2, (shape.key_heads, -1)).transpose(1, 2) for part in (queries, keys, values))  # type: ignore[return-value]


def _of(angles: Angles, group: Group, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    shape = (group.rows, 1, group.length, 1, -1)
    return angles.cosine[group.start : group.stop].view(shape), angles.sine[group.start : group.stop].view(shape)


def _turn(states: Tensor, cosine: Tensor, sine: Tensor, shape: Shape) -> Tensor:
    turned = 2 * cosine.shape[-1]
    wide = states[..., :turned].float()
    first, second = (wide[..., ::2], wide[..., 1::2]) if shape.interleaved else wide.chunk(2, dim=-1)
    a, b = first * cosine - second * sine, second * cosine + first * sine
    whole = torch.stack([a, b], dim=-1).flatten(-2) if shape.interleaved else torch.cat([a, b], dim=-1)
    return torch.cat([whole.to(states.dtype), states[..., turned:]], dim=-1)
