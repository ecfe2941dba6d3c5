"""The fast engine: :mod:`weitiao.models.fast` under the same contract, and the proof that it calculates the same.

Before the first step the first rows go through both engines. A fast path that differs is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from weitiao.models.anatomy import Model, embeddings, head_width
from weitiao.models.fast.layout import Layout, lay_out
from weitiao.models.fast.native import kernels
from weitiao.models.fast.parts import Skeleton, UnlikeError
from weitiao.models.fast.pattern import skeleton
from weitiao.models.fast.stack import Stack
from weitiao.models.head_parts import head_parts
from weitiao.models.heads import use_of
from weitiao.models.virtual import virtual_tokens
from weitiao.objectives.row import Row
from weitiao.training.activation_files import ActivationFiles
from weitiao.training.activations import Activations
from weitiao.training.batches import micro_batches
from weitiao.training.engine import Engine, EngineName
from weitiao.training.exact import CAPACITY, Exact
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace
from weitiao.training.prefix import may_share, shared_length
from weitiao.training.proof import Proof
from weitiao.training.proved import is_proved, remember
from weitiao.training.rows import RowSource
from weitiao.training.taken import Taken, Wanted
from weitiao.words import t

_GROUP_PRICE = 8  # tokens that a group of rows costs beyond its own; docs/log.md
_CHECKED = (12, 8, 4)  # tokens of each of the first rows; docs/log.md has the faults that they find


class Fast:
    """Rows without padding masks or passes of their own; see :mod:`weitiao.models.fast`."""

    name: EngineName = "fast"
    price = 16

    @property
    def identity(self) -> str:
        """As :class:`weitiao.training.engine.Engine` says."""
        return "fast, compiled" if kernels() else "fast"

    def __init__(self, model: Model, parts: Skeleton | None = None) -> None:
        """``parts`` are what :func:`fitting` has found. Raises UnlikeError, changing nothing, where there is no fit."""
        self._stack = Stack(parts or fitting(model))
        self.model = model
        self._activations: Activations | None = None

    @property
    def border(self) -> int:
        """How many blocks can never change."""
        return self._stack.border

    def keep(self, rows: RowSource, files: ActivationFiles, scored_bytes: int) -> None:
        """From now on, keep in ``files`` what those blocks return: for ``rows``, and at most ``scored_bytes`` of what
        is read. All rows that are learned must be among ``rows``.
        """
        weight = embeddings(self.model).weight
        self._activations = Activations(
            self._stack,
            lambda part: _layouts(part, CAPACITY, self._shared(part)),
            rows,
            files,
            weight.dtype,
            weight.shape[1],
            scored_bytes,
        )

    def kept_bytes(self, length: int) -> int:
        """As :class:`weitiao.training.engine.Engine` says."""
        return self._stack.kept_bytes

    def held_bytes(self, length: int) -> int:
        """As :class:`weitiao.training.engine.Engine` says: the widest of what one block makes, and its input."""
        return 2 * self._stack.kept_bytes_of_block

    def passes(self, rows: Sequence[Row], pace: Pace) -> list[tuple[int, int]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        cut = _layouts(rows, pace.capacity, self._shared(rows, pace))
        return [(len(layout.tokens), len(layout.targets)) for _, layout in cut]

    def pass_over(self, rows: Sequence[Row]) -> float:
        """The summed loss of ``rows`` in nats; gradients stay at the parameters."""
        return sum(self._stack.learn(layout) for _, layout in _layouts(rows, CAPACITY, self._shared(rows)))

    def learn(self, rows: Sequence[Row], masters: Masters, pace: Pace, step: int) -> tuple[float, int]:
        """As :class:`weitiao.training.engine.Engine` says."""
        total, targets = 0.0, 0
        kept = self._activations
        for numbers, layout in _layouts(rows, pace.capacity, self._shared(rows, pace)):
            below = kept.of_step([rows[number] for number in numbers], layout) if kept else None
            total += self._stack.learn(layout, below)
            targets += len(layout.targets)
            masters.collect()
        return total, targets

    def read(self, rows: Sequence[Row], wanted: Wanted) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """As :class:`weitiao.training.engine.Engine` says."""
        take = Taken(self.model, wanted)
        logits = self._stack.head.reader()
        for numbers, layout in _layouts(rows, CAPACITY, self._shared(rows)):
            below = self._activations.of_pass(layout) if self._activations else None
            hidden = self._stack.hidden(layout, below)
            targets = torch.from_numpy(layout.targets)
            logs = take.room(len(targets))
            for part in head_parts(len(targets), self._stack.head.outputs):
                logs[part] = take(logits(hidden[part]), targets[part])
            counts = [rows[number].asked for number in numbers]
            for number, found in zip(numbers, logs.split(counts), strict=True):
                yield number, found.numpy()

    def _shared(self, rows: Sequence[Row], pace: Pace | None = None) -> int:
        """How many tokens the rows share: none in an encoder, where what begins a row sees how it ends."""
        if not self._stack.causal:
            return 0
        assert not any(row.prefix for row in rows), "engine_for gives such rows to the exact engine"
        return shared_length(rows) if pace is None or pace.share_prefix else 0


def fitting(model: Model) -> Skeleton:
    """The model's parts. Raises UnlikeError where it has no fast path."""
    if virtual_tokens(model):
        raise UnlikeError(t("virtual tokens"))
    if not may_share(model):
        raise UnlikeError("dropout")
    if next(model.parameters()).device.type != "cpu":
        raise UnlikeError("GPU")
    return skeleton(model)


def engine_for(model: Model, wanted: str, rows: RowSource, digest: str = "") -> tuple[Engine, str]:
    """The fast engine where it fits ``model`` and agrees with the exact one on the first of ``rows``; else that one.

    ``wanted`` is auto, exact or fast. ``digest`` is of the model's files, so that agreement can be remembered. Also a
    sentence for people: why the exact engine is used although the fast one was not ruled out; empty otherwise.
    """
    exact = Exact(model)
    if wanted == "exact":
        return exact, ""
    try:
        parts = fitting(model)
        first = [(rows[number], length) for number, length in zip(range(len(rows)), _CHECKED, strict=False)]
        if parts.causal and any(row.prefix for row, _ in first):
            raise UnlikeError(t("its rows are read from both sides"))
        if is_proved(model, digest):
            return Fast(model, parts), ""
        answers = 2 if use_of(model).several else head_width(model)
        some = [_all_asked(row, length, answers) for row, length in first]
        proof = Proof(exact, [row for row in some if len(row.tokens)])
        fast = Fast(model, parts)
    except UnlikeError as unlike:
        reason = t("the fast one does not fit this model ({part})", part=str(unlike))
        return exact, t("the exact engine is used: {reason}", reason=reason)
    differs = proof.difference(fast)
    if differs:
        reason = t("the fast one differs on the first rows, {difference}", difference=differs)
        return exact, t("the exact engine is used: {reason}", reason=reason)
    remember(model, digest)
    return fast, ""


def _layouts(rows: Sequence[Row], capacity: int, shared: int) -> Iterator[tuple[list[int], Layout]]:
    """The passes of ``rows``, of at most ``capacity`` tokens: their row numbers in order, and where they lie."""
    assert all(row.prefix in (0, len(row.tokens)) for row in rows), "engine_for gives such rows to the exact engine"
    groups = micro_batches([len(row.tokens) - shared for row in rows], capacity, _GROUP_PRICE)
    waiting: list[list[int]] = []
    tokens = 0
    for group in groups:
        padded_tokens = len(group) * max(len(rows[number].tokens) - shared for number in group)
        if waiting and tokens + padded_tokens > capacity:
            yield [number for each in waiting for number in each], lay_out(rows, waiting, shared)
            waiting, tokens = [], 0
        waiting.append(group)
        tokens += padded_tokens
    if waiting:
        yield [number for each in waiting for number in each], lay_out(rows, waiting, shared)


def _all_asked(row: Row, length: int, answers: int) -> Row:
    """The last ``length`` tokens of ``row``, at every one of them the next one asked, as one of so many ``answers``."""
    tokens = row.tokens[-length - 1 :]
    return Row(row.example, tokens[:-1], tokens[1:] % answers)
