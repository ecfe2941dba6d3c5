"""Blanks of a text filled in: by a masked model one token each, by an infilling model spans of any length.

Separate from generation because what follows a blank is read too, which no causal decoding does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache, DynamicCache

from weitiao.codec import Codec
from weitiao.models.anatomy import Model, plain, sees_both_sides
from weitiao.objectives.infill import Infill
from weitiao.objectives.masked import Masked
from weitiao.objectives.row import IGNORE, Row
from weitiao.training.batches import Batch, micro_batches, padded
from weitiao.training.exact import CAPACITY
from weitiao.training.loss import asked_hidden, logits_of
from weitiao.training.surroundings import surroundings

_MARK = re.compile(r"(\s*)_{3,}")  # with the white space before it, which the first token that fills it brings along
_CONTEXT = 8  # tokens before a blank that decide how what fills it is written

Tokens = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Blanked:
    """A text with blanks: what stands around them, and the white space before each."""

    pieces: tuple[str, ...]
    spaces: tuple[str, ...]


def blanked(text: str) -> Blanked:
    """``text`` cut at its blanks, three underscores or more each."""
    parts = _MARK.split(text)
    return Blanked(tuple(parts[::2]), tuple(parts[1::2]))


def fill(
    model: Model, codec: Codec, objective: Masked | Infill, texts: Sequence[Blanked], most: int, length: int
) -> list[str | None]:
    """Each text with its blanks filled by what is likeliest; None for one of over ``length`` tokens.

    A masked model fills each blank by itself; an infilling one from left to right, with at most ``most`` tokens each.
    """
    model.eval()
    blank = objective.mask if isinstance(objective, Masked) else objective.tokens.span
    encoded = codec.encode_blanks([text.pieces for text in texts], blank)
    fitting = [number for number, tokens in enumerate(encoded) if len(tokens) <= length]
    chosen = [encoded[number] for number in fitting]
    with torch.inference_mode():
        if isinstance(objective, Masked):
            found = _tokens_at_masks(model, codec, chosen, blank)
        else:
            found = [_spans(model, codec, objective, tokens, most) for tokens in chosen]
    filled: list[str | None] = [None] * len(texts)
    for number, tokens, written in zip(fitting, chosen, found, strict=True):
        filled[number] = _joined(codec, texts[number], tokens, blank, written)
    return filled


def _tokens_at_masks(model: Model, codec: Codec, texts: Sequence[Tokens], mask: int) -> list[list[list[int]]]:
    """Of each text, for each of its masks, the likeliest token."""
    found: list[list[list[int]]] = [[] for _ in texts]
    rows = [Row("", tokens, np.where(tokens == mask, 0, IGNORE).astype(np.int32), len(tokens)) for tokens in texts]
    for group in micro_batches([len(tokens) for tokens in texts], CAPACITY):
        hidden, _ = asked_hidden(model, padded([rows[number] for number in group], sees_both_sides(model)))
        likeliest = iter(_likeliest(model, codec, hidden).tolist())
        for number in group:
            found[number] = [[next(likeliest)] for _ in range(rows[number].asked)]
    return found


def _spans(model: Model, codec: Codec, infill: Infill, tokens: Tokens, most: int) -> list[list[int]]:
    """For each blank of ``tokens`` what stands in it; each span is written knowing those before it."""
    past = DynamicCache()
    _read(model, tokens, np.arange(len(tokens)), 0, past, prefix=len(tokens))
    spans = []
    for place in np.flatnonzero(tokens == infill.tokens.span):
        span: list[int] = []
        token = infill.tokens.begin
        for inside in range(1, most + 2):  # the last one is read too: the next span follows it
            hidden = _read(model, np.array([token]), np.array([place]), inside, past)
            token = int(_likeliest(model, codec, hidden, infill.tokens.end)[0])
            if token == infill.tokens.end or inside > most:
                break
            span.append(token)
        spans.append(span)
    return spans


def _read(
    model: Model,
    tokens: NDArray[np.integer[Any]],
    places: NDArray[np.integer[Any]],
    inside: int,
    past: Cache,
    prefix: int = 0,
) -> Tensor:
    """What the head reads at the last of ``tokens``, behind ``past``, which they join."""
    ids = tokens[None].astype(np.int64)
    prefixes = np.array([prefix]) if prefix else None
    batch = Batch(
        ids,
        places[None].astype(np.int64),
        np.full_like(ids, IGNORE),
        prefixes=prefixes,
        within=np.full_like(ids, inside),
    )
    with surroundings(model, batch, past) as stated:
        device = next(model.parameters()).device
        output = plain(model).base_model(input_ids=torch.from_numpy(ids).to(device), **stated)
    hidden: Tensor = output.last_hidden_state[0, -1:]
    return hidden


def _likeliest(model: Model, codec: Codec, hidden: Tensor, allowed: int | None = None) -> Tensor:
    """[asked] the likeliest tokens; no control token but ``allowed``."""
    logits = logits_of(model, hidden, wide=True).float()
    control = [number for number in codec.control.ids.values() if number != allowed and number < logits.shape[1]]
    logits[:, control] = -torch.inf
    return logits[:, : codec.vocabulary].argmax(-1)


def _joined(codec: Codec, text: Blanked, tokens: Tokens, blank: int, written: Sequence[Sequence[int]]) -> str:
    """The text with the ``written`` tokens in it, as they read behind what stands before them."""
    parts = [text.pieces[0]]
    places = np.flatnonzero(tokens == blank)
    before: list[int] = tokens[: places[0]].tolist() if len(places) else []
    for number, place in enumerate(places):
        context = before[-_CONTEXT:]
        said = "".join(codec.pieces([*context, *written[number]])[len(context) :])
        parts += [text.spaces[number], said.lstrip(), text.pieces[number + 1]]
        after = places[number + 1] if number + 1 < len(places) else len(tokens)
        before += [*written[number], *tokens[place + 1 : after].tolist()]
    return "".join(parts)
