"""Memory and time of a run, foreseen before its first step. The report later says how far off this was."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

# Measured on SmolLM2-135M: the share of a plain product's speed that a whole training step reaches, and how many
# copies of a layer's inputs the backward pass keeps. docs/log.md has the runs.
_STEP_EFFICIENCY = 0.75
_SCORING_EFFICIENCY = 0.65
_KEPT_WIDTHS = 34
_KEPT_HIDDEN = 5
_PROCESS_BYTES = 900 * 2**20  # Python, torch, transformers, and what scoring holds for a moment
_FILE_BYTES = 4  # of each weight: the float32 file stays mapped while its weights are converted


@dataclass(frozen=True, slots=True)
class Load:
    """What a run has to do."""

    parameters: int
    trained: int
    layers: int
    width: int
    hidden: int  # of the feed-forward part
    vocabulary: int
    bytes_per_weight: int
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
    """Weights, float32 masters with their optimizer, kept activations, logits, and the process itself."""
    weights = load.parameters * (load.bytes_per_weight + (_FILE_BYTES if load.bytes_per_weight < _FILE_BYTES else 0))
    # Master, gradient sum and two moments; float32 weights are their own masters.
    learning = load.trained * 4 * (4 if load.bytes_per_weight < 4 else 3)
    gradients = load.trained * load.bytes_per_weight
    kept = load.layers * (_KEPT_WIDTHS * load.width + _KEPT_HIDDEN * load.hidden)
    activations = load.tokens_per_pass * kept * load.bytes_per_weight
    logits = load.asked_per_pass * load.vocabulary * (4 + 4 + load.bytes_per_weight)
    return int(_PROCESS_BYTES + weights + learning + gradients + activations + logits)


def seconds(load: Load, flops_per_second: float) -> float:
    """Two operations a weight and token forward, as many for each of the backward products that are needed."""
    backward = 4 if load.full_gradient else 2
    training = load.train_tokens * load.parameters * (2 + backward) / (flops_per_second * _STEP_EFFICIENCY)
    scoring = load.scored_tokens * load.parameters * 2 / (flops_per_second * _SCORING_EFFICIENCY)
    return training + scoring


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
