"""AdaLoRA's budget: what PEFT's own allocator takes away, and the same after a resume."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig
from peft.tuners.adalora import RankAllocator
from torch import Tensor, nn

from tiny_training import learner, pace, random_rows
from weitiao.methods import AdaLora, trained
from weitiao.training.budget import Budget
from weitiao.training.exact import Exact
from weitiao.training.loop import train
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Place

STEPS = 20


def drawn(seed: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = {"lora_A": (6, 7), "lora_E": (6, 1), "lora_B": (5, 6)}
    return {
        f"{layer}.{part}.default": torch.randn(shape, generator=draw)
        for layer in ("one", "two", "three")
        for part, shape in shapes.items()
    }


def with_gradients(weights: dict[str, Tensor], step: int) -> None:
    for (_, weight), gradient in zip(sorted(weights.items()), drawn(100 + step).values(), strict=True):
        weight.grad = gradient.flatten()[: weight.numel()].repeat(42)[: weight.numel()].view_as(weight).clone()


def test_the_same_singular_values_are_taken_away_as_by_peft() -> None:
    ours = drawn(1)
    theirs: Any = nn.ParameterDict({name.replace(".", "/"): weight.clone() for name, weight in ours.items()})
    named = SimpleNamespace(named_parameters=lambda: [(n.replace("/", "."), p) for n, p in theirs.items()])
    config: Any = AdaLoraConfig(init_r=6, target_r=2, tinit=2, tfinal=6, deltaT=1, total_step=STEPS)
    allocator, budget = RankAllocator(named, config, "default"), Budget(ours, 2, STEPS)
    kept = []
    for step in range(1, STEPS + 1):
        with_gradients(ours, step)
        with_gradients({name.replace("/", "."): weight for name, weight in theirs.items()}, step)
        budget.allocate(ours)
        if step < STEPS - 6:
            allocator.update_and_allocate(named, step)
        elif step == STEPS - 6:
            pattern = allocator.update_and_allocate(named, step, force_mask=True)[1]
        else:
            allocator.mask_using_rank_pattern(named, pattern)
        for name, weight in ours.items():
            assert torch.equal(weight, theirs[name.replace(".", "/")]), (step, name)
        kept.append(sum(int((weight != 0).sum()) for name, weight in ours.items() if "lora_E" in name))
        for name in ours:  # as an optimizer would, what was taken away grows again
            if "lora_E" in name:
                ours[name] += 0.1
                theirs[name.replace(".", "/")].data += 0.1
    assert kept[:2] == [18, 18] and kept[-1] == 6
    assert kept == sorted(kept, reverse=True)


def test_the_pull_is_the_gradient_of_pefts_penalty(tiny_llama: Path) -> None:
    model, masters = learner(tiny_llama, AdaLora(4))
    model.train()
    penalty = model(input_ids=torch.arange(3, 13)[None], labels=torch.arange(3, 13)[None]).loss
    bare = model.get_base_model()(input_ids=torch.arange(3, 13)[None], labels=torch.arange(3, 13)[None]).loss  # type: ignore[operator]
    torch.autograd.backward(penalty - bare)
    wanted = {name: weight.grad.clone() for name, weight in trained(model).items() if weight.grad is not None}
    budget = Budget(trained(model), 4, STEPS)
    for weight in masters.weights.values():
        assert weight.grad is not None
        weight.grad.zero_()
    budget.pull(masters.weights)
    for name, weight in masters.weights.items():
        if ".lora_E." not in name:
            assert weight.grad is not None
            assert (weight.grad - wanted[name]).abs().max() < 1e-5 * wanted[name].abs().max() + 1e-7, name


@pytest.mark.parametrize("stopped", [1, 5, 9, 14, 17])
def test_a_resumed_run_takes_away_the_same(tiny_llama: Path, stopped: int) -> None:
    def fresh() -> tuple[Exact, Masters]:
        model, _ = learner(tiny_llama, AdaLora(4))
        learning = trained(model)
        return Exact(model), Masters(learning, 0.0, None, Budget(learning, 4, STEPS))

    rows, schedule = random_rows(8), pace(STEPS)
    engine, straight = fresh()
    places, states = [Place()], [({}, {})]
    for step in train(engine, rows, straight, schedule, Place()):
        places.append(step.place)
        copies = [{n: w.clone() for n, w in each.items()} for each in (straight.weights, straight.moments())]
        states.append((copies[0], copies[1]))
    engine, again = fresh()
    again.load_weights(states[stopped][0])
    again.load_moments(states[stopped][1])
    list(train(engine, rows, again, schedule, places[stopped]))
    assert all(torch.equal(again.weights[name], weight) for name, weight in straight.weights.items())
    values = torch.cat([weight[:, 0] for name, weight in straight.weights.items() if ".lora_E." in name])
    assert int((values != 0).sum()) == 4 * len(values) // 6
