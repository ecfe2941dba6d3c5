"""What is taken from the logits of a pass that only reads: log-probabilities, and whether a target was the likeliest.

Separate because both engines calculate logits, each in its own way, and must take the same from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from weitiao.models.anatomy import Model
from weitiao.models.heads import two_way, use_of

Wanted = Sequence[int] | Literal["targets", "hits"]
"""Log-probabilities of these tokens or categories, [asked, wanted]; of the targets, [asked]; or of the targets, and 1
where no token is likelier, [asked, 2]."""


class Taken:
    """Takes ``wanted`` from the float32 logits [asked, answers] of ``model``, and their targets [asked]."""

    def __init__(self, model: Model, wanted: Wanted) -> None:
        self._wanted = wanted
        self._several = use_of(model).several

    def room(self, asked: int) -> Tensor:
        """Where it goes, part by part: float32 [asked, …].

        Taken before the logits: a small block between large ones keeps their place from being used again.
        """
        if isinstance(self._wanted, str):
            return torch.empty((asked, 2) if self._wanted == "hits" else (asked,))
        return torch.empty((asked, len(self._wanted)))

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """[asked, …]"""
        if self._several:
            return self._of_several(logits, targets)
        every = torch.logsumexp(logits.float(), dim=-1, keepdim=True)
        if not isinstance(self._wanted, str):
            return logits[:, torch.tensor(list(self._wanted), device=logits.device)] - every
        logs = (logits.gather(1, targets[:, None]) - every)[:, 0]
        return logs if self._wanted == "targets" else torch.stack([logs, (logits.argmax(-1) == targets).float()], -1)

    def _of_several(self, logits: Tensor, targets: Tensor) -> Tensor:
        """A category is yes or no by itself; the targets of a text are the answers for all."""
        pairs, answers = two_way(logits.float(), targets)
        logs = torch.log_softmax(pairs, dim=-1)
        if not isinstance(self._wanted, str):
            return logs[:, 1].view(logits.shape)[:, torch.tensor(list(self._wanted), device=logits.device)]
        assert self._wanted == "targets", "no single answer is the likeliest of several"
        return logs.gather(1, answers[:, None]).view(logits.shape).sum(1)
