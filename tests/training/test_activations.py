"""What frozen blocks return, kept on disk: the same numbers as calculated, the same bits whatever was found."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny
from conftest import TinyFolders
from faults import failing_at, in_child, killed_at
from tiny_training import gradients, learner, pace, random_rows
from weitiao.errors import MachineError
from weitiao.methods import TopLayers
from weitiao.models.fast.stack import Stack
from weitiao.objectives.row import IGNORE, Row
from weitiao.training import activation_files, activations
from weitiao.training.activation_files import ActivationFiles, make_room, taken_bytes
from weitiao.training.activations import Activations
from weitiao.training.fast import Fast
from weitiao.training.loop import train
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Place

FAMILIES = ("llama", "qwen3", "gemma3")
PLENTY = 1 << 30


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "_PART_TOKENS", 120)
    monkeypatch.setattr(activations, "_LONGEST_PART", 480)


@pytest.fixture
def calculated(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The tokens of each pass through the frozen blocks."""
    passes: list[int] = []
    right = Stack.below

    def below(self: Stack, layout: Any) -> Tensor:
        passes.append(len(layout.tokens))
        return right(self, layout)

    monkeypatch.setattr(Stack, "below", below)
    yield passes


def some_rows(count: int = 24, prefix: int = 10, seed: int = 0) -> list[Row]:
    """Of several parts, behind what all begin with; two have the same tokens."""
    head = np.arange(3, 3 + prefix, dtype=np.int32)
    rows = [
        Row("", np.append(head, row.tokens), np.append(head * 0 + IGNORE, row.targets))
        for row in random_rows(count - 1, seed, longest=40)
    ]
    return [*rows, rows[1]]


def fast(
    folder: Path, files: Path | None, rows: Sequence[Row], dtype: torch.dtype = torch.float32, scored: int = PLENTY
) -> tuple[Fast, Masters]:
    """An engine that keeps in ``files``."""
    model, masters = learner(folder, TopLayers(1), dtype)
    engine = Fast(model)
    if files:
        engine.keep(rows, ActivationFiles(files), scored)
    return engine, masters


def learned(
    engine: Fast, masters: Masters, rows: Sequence[Row], seed: int = 0
) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of eight steps, over more than two epochs, and the weights after them."""
    losses = [step.loss for step in train(engine, rows, masters, pace(8, 8, capacity=150, seed=seed), Place())]
    return losses, {name: weight.detach().clone() for name, weight in masters.weights.items()}


def same_bits(one: tuple[list[float], dict[str, Tensor]], other: tuple[list[float], dict[str, Tensor]]) -> bool:
    return one[0] == other[0] and all(torch.equal(weight, other[1][name]) for name, weight in one[1].items())


# --- kept is computed ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prefix", [0, 10])
@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)], ids=["fp32", "bf16"])
def test_loss_gradient_and_weights_are_those_of_a_calculated_stream(
    tiny_folders: TinyFolders, tmp_path: Path, family: str, prefix: int, dtype: torch.dtype, share: float
) -> None:
    """In the model's own type: float32 to its rounding, bfloat16 to what the engines differ by anyway."""
    rows = some_rows(prefix=prefix)
    found = []
    for files in (None, tmp_path):
        engine, masters = fast(tiny_folders[family], files, rows, dtype)
        loss, targets = engine.learn(rows[:7], masters, pace(1), 0)
        gradient = np.concatenate([each.ravel() for each in gradients(masters).values()])
        for weight in masters.weights.values():
            weight.grad = None
        losses, weights = learned(engine, masters, rows)
        found.append((loss, targets, gradient, losses, torch.cat([weight.flatten() for weight in weights.values()])))
    (loss, targets, gradient, losses, wanted), (kept_loss, kept_targets, kept_gradient, kept_losses, kept) = found
    assert kept_targets == targets
    assert kept_loss == pytest.approx(loss, rel=share / 5)
    assert np.linalg.norm(kept_gradient - gradient) < share * np.linalg.norm(gradient)
    assert kept_losses == pytest.approx(losses, rel=share / 5)
    assert (kept - wanted).norm() < share * wanted.norm()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_score_has_the_same_bits_kept_or_not(
    tiny_folders: TinyFolders, tmp_path: Path, family: str, dtype: torch.dtype, calculated: list[int]
) -> None:
    rows = some_rows()
    plain, _ = fast(tiny_folders[family], None, rows, dtype)
    engine, _ = fast(tiny_folders[family], tmp_path, rows, dtype)
    for candidates in ("targets", [5, 7, 300]):
        wanted = dict(plain.read(rows, candidates))
        for _ in range(2):
            found = dict(engine.read(rows, candidates))
            assert all(np.array_equal(found[number], logs) for number, logs in wanted.items())
    assert len(calculated) == 1


def test_frozen_blocks_run_once_for_each_row_in_all_epochs_and_runs(
    tiny_llama: Path, tmp_path: Path, calculated: list[int]
) -> None:
    rows = some_rows()
    first = learned(*fast(tiny_llama, tmp_path, rows), rows)
    assert sum(calculated) < 1.2 * sum(len(row.tokens) for row in rows)  # once, and some padding
    calculated.clear()
    assert same_bits(learned(*fast(tiny_llama, tmp_path, rows), rows), first)
    learned(*fast(tiny_llama, tmp_path, rows), rows, seed=5)  # in another order
    assert calculated == []


def test_the_engine_that_keeps_still_sees_weights_that_learn(tiny_llama: Path, tmp_path: Path) -> None:
    rows = some_rows()
    engine, masters = fast(tiny_llama, tmp_path, rows)
    before = dict(engine.read(rows, "targets"))
    learned(engine, masters, rows)
    after = dict(engine.read(rows, "targets"))
    assert any(np.abs(after[number] - logs).max() > 1e-3 for number, logs in before.items())


# --- parts ---


def parts_of(folder: Path, files: Path, rows: Sequence[Row]) -> list[str]:
    engine, _ = fast(folder, files, rows)
    kept = engine._activations
    assert isinstance(kept, Activations)
    kept._cut()
    return [kept._part(begin).name for begin in kept._begins]


def test_the_same_rows_have_the_same_parts_among_others(tiny_llama: Path, tmp_path: Path) -> None:
    """More rows behind, other rows before, one row more in the middle: nearly all is found again."""
    rows, others = random_rows(400, 1, 40), random_rows(50, 2, 40)
    whole = parts_of(tiny_llama, tmp_path, rows)
    assert 400 * 22 / 120 / 2 < len(whole) < 400 * 22 / 120 * 2
    assert len(set(whole)) == len(whole)
    for longer in ([*rows, *others], [*others, *rows], [*rows[:200], others[0], *rows[200:]]):
        assert len(set(whole) - set(parts_of(tiny_llama, tmp_path, longer))) <= 2
    half = parts_of(tiny_llama, tmp_path, rows[:200])
    assert len(set(half) - set(whole)) <= 1


def test_a_part_that_shares_less_is_another_part(tiny_llama: Path, tmp_path: Path) -> None:
    rows = some_rows()
    asked_at_once = [Row("", row.tokens, np.maximum(row.targets, 3)) for row in rows]  # nothing is shared past a target
    one, other = (parts_of(tiny_llama, tmp_path, each) for each in (rows, asked_at_once))
    assert len(one) == len(other)
    assert len(set(one) & set(other)) <= 1  # of a row or two, which never share


# --- what is found, half found, spoiled ---


def spoil_nothing(files: list[Path]) -> None:
    pass


def spoil_all(files: list[Path]) -> None:
    for file in files:
        file.unlink()


def spoil_some(files: list[Path]) -> None:
    for file in files[::2]:
        file.unlink()


def spoil_lengths(files: list[Path]) -> None:
    for file in files:
        os.truncate(file, file.stat().st_size - 1)


def spoil_bytes(files: list[Path]) -> None:
    """As a disk does whose power failed before it wrote."""
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
        file.write_bytes(content)


def exchange(files: list[Path]) -> None:
    """Whole files under wrong names, of the right length."""
    by_length: dict[int, list[Path]] = {}
    for file in files:
        by_length.setdefault(file.stat().st_size, []).append(file)
    for same in by_length.values():
        contents = [file.read_bytes() for file in same]
        for file, content in zip(same, contents[1:] + contents[:1], strict=True):
            file.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [spoil_nothing, spoil_all, spoil_some, spoil_lengths, spoil_bytes, exchange],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_whatever_is_found_the_bits_are_the_same(
    tiny_llama: Path, tmp_path: Path, spoil: Callable[[list[Path]], None], dtype: torch.dtype
) -> None:
    rows = [row for row in some_rows() if len(row.tokens) > 20]
    straight = learned(*fast(tiny_llama, tmp_path / "straight", rows, dtype), rows)
    engine, masters = fast(tiny_llama, tmp_path / "files", rows, dtype)
    learned(engine, masters, rows)
    files = sorted((tmp_path / "files").iterdir())
    whole = {file.name: file.read_bytes() for file in files}
    assert len(files) > 3
    spoil(files)
    assert same_bits(learned(*fast(tiny_llama, tmp_path / "files", rows, dtype), rows), straight)
    assert {file.name: file.read_bytes() for file in (tmp_path / "files").iterdir()} == whole


def test_files_may_vanish_in_the_middle_of_training(tiny_llama: Path, tmp_path: Path) -> None:
    rows = some_rows()
    straight = learned(*fast(tiny_llama, tmp_path / "straight", rows), rows)
    engine, masters = fast(tiny_llama, tmp_path / "files", rows)
    losses = []
    for step in train(engine, rows, masters, pace(8, 8, capacity=150), Place()):
        losses.append(step.loss)
        spoil_some(sorted((tmp_path / "files").iterdir()))
    assert same_bits((losses, dict(masters.weights)), straight)


def test_killed_at_every_file_call_it_goes_on_to_the_same_bits(tiny_llama: Path, tmp_path: Path) -> None:
    rows = some_rows(12)
    straight = learned(*fast(tiny_llama, tmp_path / "straight", rows), rows)
    half_written = number = 0
    while True:
        files = tmp_path / str(number)
        engine, masters = fast(tiny_llama, files, rows)
        if not killed_at(number, partial(engine.learn, rows, masters, pace(1), 0)):
            break
        half_written += any(file.name.startswith(".") for file in files.iterdir()) if files.is_dir() else 0
        assert same_bits(learned(*fast(tiny_llama, files, rows), rows), straight)
        number += 1
    assert number > 8
    assert half_written > 3


def test_many_processes_at_once_end_in_the_same_bits(tiny_llama: Path, tmp_path: Path) -> None:
    rows = some_rows()
    files = tmp_path / "files"
    straight = learned(*fast(tiny_llama, tmp_path / "straight", rows), rows)

    def child() -> None:
        if not same_bits(learned(*fast(tiny_llama, files, rows), rows), straight):
            raise AssertionError("other bits")

    children = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            os._exit(in_child(child))
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 6
    assert not [file for file in files.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("number", range(4))
def test_a_full_disk_is_an_error_that_says_what_to_do(tiny_llama: Path, tmp_path: Path, number: int) -> None:
    rows = some_rows()
    engine, masters = fast(tiny_llama, tmp_path, rows)
    with pytest.raises(MachineError, match="No space left") as caught:
        failing_at(number + 1, errno.ENOSPC, lambda: engine.learn(rows, masters, pace(1), 0))
    assert "keep_activations" in caught.value.hint
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
    engine.learn(rows, masters, pace(1), 0)


# --- how much ---


def test_no_more_is_kept_of_what_is_read_than_was_allowed(tiny_llama: Path, tmp_path: Path) -> None:
    rows = some_rows()
    wanted = dict(fast(tiny_llama, None, rows)[0].read(rows, "targets"))
    room = sum(len(row.tokens) for row in rows) * tiny.WIDTH * 4 // 2
    engine, _ = fast(tiny_llama, tmp_path, rows, scored=room)
    for chosen in (rows[:8], rows[8:16], rows[16:], rows):
        found = dict(engine.read(chosen, "targets"))
        if chosen is rows:
            assert all(np.array_equal(found[number], logs) for number, logs in wanted.items())
    assert 0 < taken_bytes(tmp_path) < room + 1000


def test_room_is_made_by_deleting_what_was_used_longest_ago(
    tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation_files, "every_folder", lambda: tmp_path)
    now = time.time()
    ages = {"a/old": 400, "b/other-model": 300, "a/new": 200, "a/.lost": 9000, "a/.being-written": 5}
    for name, age in ages.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (now - age, now - age))
    make_room(3500)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"other-model", "new", ".being-written"}
    make_room(0)
    assert taken_bytes(tmp_path) == 0
    make_room(0)


def test_reading_a_file_is_using_it(tmp_path: Path) -> None:
    files = ActivationFiles(tmp_path)
    files.write("name", torch.arange(6.0).view(2, 3))
    os.utime(tmp_path / "name", (1, 1))
    found = ActivationFiles(tmp_path).read("name", (2, 3), torch.float32)
    assert found is not None and torch.equal(found, torch.arange(6.0).view(2, 3))
    assert (tmp_path / "name").stat().st_mtime > 1
    found += 1  # private to this process
    again = files.read("name", (2, 3), torch.float32)
    assert again is not None and torch.equal(again, torch.arange(6.0).view(2, 3))
    assert files.read("name", (3, 3), torch.float32) is None
    assert files.read("other", (2, 3), torch.float32) is None
