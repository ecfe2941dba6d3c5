"""The proof before the first step: what lets an engine through, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import TinyFolders
from tiny_training import METHOD, learner, random_rows
from weitiao.models.anatomy import Model
from weitiao.models.fast import elementwise
from weitiao.objectives.row import Row
from weitiao.training import proof
from weitiao.training.exact import Exact
from weitiao.training.fast import Fast
from weitiao.training.proof import Proof

FAST = ("llama", "qwen3", "mistral", "gemma3", "glm4")


class Off:
    """The exact engine, with loss and gradients off by a share."""

    def __init__(self, model: Model, loss: float, gradient: float) -> None:
        self._exact, self._loss, self._gradient = Exact(model), loss, gradient
        self.model = model

    def pass_over(self, rows: Sequence[Row]) -> float:
        total = self._exact.pass_over(rows)
        for weight in self.model.parameters():
            if weight.grad is not None:
                weight.grad *= 1 + self._gradient
        return total * (1 + self._loss)


@pytest.mark.parametrize(
    ("dtype", "loss", "gradient", "said"),
    [
        (torch.float32, 5e-6, 5e-5, ""),
        (torch.float32, 5e-5, 0.0, "loss"),
        (torch.float32, 0.0, 5e-4, "gradients"),
        (torch.float32, float("nan"), 0.0, "loss"),
        (torch.bfloat16, 2e-3, 2e-2, ""),
        (torch.bfloat16, 2e-2, 0.0, "loss"),
        (torch.bfloat16, 0.0, 0.12, "gradients"),
    ],
)
def test_an_engine_may_be_off_by_rounding_and_no_more(
    tiny_llama: Path, dtype: torch.dtype, loss: float, gradient: float, said: str
) -> None:
    model, _ = learner(tiny_llama, METHOD["full"], dtype)
    found: Any = Off(model, loss, gradient)
    difference = Proof(Exact(model), random_rows(3)).difference(found)
    assert difference.startswith(said) if said else difference == ""


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("method", METHOD)
def test_the_fast_engine_is_nearer_to_float32_than_the_bound(
    tiny_folders: TinyFolders, family: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the allowance for rows that make much of rounding."""
    monkeypatch.setattr(proof, "_AS_ROUNDED", 0.0)
    model, _ = learner(tiny_folders[family], METHOD[method], torch.bfloat16)
    found = Proof(Exact(model), random_rows(3))
    assert found.difference(Fast(model)) == ""


def test_a_slip_of_a_tenth_in_bfloat16_is_found(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = elementwise.norm_backward
    model, _ = learner(tiny_llama, METHOD["full"], torch.bfloat16)
    found = Proof(Exact(model), random_rows(3))
    monkeypatch.setattr(elementwise, "norm_backward", lambda gradient, *rest: right(gradient * 0.9, *rest))
    assert "gradients" in found.difference(Fast(model))


def test_weights_are_afterwards_what_they_were(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"], torch.bfloat16)
    before = {name: (weight.data_ptr(), weight.dtype, weight.clone()) for name, weight in model.named_parameters()}
    Proof(Exact(model), random_rows(3))
    for name, weight in model.named_parameters():
        place, dtype, values = before[name]
        assert (weight.data_ptr(), weight.dtype) == (place, dtype) and torch.equal(weight, values)
        assert weight.grad is None


def test_a_large_model_is_not_widened(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_WIDENED", 10)
    model, _ = learner(tiny_llama, METHOD["lora"], torch.bfloat16)
    seen: list[torch.dtype] = []
    exact = Exact(model)
    right = exact.pass_over

    def watched(rows: Sequence[Row]) -> float:
        seen.append(next(model.parameters()).dtype)
        return right(rows)

    monkeypatch.setattr(exact, "pass_over", watched)
    found = Proof(exact, random_rows(3))
    assert found.difference(Fast(model)) == ""
    assert seen == [torch.bfloat16]
    monkeypatch.setattr(proof, "_WIDENED", 10**9)
    Proof(exact, random_rows(3))
    assert seen[1:] == [torch.float32]


def test_rows_that_make_much_of_rounding_are_measured_by_the_exact_engines_own(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = learner(tiny_llama, METHOD["full"], torch.bfloat16)
    found = Proof(Exact(model), random_rows(3))
    monkeypatch.setattr(proof, "_distance", lambda one, other: proof.Distance(0.0, 0.4))
    assert found.difference(Fast(model)) == ""
    distances = iter([proof.Distance(0.0, 0.9), proof.Distance(0.0, 0.4)])
    monkeypatch.setattr(proof, "_distance", lambda one, other: next(distances))
    assert found.difference(Fast(model)) == "gradients 90.0 % apart"
