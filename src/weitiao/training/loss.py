"""The one loss: cross-entropy at the positions where a target is set, as (sum, count). Sum first, divide once.

Logits exist only where a target is set: a hook hands the head those positions alone, so every architecture's own
forward pass, with its scales and caps on the logits, stays in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import Cache

from weitiao.models.anatomy import Model, head
from weitiao.objectives.row import IGNORE
from weitiao.training.batches import Batch


def loss_sum(model: Model, batch: Batch, past: Cache | None = None) -> tuple[Tensor, int]:
    """The summed cross-entropy in nats, with gradient, and the number of targets it is over."""
    logits, targets = asked_logits(model, batch, past)
    return nn.functional.cross_entropy(logits.float(), targets, reduction="sum"), len(targets)


def asked_logits(
    model: Model, batch: Batch, past: Cache | None = None, wide_head: bool = False
) -> tuple[Tensor, Tensor]:
    """Logits [asked, vocabulary] and targets [asked], in reading order over the batch.

    ``past`` holds what stands before every row of the batch; the batch's positions count from there. ``wide_head``
    multiplies the head in float32: a bfloat16 logit near 20 is rounded to eighths, which makes ties of close answers.
    """
    device = next(model.parameters()).device
    targets = torch.from_numpy(batch.targets).to(device).flatten()
    asked = torch.nonzero(targets != IGNORE).flatten()
    with _head_reads_only(head(model), asked, wide_head):
        output = model(
            input_ids=torch.from_numpy(batch.tokens).to(device),
            position_ids=torch.from_numpy(batch.positions).to(device),
            attention_mask=None,  # an all-ones mask would let packed rows see each other
            past_key_values=past,
            use_cache=past is not None,
        )
    return output.logits[0], targets[asked]


@contextmanager
def _head_reads_only(module: nn.Module, positions: Tensor, wide: bool) -> Iterator[None]:
    def select(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        hidden = inputs[0]  # [rows, length, width]
        return (hidden.flatten(0, 1)[positions].unsqueeze(0),)

    def widen(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not isinstance(module, nn.Linear) or output.dtype == torch.float32:
            return output
        bias = None if module.bias is None else module.bias.float()
        return nn.functional.linear(inputs[0].float(), module.weight.float(), bias)

    handles = [module.register_forward_pre_hook(select)]
    if wide:
        handles.append(module.register_forward_hook(widen))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
