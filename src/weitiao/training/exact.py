"""The exact engine: transformers' own modules, for any architecture. What the fast one must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weitiao.models.anatomy import Model, blocks, embeddings, head_width
from weitiao.models.head_parts import head_parts
from weitiao.models.heads import attends_both_ways
from weitiao.objectives.row import Row
from weitiao.training.batches import PASS_PRICE, Batch, after, batches_of_step, micro_batches, padded
from weitiao.training.chance import seed_for
from weitiao.training.engine import EngineName
from weitiao.training.loss import asked_hidden, learn, logits_of
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace
from weitiao.training.prefix import Prefix, may_share, shared_length, without_prefix

CAPACITY = 4096  # tokens of one forward pass without gradients
Take = Callable[[Tensor, Tensor], Tensor]
"""What is wanted of float32 logits [asked, vocabulary] and their targets [asked]."""

SHARE_PREFIX = True  # of rows that are read; the off switch
_KEPT_WIDTHS = 34
_KEPT_HIDDEN = 5


class Exact:
    """Rows padded to similar lengths or packed, what they begin with computed once."""

    name: EngineName = "exact"
    price = PASS_PRICE
    identity = "exact"

    def __init__(self, model: Model) -> None:
        self.model = model
        self._both_ways = attends_both_ways(model)
        self._may_share = may_share(model) and not self._both_ways

    @property
    def kept_bytes(self) -> int:
        """As measured on SmolLM2: so many copies of what the layers read and of the widest that they calculate."""
        layers = blocks(self.model)
        widest = max(max(weight.shape) for weight in layers[0].parameters() if weight.dim() > 1)
        width = embeddings(self.model).embedding_dim
        return len(layers) * (_KEPT_WIDTHS * width + _KEPT_HIDDEN * widest) * embeddings(self.model).weight.itemsize

    def passes(self, rows: Sequence[Row], pace: Pace) -> list[tuple[int, int]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        shared = self._shared(rows, pace)
        rests = [without_prefix(row, shared) for row in rows] if shared else rows
        cut = [(batch.tokens.size, batch.asked) for batch in self._batches(rests, pace)]
        return [(shared, 0), *cut] if shared else cut

    def pass_over(self, rows: Sequence[Row]) -> float:
        """The summed loss of ``rows`` in nats; gradients stay at the parameters."""
        self.model.train()
        return learn(self.model, padded(rows, self._both_ways))[0]

    def learn(self, rows: Sequence[Row], masters: Masters, pace: Pace, step: int) -> tuple[float, int]:
        """As :class:`weitiao.training.engine.Engine` says."""
        self.model.train()
        total, targets = 0.0, 0
        shared = self._shared(rows, pace)
        prefix = Prefix(self.model, rows[0].tokens[:shared]) if shared else None
        rests = [without_prefix(row, shared) for row in rows] if shared else rows
        for number, batch in enumerate(self._batches(rests, pace)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_for(pace.seed, "dropout", step, number))
                past = prefix.cache(len(batch.tokens)) if prefix else None
                loss, count = learn(self.model, after(batch, shared), past)
            masters.collect()
            total, targets = total + loss, targets + count
        if prefix:
            prefix.backward()
            masters.collect()
        return total, targets

    def _batches(self, rows: Sequence[Row], pace: Pace) -> list[Batch]:
        return batches_of_step(rows, pace.capacity, pace.packing, self._both_ways)

    def _shared(self, rows: Sequence[Row], pace: Pace) -> int:
        return shared_length(rows) if pace.share_prefix and self._may_share and not pace.packing else 0

    def read(self, rows: Sequence[Row], candidates: Sequence[int] | None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        return self._read(rows, lambda logits, targets: log_probabilities(logits, targets, candidates))

    def judge(self, rows: Sequence[Row]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        return self._read(rows, judged)

    def _read(self, rows: Sequence[Row], take: Take) -> Iterator[tuple[int, NDArray[np.float32]]]:
        self.model.eval()
        with torch.inference_mode():
            shared = shared_length(rows) if SHARE_PREFIX and not self._both_ways else 0
            prefix = Prefix(self.model, rows[0].tokens[:shared]) if shared else None
            rests = [without_prefix(row, shared) for row in rows]
            for group in micro_batches([len(row.tokens) for row in rests], CAPACITY):
                batch = after(padded([rests[index] for index in group], self._both_ways), shared)
                hidden, targets = asked_hidden(self.model, batch, prefix.cache(len(group)) if prefix else None)
                logs = [
                    take(logits_of(self.model, hidden[part], wide=True), targets[part])
                    for part in head_parts(len(targets), head_width(self.model))
                ]
                counts = [rests[index].asked for index in group]
                for index, found in zip(group, torch.cat(logs).cpu().split(counts), strict=True):
                    yield index, found.numpy()


def judged(logits: Tensor, targets: Tensor) -> Tensor:
    """[asked, 2]: the log-probability of each target, and 1 where no token is likelier."""
    likeliest = logits.argmax(-1) == targets
    return torch.stack([log_probabilities(logits, targets, None), likeliest.float()], dim=-1)


def log_probabilities(logits: Tensor, targets: Tensor, candidates: Sequence[int] | None) -> Tensor:
    """Of the ``targets``, [asked], or of the tokens ``candidates``, [asked, candidates], from float32 logits."""
    every = torch.logsumexp(logits.float(), dim=-1, keepdim=True)
    if candidates is None:
        return (logits.gather(1, targets[:, None]) - every)[:, 0]
    return logits[:, torch.tensor(list(candidates), device=logits.device)] - every
