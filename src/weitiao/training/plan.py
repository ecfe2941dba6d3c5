"""Memory and time of a run, foreseen before its first step. The report later says how far off this was."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from weitiao.models.head_parts import LOGITS
from weitiao.training.engine import EngineName

# The share of a plain product's speed that a step and scoring reach, measured on SmolLM2-135M; docs/log.md.
_STEP_EFFICIENCY = {"exact": 0.43, "fast": 0.67}
_SCORING_EFFICIENCY = {"exact": 0.4, "fast": 0.6}

_PRODUCTS_BYTES = 50 * 2**20  # compiled for their sizes and kept, on a CPU; weitiao.process
_GAPS = 1.12  # what comes and goes leaves room between its blocks that nothing fits into; docs/log.md


@dataclass(frozen=True, slots=True)
class Work:
    """So many tokens and asked positions. ``under`` are the tokens that go through the blocks that never change."""

    tokens: int  # padding and the fixed price of each pass included
    under: int
    asked: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass through the model, and the bytes a token that are held at once, its logits not counted."""

    tokens: int
    asked: int
    token_bytes: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a run has to do, and what its process holds already."""

    engine: EngineName
    under: int  # weights of the blocks under all that learns
    above: int  # of the others
    trained: int
    width: int
    vocabulary: int
    bytes_per_weight: int
    present_bytes: int  # of memory, with model, masters and gradient sums in place
    peak_bytes: int  # the most so far
    learned: Pass  # the largest with gradient
    read: Pass  # the largest without
    training: Work  # over all steps
    scoring: Work  # over all evaluations
    full_gradient: bool  # gradients reach the base weights, not only an adapter
    head_learns: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """What it will take."""

    memory_bytes: int
    seconds: float


def estimate(load: Load, flops_per_second: float) -> Estimate:
    """Memory and time of ``load`` on a machine that multiplies at ``flops_per_second``."""
    return Estimate(memory_bytes(load), seconds(load, flops_per_second))


def memory_bytes(load: Load) -> int:
    """What is there, the optimizer's moments, and the larger of what training and scoring hold at once.

    Or what loading has taken, where that was more.
    """
    moments = 2 * 4 * load.trained
    stays = load.present_bytes + _PRODUCTS_BYTES + moments
    return max(load.peak_bytes, int(stays + _GAPS * max(_learning_bytes(load), _reading_bytes(load))))


def _learning_bytes(load: Load) -> int:
    """Gradients, what is kept for the way back, and logits: their gradients in place, or beside them in float32 too."""
    copies = load.bytes_per_weight if load.engine == "fast" else 2 * (load.bytes_per_weight + 4)
    kept = load.learned.tokens * load.learned.token_bytes
    return load.trained * load.bytes_per_weight + kept + copies * _logits(load.learned, load)


def _reading_bytes(load: Load) -> int:
    """A float32 copy of the head's weights where they are no float32, the pass, and float32 logits with their sums."""
    wide_head = 4 * load.vocabulary * load.width if load.bytes_per_weight < 4 else 0
    return wide_head + load.read.tokens * load.read.token_bytes + 2 * 4 * _logits(load.read, load)


def _logits(of: Pass, load: Load) -> int:
    return min(of.asked * load.vocabulary, LOGITS)


def seconds(load: Load, flops_per_second: float) -> float:
    """Two operations a weight and token forward, as many for each of the backward products that are needed."""
    head = load.vocabulary * load.width
    learns, back = (6 if load.full_gradient else 4), (6 if load.head_learns else 4)
    work = load.training
    training = work.under * load.under * 2 + work.tokens * load.above * learns + work.asked * head * back
    work = load.scoring
    scoring = 2 * (work.under * load.under + work.tokens * load.above + work.asked * head)
    spent = training / _STEP_EFFICIENCY[load.engine] + scoring / _SCORING_EFFICIENCY[load.engine]
    return spent / flops_per_second


def measure_flops(width: int, hidden: int, dtype: torch.dtype) -> float:
    """Operations a second of one of the model's own products, best of a few: about 30 ms."""
    inputs = torch.randn(512, width, dtype=dtype)
    weight = torch.randn(hidden, width, dtype=dtype)
    operations = 2 * 512 * width * hidden
    best = float("inf")
    spent = 0.0
    while spent < 0.03:
        start = time.perf_counter()
        torch.nn.functional.linear(inputs, weight)
        taken = time.perf_counter() - start
        best = min(best, taken)
        spent += taken
    return operations / best
