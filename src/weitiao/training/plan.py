"""Memory and time of a run, foreseen before its first step. The report later says how far off this was."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from weitiao.models.head_parts import LOGITS
from weitiao.training.engine import EngineName

# The share of a plain product's speed that a step and scoring reach, measured on SmolLM2-135M; docs/log.md.
_STEP_EFFICIENCY = {"exact": 0.55, "fast": 0.85}
_SCORING_EFFICIENCY = {"exact": 0.5, "fast": 0.75}


_PRODUCTS_BYTES = 180 * 2**20  # compiled for their sizes and kept, on a CPU; weitiao.process


@dataclass(frozen=True, slots=True)
class Load:
    """What a run has to do, and what its process holds already."""

    engine: EngineName
    parameters: int
    trained: int
    width: int
    vocabulary: int
    bytes_per_weight: int
    present_bytes: int  # of memory, with model, masters and gradient sums in place
    kept_bytes: int  # for the way back, a token
    tokens_per_pass: int  # of the largest forward pass with gradient
    asked_per_pass: int
    train_tokens: int  # over all steps, padding and the fixed price of each pass included
    scored_tokens: int  # over all evaluations
    full_gradient: bool  # gradients reach the base weights, not only an adapter


@dataclass(frozen=True, slots=True)
class Estimate:
    """What it will take."""

    memory_bytes: int
    seconds: float


def estimate(load: Load, flops_per_second: float) -> Estimate:
    """Memory and time of ``load`` on a machine that multiplies at ``flops_per_second``."""
    return Estimate(memory_bytes(load), seconds(load, flops_per_second))


def memory_bytes(load: Load) -> int:
    """What is there, the optimizer's moments, gradients, and the larger of what training and scoring hold at once."""
    learning = load.trained * (2 * 4 + load.bytes_per_weight)
    logits = min(load.asked_per_pass * load.vocabulary, LOGITS)
    training = load.tokens_per_pass * load.kept_bytes + 2 * logits * (load.bytes_per_weight + 4)
    scoring = 4 * load.vocabulary * load.width + 2 * 4 * LOGITS
    return int(load.present_bytes + _PRODUCTS_BYTES + learning + max(training, scoring))


def seconds(load: Load, flops_per_second: float) -> float:
    """Two operations a weight and token forward, as many for each of the backward products that are needed."""
    backward = 4 if load.full_gradient else 2
    training = load.train_tokens * load.parameters * (2 + backward) / _STEP_EFFICIENCY[load.engine]
    scoring = load.scored_tokens * load.parameters * 2 / _SCORING_EFFICIENCY[load.engine]
    return (training + scoring) / flops_per_second


def measure_flops(width: int, hidden: int, dtype: torch.dtype) -> float:
    """Operations a second of one of the model's own products, best of a few: about a tenth of a second."""
    inputs = torch.randn(512, width, dtype=dtype)
    weight = torch.randn(hidden, width, dtype=dtype)
    operations = 2 * 512 * width * hidden
    best = float("inf")
    spent = 0.0
    while spent < 0.1:
        start = time.perf_counter()
        torch.nn.functional.linear(inputs, weight)
        taken = time.perf_counter() - start
        best = min(best, taken)
        spent += taken
    return operations / best
