"""AdamW over float32 masters of what learns, and the schedule as a function of the step.

Masters: in bfloat16 a small step rounds to no step at all, so weights that learn are kept in float32 beside the
model's. The schedule has no state: the rate of step n follows from n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from weitiao.training.budget import Budget

Schedule = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True, slots=True)
class Rate:
    """The learning rate of each step: a linear warm-up to ``peak``, then the schedule down to zero at the end."""

    peak: float
    steps: int
    warmup_steps: int
    schedule: Schedule

    def at(self, step: int) -> float:
        """The rate of ``step``, counted from 0."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.peak
        progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        remaining = 1 - min(progress, 1)
        return self.peak * (remaining if self.schedule == "linear" else (1 - math.cos(math.pi * remaining)) / 2)


class Masters:
    """The float32 weights that learn, their gradient sums, and AdamW (arXiv:1711.05101) over them."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        weight_decay: float,
        rates: Mapping[str, float] | None = None,  # times the rate of the others, where it is not the same
        budget: Budget | None = None,
    ) -> None:
        self._parameters = dict(parameters)
        # A float32 parameter is its own master: detach() shares its memory.
        self.weights = {name: parameter.detach().float() for name, parameter in self._parameters.items()}
        self._sums = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            weight.grad = self._sums[name]
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, weight in self.weights.items():
            kind = (weight_decay if weight.dim() > 1 else 0.0, (rates or {}).get(name, 1.0))
            groups.setdefault(kind, []).append(weight)
        made = [{"params": group, "weight_decay": decay, "times": times} for (decay, times), group in groups.items()]
        self._adamw = torch.optim.AdamW(made, lr=0.0, fused=True)
        self._budget = budget

    def collect(self) -> None:
        """Add the model's gradients to the masters' sums, and clear them."""
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                self._sums[name].add_(parameter.grad)
                parameter.grad = None

    def step(self, rate: float, targets: int, max_grad_norm: float) -> float:
        """One step on the mean gradient over ``targets``, clipped. Returns the norm before clipping.

        A norm that is not finite changes nothing.
        """
        gradients = list(self._sums.values())
        torch._foreach_div_(gradients, float(max(targets, 1)))
        if self._budget:
            self._budget.pull(self.weights)
        norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(grad) for grad in gradients])))
        if math.isfinite(norm):
            if norm > max_grad_norm > 0:
                torch._foreach_mul_(gradients, max_grad_norm / norm)
            for group in self._adamw.param_groups:
                group["lr"] = rate * group["times"]
            self._adamw.step()
            if self._budget:
                self._budget.allocate(self.weights)
            self.publish()
        torch._foreach_zero_(gradients)
        return norm

    def publish(self) -> None:
        """Write the masters into the model, rounded to its precision."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self.weights[name])

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take ``weights`` as masters and write them into the model."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(weights[name])
        self.publish()

    def begin_again(self, weights: Mapping[str, Tensor]) -> None:
        """Take ``weights`` as :meth:`load_weights` does, and forget every step that was taken."""
        self._adamw.state.clear()
        self.load_weights(weights)

    def moments(self) -> dict[str, Tensor]:
        """AdamW's state as tensors by name: ``first/NAME``, ``second/NAME``, ``steps/NAME``; and the budget's."""
        tensors = self._budget.state() if self._budget else {}
        for name, weight in self.weights.items():
            state = self._adamw.state.get(weight)
            if state:
                tensors[f"first/{name}"] = state["exp_avg"]
                tensors[f"second/{name}"] = state["exp_avg_sq"]
                tensors[f"steps/{name}"] = state["step"]
        return tensors

    def load_moments(self, tensors: Mapping[str, Tensor]) -> None:
        """Take AdamW's state and the budget's from what :meth:`moments` returned."""
        if self._budget:
            self._budget.load(tensors)
        for name, weight in self.weights.items():
            if f"first/{name}" in tensors:
                parts = {"exp_avg": "first", "exp_avg_sq": "second", "step": "steps"}
                self._adamw.state[weight] = {
                    key: tensors[f"{part}/{name}"].to(weight.device, copy=True) for key, part in parts.items()
                }
