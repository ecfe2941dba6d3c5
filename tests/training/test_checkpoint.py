import errno
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from faults import calls_of, failing_at, in_child, killed_at
from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api import train as api_train
from weitiao.errors import MachineError
from weitiao.run import Run
from weitiao.training import checkpoint
from weitiao.training.checkpoint import (
    checkpoints,
    damaged_checkpoints,
    discard_after,
    latest_checkpoint,
    prune,
    save_checkpoint,
)


def numbers(step: int, count: int = 300) -> dict[str, Tensor]:
    return {"a": torch.arange(count, dtype=torch.float32) + step, "b": torch.full((2, 3), float(step))}


def save(parent: Path, step: int) -> Path:
    return save_checkpoint(parent, step, numbers(step), {"first/a": numbers(step)["a"] * 2}, {"place": {"step": step}})


def names(parent: Path) -> list[str]:
    return sorted(entry.name for entry in parent.iterdir())


def is_exact(found: checkpoint.Checkpoint, step: int) -> bool:
    same = all(torch.equal(found.weights()[name], tensor) for name, tensor in numbers(step).items())
    return same and found.step == step and torch.equal(found.moments()["first/a"], numbers(step)["a"] * 2)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path / "c", 7)
    found = latest_checkpoint(tmp_path / "c")
    assert found is not None and is_exact(found, 7)
    assert found.state == {"step": 7, "place": {"step": 7}}
    assert names(found.folder) == ["manifest.json", "optimizer.safetensors", "state.json", "weights.safetensors"]


def test_before_the_first_one_there_is_none(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "none") is None
    assert checkpoints(tmp_path / "none") == damaged_checkpoints(tmp_path / "none") == []
    prune(tmp_path / "none", 1, None)
    discard_after(tmp_path / "none", 0)


def test_weights_that_share_memory_or_are_views_are_saved_whole(tmp_path: Path) -> None:
    matrix = torch.randn(6, 4)
    save_checkpoint(tmp_path, 1, {"a": matrix.T, "b": matrix[::2]}, {}, {})
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert torch.equal(found.weights()["a"], matrix.T) and torch.equal(found.weights()["b"], matrix[::2])


def test_killed_at_any_call_of_a_save_a_whole_checkpoint_is_found_and_the_next_save_leaves_no_trace(
    tmp_path: Path,
) -> None:
    """The second save and the pruning of the first, killed before each of its file-system calls."""
    point, half_written, found_steps = 0, 0, set()
    while True:
        parent = tmp_path / str(point)
        save(parent, 1)

        def work(parent: Path = parent) -> None:
            save(parent, 2)
            prune(parent, 1, None)

        died = killed_at(point, work)
        half_written += any(name.startswith(".unfinished") for name in names(parent))
        found = latest_checkpoint(parent)
        assert found is not None and is_exact(found, found.step), point
        found_steps.add(found.step)
        assert [each for each in damaged_checkpoints(parent) if each.name.isdigit()] == [], point
        save(parent, 3)
        prune(parent, 1, None)
        assert names(parent) == ["000003"], point
        shutil.rmtree(parent)
        if not died:
            break
        point += 1
    assert found_steps == {1, 2}
    assert point > 40 and half_written > 20


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_call_of_a_save_costs_no_earlier_checkpoint(tmp_path: Path, error: int) -> None:
    save(tmp_path / "count", 1)
    calls = calls_of(lambda: save(tmp_path / "count", 2))
    assert {"mkdir", "open", "write", "serialize_file", "fsync", "rename"} <= set(calls)
    for point in range(len(calls)):
        parent = tmp_path / str(point)
        save(parent, 1)
        try:
            failing_at(point, error, lambda parent=parent: save(parent, 2))
        except MachineError as raised:
            assert raised.exit_code == 5 and "step 2" in raised.problem
            assert os.strerror(error) in raised.problem
            failed = True
        else:  # a call whose failure does not matter: making the folder that is there
            failed = False
        found = latest_checkpoint(parent)
        assert found is not None and is_exact(found, found.step), (point, calls[point])
        assert failed or found.step == 2, (point, calls[point])
        assert [name for name in names(parent) if not name.isdigit()] == [], (point, calls[point])
        save(parent, 3)


def test_a_disk_that_fills_up_while_weights_are_written_costs_no_earlier_checkpoint(tmp_path: Path) -> None:
    """A real refusal of the system, in the middle of a file, and from inside safetensors."""
    save(tmp_path, 1)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            save_checkpoint(tmp_path, 2, numbers(2, 100_000), {}, {})
        except MachineError as raised:
            os._exit(50 + raised.exit_code)

    assert in_child(work) == 55
    assert names(tmp_path) == ["000001"]
    found = latest_checkpoint(tmp_path)
    assert found is not None and is_exact(found, 1)


def test_everything_is_on_disk_before_it_can_be_seen(tmp_path: Path) -> None:
    """Each of the four files and their folder is forced out, then the rename, then the parent is forced out."""
    calls = [name for name in calls_of(lambda: save(tmp_path, 1)) if name in ("serialize_file", "fsync", "rename")]
    assert calls == ["serialize_file", "serialize_file", *["fsync"] * 5, "rename", "fsync"]


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit of the weights": lambda folder: _flipped(folder / "weights.safetensors"),
    "one bit of the optimizer": lambda folder: _flipped(folder / "optimizer.safetensors"),
    "one bit of the state": lambda folder: _flipped(folder / "state.json"),
    "weights cut off": lambda folder: _truncated(folder / "weights.safetensors"),
    "weights empty": lambda folder: (folder / "weights.safetensors").write_bytes(b""),
    "weights gone": lambda folder: (folder / "weights.safetensors").unlink(),
    "manifest gone": lambda folder: (folder / "manifest.json").unlink(),
    "manifest empty": lambda folder: (folder / "manifest.json").write_bytes(b""),
    "manifest cut off": lambda folder: _truncated(folder / "manifest.json"),
    "manifest not UTF-8": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"),
    "manifest of zeros": lambda folder: (folder / "manifest.json").write_bytes(bytes(200)),
    "manifest a list": lambda folder: (folder / "manifest.json").write_text(
        json.dumps(["weights.safetensors", "optimizer.safetensors", "state.json"])
    ),
    "manifest without the state": lambda folder: (folder / "manifest.json").write_text(
        json.dumps({"weights.safetensors": "", "optimizer.safetensors": ""})
    ),
    "manifest naming another file": lambda folder: (folder / "manifest.json").write_text(
        json.dumps({"../../../etc/passwd": "", "optimizer.safetensors": "", "state.json": ""})
    ),
    "manifest a million brackets deep": lambda folder: (folder / "manifest.json").write_text("[" * 1_000_000),
    "a folder in place of the weights": lambda folder: (
        (folder / "weights.safetensors").unlink(),
        (folder / "weights.safetensors").mkdir(),
    ),
    "a file in place of the folder": lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_seen_and_the_one_before_it_is_used(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    for step in (10, 20):
        save(tmp_path, step)
    damage(tmp_path / "000020")
    found = latest_checkpoint(tmp_path)
    assert found is not None and is_exact(found, 10)
    assert [each.step for each in checkpoints(tmp_path)] == [10]
    assert damaged_checkpoints(tmp_path) == [tmp_path / "000020"]


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step in range(10, 70, 10):
        save(tmp_path, step)
    prune(tmp_path, 2, best_step=20)
    assert names(tmp_path) == ["000020", "000050", "000060"]
    prune(tmp_path, 2, best_step=60)
    assert names(tmp_path) == ["000050", "000060"]
    prune(tmp_path, 1, best_step=None)
    assert names(tmp_path) == ["000060"]


def test_pruning_never_counts_a_damaged_checkpoint_as_a_kept_one(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step)
    _flipped(tmp_path / "000030" / "weights.safetensors")
    prune(tmp_path, 1, best_step=None)
    assert names(tmp_path) == ["000020"]


def test_pruning_deletes_nothing_where_nothing_is_whole(tmp_path: Path) -> None:
    for step in (10, 20):
        save(tmp_path, step)
        _flipped(tmp_path / f"{step:06d}" / "state.json")
    prune(tmp_path, 1, best_step=None)
    assert names(tmp_path) == ["000010", "000020"]


def test_the_newest_is_the_newest_by_number_past_a_million_steps(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000):
        save(tmp_path, step)
    assert [each.step for each in checkpoints(tmp_path)] == [1_000_000, 999_999]
    prune(tmp_path, 1, None)
    assert names(tmp_path) == ["1000000"]


def test_what_else_lies_there_is_left_alone(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "²").mkdir()  # a digit for str.isdigit, not for int
    prune(tmp_path, 1, None)
    discard_after(tmp_path, 1)
    assert names(tmp_path) == ["000001", "notes.txt", "²"]
    assert damaged_checkpoints(tmp_path) == []


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save_checkpoint(tmp_path, 1, {"a": torch.zeros(1)}, {}, {})
    assert names(tmp_path) == ["000001"]
    found = latest_checkpoint(tmp_path)
    assert found is not None and found.weights()["a"].tolist() == [0.0]


def test_what_lies_beyond_a_step_is_discarded_with_all_that_is_half_written(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step)
    for left in (".unfinished-000040", ".removed-000005"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "weights.safetensors").write_bytes(b"torn")
    discard_after(tmp_path, 20)
    assert names(tmp_path) == ["000010", "000020"]


@pytest.fixture(scope="module")
def straight(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return api_train.train(tiny_settings(tiny_llama, tmp_path_factory.mktemp("straight")))


def _stopped_by_full_disk(model: Path, folder: Path, saves: int, patch: pytest.MonkeyPatch) -> tuple[Run, MachineError]:
    """A run whose disk is full when it saves for the ``saves``-th time."""
    written = 0

    def full(tensors: dict[str, Tensor], path: Path) -> None:
        nonlocal written
        written += 1
        if written > 2 * (saves - 1):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        save_file(tensors, path)

    save_file = checkpoint.save_file
    with patch.context() as context, pytest.raises(MachineError) as caught:
        context.setattr(checkpoint, "save_file", full)
        api_train.train(tiny_settings(model, folder))
    return Run(folder / "run"), caught.value


def test_a_run_whose_disk_is_full_keeps_its_checkpoints_and_goes_on_when_there_is_space(
    tiny_llama: Path, tmp_path: Path, straight: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, error = _stopped_by_full_disk(tiny_llama, tmp_path, 3, monkeypatch)
    assert error.exit_code == 5 and "No space left" in error.problem and "resume" in error.hint
    assert [found.step for found in checkpoints(run.checkpoints)] == [3, 2]
    api_train.resume(run.folder)
    assert last_weights(run) == last_weights(straight)
    assert result_bytes(run) == result_bytes(straight)
    assert step_losses(run) == step_losses(straight)


@pytest.mark.parametrize(("damaged", "goes_on_from"), [("newest", 3), ("two", 2), ("best", 0), ("all", 0)])
def test_a_run_goes_on_from_the_last_checkpoint_that_can_end_in_the_same_bits(
    tiny_llama: Path, tmp_path: Path, straight: Run, monkeypatch: pytest.MonkeyPatch, damaged: str, goes_on_from: int
) -> None:
    """The best checkpoint is part of the state: without it the run goes back until it can be made again."""
    run, _ = _stopped_by_full_disk(tiny_llama, tmp_path, 4, monkeypatch)
    found = checkpoints(run.checkpoints)
    assert [(each.step, each.state["best"]["step"]) for each in found] == [(6, 2), (3, 2), (2, 2)]
    harmed = {"newest": {6}, "two": {6, 3}, "best": {2}, "all": {6, 3, 2}}[damaged]
    for step in harmed:
        _flipped(run.checkpoints / f"{step:06d}" / "weights.safetensors")
    told: list[tuple[str, dict[str, object]]] = []
    left: list[str] = []

    def listen(kind: str, facts: dict[str, object]) -> None:
        told.append((kind, facts))
        left.extend(names(run.checkpoints) if kind == "resume" else [])

    api_train.resume(run.folder, listen)
    assert [name for name in left if int(name) > goes_on_from] == []  # they will be made again
    said = [str(facts["message"]) for kind, facts in told if kind == "warning"]
    assert all(any(f"{step:06d}" in message for message in said) for step in harmed)
    assert [facts["step"] for kind, facts in told if kind == "resume"] == [goes_on_from]
    assert last_weights(run) == last_weights(straight)
    assert result_bytes(run) == result_bytes(straight)
    assert step_losses(run) == step_losses(straight)
