from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tiny_training import METHOD, learner, random_rows
from weitiao.models.anatomy import head
from weitiao.objectives.row import IGNORE, Row
from weitiao.training.batches import batches_of_step, packed, padded
from weitiao.training.loss import asked_logits, loss_sum


def test_the_loss_is_the_sum_over_the_targets_and_their_number(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["full"])
    batch = padded(random_rows(3))
    total, count = loss_sum(model, batch)
    logits = model(input_ids=torch.from_numpy(batch.tokens)).logits
    logs = torch.log_softmax(logits, -1)
    by_hand = sum(
        -logs[row, place, target].item()
        for row, targets in enumerate(batch.targets)
        for place, target in enumerate(targets)
        if target != IGNORE
    )
    assert count == batch.asked
    assert total.item() == pytest.approx(by_hand, rel=1e-5)


def test_sums_and_counts_add_up_over_parts(tiny_llama: Path) -> None:
    """A mean of means would differ, because the parts ask differently many positions."""
    model, _ = learner(tiny_llama, METHOD["full"])
    rows = random_rows(12)
    parts = [loss_sum(model, batch) for batch in batches_of_step(rows, 50, packing=False)]
    whole, count = loss_sum(model, padded(rows))
    assert len(parts) > 4
    assert sum(part[1] for part in parts) == count
    assert sum(part[0].item() for part in parts) == pytest.approx(whole.item(), rel=1e-5)
    of_means = sum(part[0].item() / part[1] for part in parts) / len(parts)
    assert abs(of_means - whole.item() / count) > 1e-3


def test_the_head_calculates_only_where_a_target_is_set(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"])
    seen: list[tuple[int, ...]] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(tuple(output.shape))

    head(model).register_forward_hook(note)
    batch = packed(random_rows(6))
    loss_sum(model, batch)
    assert [shape[:2] for shape in seen] == [(1, batch.asked)]


def test_the_head_is_as_before_even_after_an_error(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["full"])
    batch = padded([Row("", random_rows(1)[0].tokens + 100_000, random_rows(1)[0].targets)])
    with pytest.raises(IndexError):
        asked_logits(model, batch)
    tokens = torch.arange(5)[None]
    assert model(input_ids=tokens).logits.shape[:2] == (1, 5)


def test_a_batch_that_asks_nothing_has_loss_zero_and_no_gradient(tiny_llama: Path) -> None:
    model, masters = learner(tiny_llama, METHOD["full"])
    row = random_rows(1)[0]
    total, count = loss_sum(model, padded([Row("", row.tokens, row.targets * 0 + IGNORE)]))
    torch.autograd.backward(total)
    masters.collect()
    assert (total.item(), count) == (0.0, 0)
    assert all(float(weight.grad.abs().sum()) == 0 for weight in masters.weights.values() if weight.grad is not None)
