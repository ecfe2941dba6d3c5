"""Softmax attention over the groups of a layout, forward and backward, without a mask.

The query heads of a key head stand beside each other, so that keys are never repeated; queries go in chunks, so that
half of a long row's square is never calculated where a token sees only what stands before it. Where it sees its whole
row, rows of one length are told together where they end. Shares are calculated again on the way back instead of kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from weitiao.models.fast.elementwise import softmax, softmax_backward
from weitiao.models.fast.layout import Group, Layout
from weitiao.models.fast.rotation import Angles, rotate, rotate_back

_CHUNK = 128  # queries


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one block's attention."""

    key_heads: int
    group: int
    depth: int
    scale: float
    causal: bool
    interleaved: bool
    window: int  # keys that a query sees; 0 for all before it

    @property
    def width(self) -> int:
        """Of what attention returns for a token."""
        return self.key_heads * self.group * self.depth


@dataclass(slots=True)
class Turned:
    """Rotated queries, and keys and values behind those of the prefix, of one group."""

    queries: Tensor  # [rows * key_heads, length * group, depth]
    keys: Tensor  # [rows * key_heads, before + length, depth]
    values: Tensor


def attend(joined: Tensor, angles: Angles, layout: Layout, shape: Shape, out: Tensor) -> list[Turned]:
    """``joined`` [n, (heads + 2 × key heads) × depth] to ``out`` [n, heads × depth]; what the way back needs."""
    turned: list[Turned] = []
    for group in layout.groups:
        before = layout.prefix if turned and layout.prefix else 0
        made = _room(joined, group, before, shape)
        rotate(joined[group.start : group.stop], angles, group, before, shape, made)
        if before:
            _behind(made.keys, group.rows)[:, :, :before] = turned[0].keys
            _behind(made.values, group.rows)[:, :, :before] = turned[0].values
        _attend_group(made, group, before, shape, out[group.start : group.stop])
        turned.append(made)
    out[layout.groups[-1].stop :, : shape.width] = 0
    return turned


def attend_backward(gradient: Tensor, turned: list[Turned], angles: Angles, layout: Layout, shape: Shape) -> Tensor:
    """The gradient of ``joined`` from that of ``out``."""
    joined = gradient.new_empty(len(gradient), (shape.group + 2) * shape.key_heads * shape.depth)
    shared: Turned | None = None
    for number in range(len(turned) - 1, -1, -1):
        group, made = layout.groups[number], turned[number]
        before = layout.prefix if number and layout.prefix else 0
        back = _backward_group(gradient[group.start : group.stop], made, group, before, shape)
        if before:
            keys = _behind(back.keys, group.rows)[:, :, :before].sum(0, dtype=torch.float32)
            values = _behind(back.values, group.rows)[:, :, :before].sum(0, dtype=torch.float32)
            shared = (
                Turned(back.queries, keys, values)
                if shared is None
                else Turned(back.queries, shared.keys.add_(keys), shared.values.add_(values))
            )
        elif shared is not None and number == 0:
            back.keys.copy_(shared.keys.add_(back.keys))
            back.values.copy_(shared.values.add_(back.values))
        rotate_back(joined[group.start : group.stop], angles, group, before, shape, back)
    joined[layout.groups[-1].stop :] = 0
    return joined


def _room(like: Tensor, group: Group, before: int, shape: Shape) -> Turned:
    batch = group.rows * shape.key_heads
    keys, values = (like.new_empty(batch, before + group.length, shape.depth) for _ in range(2))
    return Turned(like.new_empty(batch, group.length * shape.group, shape.depth), keys, values)


def _behind(tensor: Tensor, rows: int) -> Tensor:
    """[rows, key heads, before + length, depth]"""
    return tensor.view(rows, -1, *tensor.shape[1:])


def _attend_group(made: Turned, group: Group, before: int, shape: Shape, out: Tensor) -> None:
    # [rows, key heads, length, group × depth], as attention leaves it; written where the token stands
    places = out[:, : shape.width].unflatten(0, (group.rows, group.length)).unflatten(2, (shape.key_heads, -1))
    for start in range(0, group.length, _CHUNK):
        stop = min(start + _CHUNK, group.length)
        shares = _shares(made, start, stop, before, group, shape)
        mixed = torch.bmm(shares, made.values[:, : shares.shape[2]])
        places[:, start:stop] = mixed.view(group.rows, shape.key_heads, stop - start, -1).transpose(1, 2)


def _shares(made: Turned, start: int, stop: int, before: int, group: Group, shape: Shape) -> Tensor:
    """[rows × key heads, queries × group, keys that any of the queries sees]"""
    queries = made.queries[:, start * shape.group : stop * shape.group]
    seen = before + (stop if shape.causal else group.length)
    scores = torch.bmm(queries, made.keys[:, :seen].transpose(1, 2))
    if shape.causal:
        softmax(scores, stop - start, shape.group, before + start, shape.window, shape.scale)
        return scores
    row = 0
    for length, alike in groupby(group.lengths):
        rows = len(list(alike))
        part = scores[row * shape.key_heads : (row + rows) * shape.key_heads]
        softmax(part, 1, part.shape[1], length - 1, 0, shape.scale)  # every query as the one that stands last
        row += rows
    return scores


def _backward_group(gradient: Tensor, made: Turned, group: Group, before: int, shape: Shape) -> Turned:
    back = Turned(torch.empty_like(made.queries), torch.zeros_like(made.keys), torch.zeros_like(made.values))
    places = gradient.unflatten(0, (group.rows, group.length)).unflatten(2, (shape.key_heads, -1))
    for start in range(0, group.length, _CHUNK):
        stop = min(start + _CHUNK, group.length)
        whole = start == 0 and stop == group.length  # of one chunk: nothing to add to
        chunk = slice(start * shape.group, stop * shape.group)
        shares = _shares(made, start, stop, before, group, shape)
        seen = shares.shape[2]
        mixed = places[:, start:stop].transpose(1, 2).reshape(shares.shape[0], -1, shape.depth)
        scores = torch.bmm(mixed, made.values[:, :seen].transpose(1, 2))
        first = before + start if shape.causal else seen  # of the places of queries
        softmax_backward(scores, shares, stop - start, shape.group, first, shape.window, shape.scale)
        back.queries[:, chunk] = torch.bmm(scores, made.keys[:, :seen])
        keys = torch.bmm(scores.transpose(1, 2), made.queries[:, chunk])
        values = torch.bmm(shares.transpose(1, 2), mixed)
        if whole:
            back.keys, back.values = keys, values
        else:
            back.keys[:, :seen] += keys
            back.values[:, :seen] += values
    return back
