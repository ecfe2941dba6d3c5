"""AdaLoRA's budget (Zhang et al., 2023, arXiv:2303.10512): which singular values are taken away, step by step.

Separate from the optimizer, which only calls it. What is taken away follows from the step and from the tensors that a
checkpoint holds, so a resumed run takes away the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_SMOOTHING = 0.85  # of importance and of its uncertainty, from step to step
_ORTHOGONALITY = 0.5  # how strongly the singular vectors are kept orthonormal
_WARMUP, _FINAL = 0.1, 0.3  # the shares of the steps before anything is taken away, and after the last is
_DECISIONS = 100  # about so many, spread over the steps between
_VALUES = ".lora_E."


class Budget:
    """Of AdaLoRA's weights, by their ``names``, so many singular values a layer stay on average as ``rank`` says."""

    def __init__(self, names: Iterable[str], rank: int, steps: int) -> None:
        self._values = [name for name in names if _VALUES in name]
        self._left = rank * len(self._values)
        self._begin, self._end = int(_WARMUP * steps), int((1 - _FINAL) * steps)
        self._between = max((self._end - self._begin) // _DECISIONS, 1)
        self._step = 0
        self._importance: dict[str, Tensor] = {}
        self._uncertainty: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}  # bool [rank, 1], once all is decided

    def pull(self, weights: Mapping[str, Tensor]) -> None:
        """Add to the gradients what draws the singular vectors of each layer towards orthonormal ones."""
        share = _ORTHOGONALITY / max(2 * len(self._values), 1)
        for name in self._values:
            down, _, up = _triplet(weights, name)
            assert down.grad is not None and up.grad is not None
            down.grad.add_(_apart(down), alpha=share)
            up.grad.add_(_apart(up.T).T, alpha=share)

    def allocate(self, weights: Mapping[str, Tensor]) -> None:
        """After a step of the optimizer: weigh what its gradients moved, and take away what there is no room for."""
        self._step += 1
        if self._step < self._end:
            self._weigh(weights)
        if self._step <= self._end and self._importance:
            due = self._step > self._begin and self._step % self._between == 0
            if due or self._step == self._end:
                kept = self._chosen(weights, self._room(weights))
                self._take_away(weights, kept)
                if self._step == self._end:
                    self._kept, self._importance, self._uncertainty = kept, {}, {}
        self._take_away(weights, self._kept)

    def state(self) -> dict[str, Tensor]:
        """All that the next decisions follow from."""
        return {
            "budget/step": torch.tensor(self._step),
            **{f"importance/{name}": tensor for name, tensor in self._importance.items()},
            **{f"uncertainty/{name}": tensor for name, tensor in self._uncertainty.items()},
            **{f"kept/{name}": tensor for name, tensor in self._kept.items()},
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what :meth:`state` returned."""
        self._step = int(tensors["budget/step"])
        self._importance, self._uncertainty, self._kept = (
            {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
            for part in ("importance/", "uncertainty/", "kept/")
        )

    def _weigh(self, weights: Mapping[str, Tensor]) -> None:
        """How much the loss would change without a weight, smoothed, and how far that strays."""
        for name, weight in weights.items():
            assert weight.grad is not None
            now = (weight * weight.grad).abs()
            smooth = self._importance.get(name, torch.zeros_like(now)).lerp(now, 1 - _SMOOTHING)
            strays = (now - smooth).abs()
            self._uncertainty[name] = self._uncertainty.get(name, torch.zeros_like(now)).lerp(strays, 1 - _SMOOTHING)
            self._importance[name] = smooth

    def _room(self, weights: Mapping[str, Tensor]) -> int:
        """How many singular values of all layers may stay: a cubic way down."""
        every = sum(len(weights[name]) for name in self._values)
        ahead = 1 - (self._step - self._begin) / (self._end - self._begin)
        return int((every - self._left) * ahead**3 + self._left)

    def _chosen(self, weights: Mapping[str, Tensor], room: int) -> dict[str, Tensor]:
        """True for the ``room`` most important, each with its two vectors."""
        scores = {name: self._scored(name) for name in self._values}
        every = torch.cat(list(scores.values()))
        if room >= len(every):
            return {}
        least = torch.kthvalue(every, len(every) - room).values
        return {name: (score > least)[:, None] for name, score in scores.items()}

    def _scored(self, name: str) -> Tensor:
        """Of each singular value of a layer, [rank]."""
        down, values, up = (
            smooth * strays
            for smooth, strays in zip(_triplet(self._importance, name), _triplet(self._uncertainty, name), strict=True)
        )
        return values[:, 0] + down.mean(1) + up.mean(0)

    def _take_away(self, weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, stays in kept.items():
                weights[name].mul_(stays)


def _triplet(weights: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of the layer whose singular values are called ``name``: right vectors, values, left vectors."""
    down, up = (weights[name.replace(_VALUES, f".lora_{letter}.")] for letter in "AB")
    return down, weights[name], up


def _apart(vectors: Tensor) -> Tensor:
    """The gradient of how far the rows of ``vectors`` are from orthonormal, in the Frobenius norm."""
    off = vectors @ vectors.T - torch.eye(len(vectors), device=vectors.device)
    return 2 * (off / off.norm().clamp_min(1e-12)) @ vectors
