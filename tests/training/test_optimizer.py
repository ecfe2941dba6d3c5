import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tiny_training import METHOD, learner
from weitiao.training.optimizer import Masters, Rate


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    shapes = {"matrix": (5, 3), "norm": (3,), "other": (2, 2)}
    return {name: nn.Parameter(torch.randn(shape, generator=draw).to(dtype)) for name, shape in shapes.items()}


def give(weights: dict[str, nn.Parameter], scale: float = 1.0, seed: int = 1) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    for weight in weights.values():
        weight.grad = (torch.randn(weight.shape, generator=draw) * scale).to(weight.dtype)
    return {name: weight.grad.float().clone() for name, weight in weights.items() if weight.grad is not None}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("cosine", [0.25, 0.5, 0.75, 1, *((1 + math.cos(math.pi * n / 8)) / 2 for n in range(8))]),
    ],
)
def test_the_rate_rises_evenly_and_then_follows_its_schedule(schedule: str, expected: list[float]) -> None:
    rate = Rate(2.0, 12, 4, schedule)  # type: ignore[arg-type]
    assert [rate.at(step) / 2 for step in range(12)] == pytest.approx(expected)
    assert rate.at(12) == pytest.approx(2.0 if schedule == "constant" else 0.0)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert Rate(1.0, 10, 0, "cosine").at(0) == 1.0


def test_steps_are_adamw_on_the_mean_gradient() -> None:
    ours, theirs = parameters(), parameters()
    masters = Masters(ours, weight_decay=0.1)
    groups = [
        {"params": [theirs["matrix"], theirs["other"]], "weight_decay": 0.1},
        {"params": [theirs["norm"]], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1e-2)
    for step in range(4):
        for part in range(3):
            give(ours, 10, seed=10 * step + part)
            masters.collect()
        sums = [give(theirs, 10, seed=10 * step + part) for part in range(3)]
        for name, weight in theirs.items():
            weight.grad = sum(part[name] for part in sums) / 7  # type: ignore[assignment]
        masters.step(1e-2, targets=7, max_grad_norm=0)
        adamw.step()
    for name in ours:
        assert torch.allclose(ours[name], theirs[name], atol=1e-7), name


def test_norms_and_biases_do_not_decay() -> None:
    weights = parameters()
    norm, matrix = weights["norm"].detach().clone(), weights["matrix"].detach().clone()
    masters = Masters(weights, weight_decay=0.5)
    masters.step(0.1, targets=1, max_grad_norm=0)
    assert torch.equal(weights["norm"], norm)
    assert torch.allclose(weights["matrix"], matrix * 0.95)


def test_a_long_gradient_is_shortened_and_its_length_before_that_is_returned() -> None:
    clipped, small = parameters(), parameters()
    one, other = Masters(clipped, 0.0), Masters(small, 0.0)
    length = torch.cat([grad.flatten() for grad in give(clipped, 100).values()]).norm().item()
    one.collect()
    assert one.step(1e-2, 1, max_grad_norm=2.0) == pytest.approx(length, rel=1e-5)
    for weight, gradient in zip(small.values(), give(small, 100).values(), strict=True):
        weight.grad = gradient * (2.0 / length)
    other.collect()
    other.step(1e-2, 1, max_grad_norm=0)
    assert one.moments().keys() == other.moments().keys()
    for name, moment in one.moments().items():
        assert torch.allclose(moment, other.moments()[name], rtol=1e-5), name


def test_gradients_are_gone_after_a_step() -> None:
    weights = parameters()
    masters = Masters(weights, 0.0)
    give(weights)
    masters.collect()
    assert all(weight.grad is None for weight in weights.values())
    masters.step(1e-2, 1, 1.0)
    assert masters.step(0.0, 1, 1.0) == 0.0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(broken: float) -> None:
    weights = parameters()
    masters = Masters(weights, 0.1)
    give(weights)
    masters.collect()
    masters.step(1e-2, 1, 1.0)
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    moments = {name: moment.clone() for name, moment in masters.moments().items()}
    give(weights)
    weights["matrix"].grad[0, 0] = broken  # type: ignore[index]
    masters.collect()
    assert not math.isfinite(masters.step(1e-2, 1, 1.0))
    assert all(torch.equal(weights[name], weight) for name, weight in kept.items())
    assert all(torch.equal(masters.moments()[name], moment) for name, moment in moments.items())


def test_small_steps_add_up_in_bf16_because_masters_are_float32() -> None:
    """One step of 1e-4 is under half the distance between bfloat16 neighbours of 1; a hundred are 1e-2."""
    weight = nn.Parameter(torch.ones(4, 4, dtype=torch.bfloat16))
    masters = Masters({"w": weight}, 0.0)
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        masters.collect()
        masters.step(1e-4, 1, 0)
    assert torch.allclose(masters.weights["w"], torch.tensor(0.99), atol=1e-4)
    assert weight.dtype == torch.bfloat16
    assert weight[0, 0].item() == pytest.approx(0.99, abs=2**-8)
    assert torch.equal(weight, masters.weights["w"].bfloat16())


def test_gradients_of_many_bf16_parts_are_summed_in_float32() -> None:
    weight = nn.Parameter(torch.ones(1, 2, dtype=torch.bfloat16))
    masters = Masters({"w": weight}, 0.0)
    for _ in range(600):  # in bfloat16 256 + 1 is 256
        weight.grad = torch.ones_like(weight)
        masters.collect()
    assert masters.step(0.0, 1, 0) == pytest.approx(600 * math.sqrt(2))


def test_float32_weights_are_their_own_masters_and_take_no_memory_twice() -> None:
    weights = parameters()
    masters = Masters(weights, 0.0)
    assert all(masters.weights[name].data_ptr() == weight.data_ptr() for name, weight in weights.items())
    give(weights)
    masters.collect()
    before = weights["matrix"].detach().clone()
    masters.step(1e-2, 1, 1.0)
    assert not torch.equal(weights["matrix"], before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_saved_goes_on_as_if_nothing_had_happened(dtype: torch.dtype) -> None:
    straight, first = parameters(dtype), parameters(dtype)
    whole, before = Masters(straight, 0.1), Masters(first, 0.1)
    for step in range(6):
        for weights, masters in ((straight, whole), (first, before)) if step < 3 else ((straight, whole),):
            give(weights, seed=step)
            masters.collect()
            masters.step(1e-2, 3, 1.0)
    moments = {name: moment.clone() for name, moment in before.moments().items()}
    kept = {name: weight.clone() for name, weight in before.weights.items()}
    second = parameters(dtype)
    after = Masters(second, 0.1)
    after.load_weights(kept)
    after.load_moments(moments)
    for step in range(3, 6):
        give(second, seed=step)
        after.collect()
        after.step(1e-2, 3, 1.0)
    assert all(torch.equal(second[name], weight) for name, weight in straight.items())
    assert all(torch.equal(after.moments()[name], moment) for name, moment in whole.moments().items())
    assert all(not torch.equal(moments[name], moment) for name, moment in whole.moments().items())  # copied, not shared


def test_before_the_first_step_there_is_no_state_to_save() -> None:
    assert Masters(parameters(), 0.0).moments() == {}


def test_a_tied_weight_learns_once(tiny_llama: Path) -> None:
    model, masters = learner(tiny_llama, METHOD["full"])
    assert len({weight.data_ptr() for weight in masters.weights.values()}) == len(masters.weights)
    assert sum(weight.numel() for weight in masters.weights.values()) == sum(w.numel() for w in model.parameters())
