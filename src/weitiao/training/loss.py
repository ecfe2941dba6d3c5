"""The one loss: cross-entropy at the positions where a target is set, as (sum, count). Sum first, divide once.

Logits exist only where a target is set, and only for a part of those at a time: a vocabulary is wide. Each part's
gradient is taken at once, so that no logits are kept. The model's own head makes them, with its scales and caps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast

from weitiao.models.anatomy import Model, head, head_width, plain
from weitiao.models.head_parts import head_parts
from weitiao.models.heads import below_head, two_way, use_of
from weitiao.objectives.row import IGNORE
from weitiao.training.batches import Batch
from weitiao.training.surroundings import surroundings


def learn(model: Model, batch: Batch, past: Cache | None = None) -> tuple[float, int]:
    """The summed cross-entropy in nats and the number of targets it is over; gradients go to the parameters' ``grad``.

    ``past`` holds what stands before every row of the batch; the batch's positions count from there.
    """
    hidden, targets = asked_hidden(model, batch, past)
    leaf = hidden.detach().requires_grad_(hidden.requires_grad)
    total, several = 0.0, use_of(model).several
    for part in head_parts(len(targets), head_width(model)):
        logits, wanted = logits_of(model, leaf[part]), targets[part]
        if several:
            logits, wanted = two_way(logits, wanted)
        loss = nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
        torch.autograd.backward(loss)
        total += loss.item()
    if leaf.grad is not None:
        torch.autograd.backward(hidden, leaf.grad)
    return total, len(targets)


def asked_hidden(model: Model, batch: Batch, past: Cache | None = None) -> tuple[Tensor, Tensor]:
    """What the head reads at the asked positions [asked, width], and the targets [asked], in reading order."""
    device = next(model.parameters()).device
    targets = torch.from_numpy(batch.targets).to(device).flatten()
    asked = torch.nonzero(targets != IGNORE).flatten()
    with surroundings(model, batch, past) as stated:
        output = plain(model).base_model(input_ids=torch.from_numpy(batch.tokens).to(device), **stated)
    return output.last_hidden_state.flatten(0, 1)[asked], targets[asked]


def logits_of(model: Model, hidden: Tensor, wide: bool = False) -> Tensor:
    """The logits [asked, answers] of ``hidden`` [asked, width]; ``wide`` multiplies the head in float32."""
    inner = plain(model)
    # A category head answers once for each text, so each place is a text of one token.
    texts = hidden[None] if use_of(model).of_vocabulary else hidden[:, None]
    module = below_head(model)

    def given(*_: object, **__: object) -> _Hidden:
        return _Hidden(last_hidden_state=texts)

    with widened(model) if wide else nullcontext():
        module.forward = given  # type: ignore[method-assign]  # the model's own forward goes on from here
        try:
            tokens = torch.zeros(texts.shape[:2], dtype=torch.long, device=hidden.device)
            logits: Tensor = inner(input_ids=tokens).logits
        finally:
            del module.forward
    return logits.flatten(0, -2)


@contextmanager
def widened(model: Model) -> Iterator[None]:
    """Inside, a head of another type multiplies in float32, with one copy of its weights."""
    module = head(model)
    if not isinstance(module, nn.Linear) or module.weight.dtype == torch.float32:
        yield
        return
    weight, bias = module.weight.float(), None if module.bias is None else module.bias.float()
    handle = module.register_forward_hook(lambda _, given, __: nn.functional.linear(given[0].float(), weight, bias))
    try:
        yield
    finally:
        handle.remove()


class _Hidden(BaseModelOutputWithPast):
    def __getattr__(self, name: str) -> None:
        """Whatever else the families' outputs hold was not asked for."""
