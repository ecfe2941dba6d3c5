from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tiny_training import METHOD, gradients, learner, random_rows
from weitiao.models import head_parts
from weitiao.models.anatomy import head
from weitiao.objectives.row import IGNORE, Row
from weitiao.training.batches import batches_of_step, packed, padded
from weitiao.training.loss import asked_hidden, learn, logits_of


def test_the_loss_is_the_sum_over_the_targets_and_their_number(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["full"])
    batch = padded(random_rows(3))
    total, count = learn(model, batch)
    logits = model(input_ids=torch.from_numpy(batch.tokens)).logits
    logs = torch.log_softmax(logits, -1)
    by_hand = sum(
        -logs[row, place, target].item()
        for row, targets in enumerate(batch.targets)
        for place, target in enumerate(targets)
        if target != IGNORE
    )
    assert count == batch.asked
    assert total == pytest.approx(by_hand, rel=1e-5)


def test_sums_and_counts_add_up_over_parts(tiny_llama: Path) -> None:
    """A mean of means would differ, because the parts ask differently many positions."""
    model, _ = learner(tiny_llama, METHOD["full"])
    rows = random_rows(12)
    parts = [learn(model, batch) for batch in batches_of_step(rows, 50, packing=False)]
    whole, count = learn(model, padded(rows))
    assert len(parts) > 4
    assert sum(part[1] for part in parts) == count
    assert sum(part[0] for part in parts) == pytest.approx(whole, rel=1e-5)
    of_means = sum(part[0] / part[1] for part in parts) / len(parts)
    assert abs(of_means - whole / count) > 1e-3


@pytest.mark.parametrize("method", METHOD)
def test_logits_exist_only_for_a_part_of_the_asked_positions(
    tiny_llama: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, masters = learner(tiny_llama, METHOD[method])
    batch = packed(random_rows(6))
    found = []
    for most, parts in ((1 << 30, 1), (480 * 7, -(-batch.asked // 7))):
        seen: list[tuple[int, ...]] = []

        def note(_: nn.Module, __: tuple[Tensor, ...], output: Tensor, seen: list[tuple[int, ...]] = seen) -> None:
            seen.append(tuple(output.shape))

        monkeypatch.setattr(head_parts, "LOGITS", most)
        handle = head(model).register_forward_hook(note)
        total, _ = learn(model, batch)
        handle.remove()
        masters.collect()
        assert len(seen) == parts
        assert sum(shape[1] for shape in seen) == batch.asked
        found.append((total, gradients(masters)))
        masters.step(0.0, 1, 0.0)
    (whole, wanted), (parted, gradient) = found
    assert parted == pytest.approx(whole, rel=1e-6)
    for name, each in wanted.items():
        assert abs(gradient[name] - each).max() <= 1e-5 * abs(each).max(), name


def test_the_model_is_as_before_even_after_an_error(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["full"])
    with pytest.raises(RuntimeError):
        logits_of(model, torch.zeros(3, 5))
    tokens = torch.arange(5)[None]
    assert model(input_ids=tokens).logits.shape[:2] == (1, 5)


def test_a_batch_that_asks_nothing_has_loss_zero_and_no_gradient(tiny_llama: Path) -> None:
    model, masters = learner(tiny_llama, METHOD["full"])
    row = random_rows(1)[0]
    nothing = padded([Row("", row.tokens, row.targets * 0 + IGNORE)])
    assert learn(model, nothing) == (0.0, 0)
    assert asked_hidden(model, nothing)[0].shape[0] == 0
    masters.collect()
    assert all(float(weight.grad.abs().sum()) == 0 for weight in masters.weights.values() if weight.grad is not None)
