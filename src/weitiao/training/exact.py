"""The exact engine: transformers' own modules, for any architecture. What the fast one must equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from weitiao.models.anatomy import Model, blocks, embeddings, head_width, lowest_learning, plain, sees_both_sides
from weitiao.models.head_parts import head_parts
from weitiao.models.virtual import virtual_tokens
from weitiao.objectives.row import Row
from weitiao.training.batches import PASS_PRICE, Batch, after, batches_of_step, micro_batches, padded
from weitiao.training.chance import seed_for
from weitiao.training.engine import EngineName
from weitiao.training.loss import asked_hidden, learn, logits_of, widened
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace
from weitiao.training.prefix import Prefix, may_share, shared_length, without_prefix
from weitiao.training.taken import Taken, Wanted

CAPACITY = 4096  # tokens of one forward pass without gradients
SHARE_PREFIX = True  # of rows that are read; the off switch
# Of each token autograd keeps, in a block like Llama's: both norms' inputs in float32 and what they return, the inputs
# of four adapters, queries, keys and values; the gate, what it lets through, and the unit's input and output.
_KEPT_WIDTHS = 12
_KEPT_HIDDEN = 4


class Exact:
    """Rows padded to similar lengths or packed, what they begin with computed once."""

    name: EngineName = "exact"
    price = PASS_PRICE
    identity = "exact"

    def __init__(self, model: Model) -> None:
        self.model = model
        self._both_ways = sees_both_sides(model)
        self._may_share = may_share(model) and not self._both_ways
        self._virtual = virtual_tokens(model)

    def kept_bytes(self, length: int) -> int:
        """As :class:`weitiao.training.engine.Engine` says."""
        return (len(blocks(self.model)) - lowest_learning(self.model)) * self.held_bytes(length)

    def held_bytes(self, length: int) -> int:
        """As :class:`weitiao.training.engine.Engine` says: of one block, attention's shares too, in two types."""
        weight = embeddings(self.model).weight
        widest = max(max(weight.shape) for weight in blocks(self.model)[0].parameters() if weight.dim() > 1)
        heads = int(plain(self.model).config.to_dict().get("num_attention_heads") or 1)
        copies = _KEPT_WIDTHS * weight.shape[1] + _KEPT_HIDDEN * widest
        shares = heads * length * (4 + weight.itemsize % 4)
        return copies * weight.itemsize + shares

    def passes(self, rows: Sequence[Row], pace: Pace) -> list[tuple[int, int]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        shared = self._shared(rows, pace)
        rests = [without_prefix(row, shared) for row in rows] if shared else rows
        cut = [(batch.tokens.size, batch.asked) for batch in self._batches(rests, pace)]
        return [(self._virtual + shared, 0), *cut] if self._virtual + shared else cut

    def pass_over(self, rows: Sequence[Row]) -> float:
        """The summed loss of ``rows`` in nats; gradients stay at the parameters."""
        self.model.train()
        return learn(self.model, padded(rows, self._both_ways))[0]

    def learn(self, rows: Sequence[Row], masters: Masters, pace: Pace, step: int) -> tuple[float, int]:
        """As :class:`weitiao.training.engine.Engine` says."""
        self.model.train()
        total, targets = 0.0, 0
        shared = self._shared(rows, pace)
        with _drawn_from(pace.seed, step, -1):
            prefix = self._prefix(rows, shared)
        rests = [without_prefix(row, shared) for row in rows] if shared else rows
        for number, batch in enumerate(self._batches(rests, pace)):
            with _drawn_from(pace.seed, step, number):
                past = prefix.cache(len(batch.tokens)) if prefix else None
                loss, count = learn(self.model, after(batch, self._virtual + shared), past)
            masters.collect()
            total, targets = total + loss, targets + count
        if prefix:
            prefix.backward()
            masters.collect()
        return total, targets

    def _batches(self, rows: Sequence[Row], pace: Pace) -> list[Batch]:
        return batches_of_step(rows, pace.capacity, self._packing(pace), self._both_ways)

    def read(self, rows: Sequence[Row], wanted: Wanted) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        take = Taken(self.model, wanted)
        self.model.eval()
        with torch.inference_mode(), widened(self.model):
            shared = shared_length(rows) if SHARE_PREFIX and not self._both_ways else 0
            prefix = self._prefix(rows, shared)
            rests = [without_prefix(row, shared) for row in rows]
            for group in micro_batches([len(row.tokens) for row in rests], CAPACITY):
                batch = after(padded([rests[index] for index in group], self._both_ways), self._virtual + shared)
                hidden, targets = asked_hidden(self.model, batch, prefix.cache(len(group)) if prefix else None)
                logs = take.room(len(targets))
                for part in head_parts(len(targets), head_width(self.model)):
                    logs[part] = take(logits_of(self.model, hidden[part]), targets[part])
                counts = [rests[index].asked for index in group]
                for index, found in zip(group, logs.split(counts), strict=True):
                    yield index, found.numpy()

    def _shared(self, rows: Sequence[Row], pace: Pace) -> int:
        return shared_length(rows) if pace.share_prefix and self._may_share and not self._packing(pace) else 0

    def _packing(self, pace: Pace) -> bool:
        """Never behind virtual tokens: transformers keeps packed rows apart only where no cache stands before them."""
        return pace.packing and not self._virtual

    def _prefix(self, rows: Sequence[Row], shared: int) -> Prefix | None:
        return Prefix(self.model, rows[0].tokens[:shared]) if self._virtual + shared else None


@contextmanager
def _drawn_from(seed: int, step: int, number: int) -> Iterator[None]:
    """Dropout inside is that of a step's batch with this ``number``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "dropout", step, number))
        yield
