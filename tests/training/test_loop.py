from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tiny_training import (
    METHOD,
    gradients,
    last_weights,
    learner,
    pace,
    random_rows,
    result_bytes,
    step_losses,
    tiny_settings,
)
from weitiao.api import train as api_train
from weitiao.errors import DataError
from weitiao.methods import Lora
from weitiao.models.anatomy import Model
from weitiao.objectives.row import Row
from weitiao.run import Run, read_events
from weitiao.training.batches import batches_of_step
from weitiao.training.checkpoint import checkpoints
from weitiao.training.exact import Exact
from weitiao.training.loop import total_steps, train
from weitiao.training.loss import learn
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Pace, Place


class Noting(list[Row]):
    """Rows that note which of them are asked for."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__(rows)
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        self.asked.append(index)
        return super().__getitem__(index)


@pytest.fixture
def llama(tiny_llama: Path) -> tuple[Model, Masters]:
    return learner(tiny_llama, METHOD["lora"])


def summed_gradient(
    model: Model, masters: Masters, rows: list[Row], capacity: int, packing: bool
) -> dict[str, NDArray[np.float32]]:
    for batch in batches_of_step(rows, capacity, packing):
        learn(model, batch)
        masters.collect()
    found = gradients(masters)
    masters.step(0.0, 1, 0.0)
    return found


@pytest.mark.parametrize("method", ["full", "lora", "top_layers"])
def test_a_steps_gradient_does_not_depend_on_how_it_is_cut(tiny_llama: Path, method: str) -> None:
    model, masters = learner(tiny_llama, METHOD[method])
    rows = random_rows(8)
    one_by_one = summed_gradient(model, masters, rows, 1, packing=False)
    for capacity, packing in ((4096, False), (60, False), (4096, True), (60, True)):
        found = summed_gradient(model, masters, rows, capacity, packing)
        assert found.keys() == one_by_one.keys()
        for name, gradient in found.items():
            scale = np.abs(one_by_one[name]).max()
            assert np.abs(gradient - one_by_one[name]).max() <= 1e-5 * scale + 1e-7, (capacity, packing, name)


def test_eight_accumulations_of_one_are_one_batch_of_eight(tiny_llama: Path, tmp_path: Path) -> None:
    one = api_train.train(tiny_settings(tiny_llama, tmp_path, "a", batch_size=8, gradient_accumulation_steps=1))
    other = api_train.train(tiny_settings(tiny_llama, tmp_path, "b", batch_size=1, gradient_accumulation_steps=8))
    assert step_losses(one) == step_losses(other)
    assert last_weights(one) == last_weights(other)
    assert result_bytes(one) == result_bytes(other)


def test_every_row_comes_once_an_epoch_and_the_last_epoch_may_be_a_part(llama: tuple[Model, Masters]) -> None:
    model, masters = llama
    rows = Noting(random_rows(22, longest=8))
    steps = list(train(Exact(model), rows, masters, pace(15, rows_per_step=4), Place()))
    assert [step.place.step for step in steps] == list(range(1, 16))
    assert Counter(rows.asked[:22]) == Counter(range(22)) == Counter(rows.asked[22:44])
    assert rows.asked[:22] != rows.asked[22:44]
    assert steps[-1].place == Place(15, 2, 3)
    assert sum(step.tokens for step in steps[:6]) == sum(len(row.tokens) for row in rows)
    assert sum(step.targets for step in steps[:6]) == sum(row.asked for row in rows)


def test_steps_are_random_draws_and_not_sorted_by_length(llama: tuple[Model, Masters]) -> None:
    """Length goes with the class (a spam is longer), so batches of one length would be batches of one class."""
    model, masters = llama
    short, long = random_rows(60, longest=5), random_rows(60, seed=1, longest=5)
    long = [Row("", np.tile(row.tokens, 4), np.tile(row.targets, 4)) for row in long]
    rows = Noting([row for pair in zip(short, long, strict=True) for row in pair])
    list(train(Exact(model), rows, masters, pace(10, rows_per_step=12), Place()))
    share = [np.mean([index % 2 for index in rows.asked[start : start + 12]]) for start in range(0, 120, 12)]
    assert min(share) > 0 and max(share) < 1
    assert np.std(share) == pytest.approx(0.5 / 12**0.5, abs=0.07)  # as drawing blindly gives; sorted it would be 0.5


def test_training_goes_on_within_an_epoch_at_the_row_where_it_stood(tiny_llama: Path) -> None:
    model, masters = learner(tiny_llama, METHOD["lora"])
    rows = Noting(random_rows(20, longest=8))
    place = Place()
    for step in train(Exact(model), rows, masters, pace(12), Place()):
        place = step.place
        if place.step == 7:
            break
    done = len(rows.asked)
    list(train(Exact(model), rows, masters, pace(12), place))
    again = Noting(random_rows(20, longest=8))
    list(train(Exact(model), again, masters, pace(12), Place()))
    assert rows.asked == again.asked
    assert done == 28


def test_dropout_follows_from_the_step_and_leaves_global_randomness_alone(tiny_llama: Path) -> None:
    rows, losses = random_rows(8), []
    for state in (1, 2):
        model, masters = learner(tiny_llama, Lora(4, 8.0, dropout=0.5))
        torch.manual_seed(state)
        before = torch.get_rng_state()
        losses.append([step.loss for step in train(Exact(model), rows, masters, pace(4), Place())])
        assert torch.equal(torch.get_rng_state(), before)
    model, masters = learner(tiny_llama, Lora(4, 8.0))
    without = [step.loss for step in train(Exact(model), rows, masters, pace(4), Place())]
    model, masters = learner(tiny_llama, Lora(4, 8.0, dropout=0.5))
    other_seed = [step.loss for step in train(Exact(model), rows, masters, pace(4, seed=1), Place())]
    assert losses[0] == losses[1]
    assert losses[0][0] != without[0] != other_seed[0] != losses[0][0]


def test_each_step_drops_something_else(tiny_llama: Path) -> None:
    """The same rows again and again, nothing learned: only the masks differ."""
    model, masters = learner(tiny_llama, Lora(4, 8.0, dropout=0.5))
    losses = [step.loss for step in train(Exact(model), random_rows(4), masters, pace(5, peak=0.0), Place())]
    assert np.std(losses) > 1e-3
    model, masters = learner(tiny_llama, Lora(4, 8.0))
    losses = [step.loss for step in train(Exact(model), random_rows(4), masters, pace(5, peak=0.0), Place())]
    assert np.std(losses) < 1e-5


def test_the_model_is_in_training_mode_again_after_the_caller_has_evaluated(tiny_llama: Path) -> None:
    rows = random_rows(8)
    found = []
    for evaluates in (False, True):
        model, masters = learner(tiny_llama, Lora(4, 8.0, dropout=0.5))
        losses = []
        for step in train(Exact(model), rows, masters, pace(4), Place()):
            losses.append(step.loss)
            if evaluates:
                model.eval()
        found.append(losses)
    assert found[0] == found[1]


def test_training_learns(tiny_llama: Path) -> None:
    model, masters = learner(tiny_llama, METHOD["full"])
    rows = random_rows(8, longest=12)
    losses = [step.loss for step in train(Exact(model), rows, masters, pace(40, rows_per_step=8, peak=1e-2), Place())]
    assert losses[-1] < losses[0] / 4


def test_the_number_of_steps() -> None:
    assert total_steps(100, 10, 1.0, None) == 10
    assert total_steps(101, 10, 2.0, None) == 22
    assert total_steps(100, 10, 0.25, None) == 3
    assert total_steps(1000, 10, 0.07, None) == 7  # although 100 * 0.07 is 7.000000000000001
    assert total_steps(3, 10, 0.01, None) == 1
    assert total_steps(100, 10, 3.0, 12) == 12
    assert total_steps(100, 10, 0.1, 500) == 500  # max_steps takes the place of epochs


def test_a_loss_that_is_not_a_number_names_the_step_and_its_rows(
    llama: tuple[Model, Masters], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, masters = llama
    rows = Noting(random_rows(12, longest=8))
    kept: list[dict[str, torch.Tensor]] = []
    _break_at(3, monkeypatch)
    with pytest.raises(DataError) as caught:
        for _ in train(Exact(model), rows, masters, pace(9), Place()):
            kept.append({name: weight.clone() for name, weight in masters.weights.items()})
    assert len(kept) == 2
    assert all(torch.equal(weight, kept[-1][name]) for name, weight in masters.weights.items())
    assert "step 3" in caught.value.problem and "nan" in caught.value.problem
    assert ", ".join(map(str, rows.asked[8:12])) in caught.value.problem
    assert "learning_rate" in caught.value.hint


def test_what_is_not_finite_never_reaches_a_checkpoint(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(tiny_llama, tmp_path, save_steps=1)
    with monkeypatch.context() as patch, pytest.raises(DataError):
        _break_at(6, patch)
        api_train.train(settings)
    run = Run(tmp_path / "run")
    assert [event["step"] for event in read_events(run.events) if event["kind"] == "step"] == [1, 2, 3, 4, 5]
    found = checkpoints(run.checkpoints)
    assert found[0].step == 5
    assert all(
        torch.isfinite(tensor).all()
        for each in found
        for tensor in (*each.weights().values(), *each.moments().values())
    )
    api_train.resume(run.folder)  # what was saved is good to go on from
    straight = api_train.train(tiny_settings(tiny_llama, tmp_path, "straight", save_steps=1))
    assert last_weights(run) == last_weights(straight)


def _break_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """From ``step`` on, every loss is not a number."""
    begun = 0
    right = Exact.learn

    def broken(self: Exact, rows: Sequence[Row], masters: Masters, pace: Pace, number: int) -> tuple[float, int]:
        nonlocal begun
        begun += 1
        loss, count = right(self, rows, masters, pace, number)
        if begun >= step:
            for total in gradients_in(masters):
                total *= float("nan")
            return float("nan"), count
        return loss, count

    patch.setattr(Exact, "learn", broken)


def gradients_in(masters: Masters) -> list[torch.Tensor]:
    return [weight.grad for weight in masters.weights.values() if weight.grad is not None]


def test_every_epoch_draws_its_own_noise_and_going_on_draws_the_same(tiny_llama: Path) -> None:
    rows = random_rows(10)

    def draw(row: Row, epoch: int, number: int) -> Row:
        drawn.append((epoch, number))
        return row

    drawn: list[tuple[int, int]] = []
    model, masters = learner(tiny_llama, METHOD["lora"])
    places = [step.place for step in train(Exact(model), rows, masters, pace(6), Place(), draw)]
    whole = list(drawn)
    assert sorted(whole) == [(epoch, number) for epoch in (0, 1) for number in range(10)]
    drawn.clear()
    model, masters = learner(tiny_llama, METHOD["lora"])
    list(train(Exact(model), rows, masters, pace(6), places[3], draw))
    assert drawn == whole[14:]  # four, four, two; four
