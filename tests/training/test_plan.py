import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tiny_training import last_weights, step_losses, tiny_settings
from weitiao.api import train as api_train
from weitiao.api.plan import plan
from weitiao.errors import MachineError
from weitiao.run import Run, read_events
from weitiao.training import machine
from weitiao.training.plan import Load, Pass, Work, estimate, measure_flops, memory_bytes, seconds

LOAD = Load(
    engine="fast",
    under=0,
    above=106_000_000,
    trained=5_000_000,
    width=576,
    vocabulary=49_152,
    bytes_per_weight=2,
    present_bytes=1_000_000_000,
    peak_bytes=1_000_000_000,
    learned=Pass(2048, 100, 400_000),
    read=Pass(4096, 100, 30_000),
    training=Work(1_000_000, 1_000_000, 30_000),
    scoring=Work(300_000, 300_000, 10_000),
    full_gradient=False,
    head_learns=False,
)


def wider(name: str, part: str) -> Load:
    """LOAD with twice the tokens, asked positions or bytes of a pass."""
    one: Pass = getattr(LOAD, name)
    return replace(LOAD, **{name: replace(one, **{part: 2 * getattr(one, part)})})


@pytest.mark.parametrize("name", ["trained", "present_bytes", "vocabulary"])
def test_more_of_anything_needs_more_memory(name: str) -> None:
    assert memory_bytes(replace(LOAD, **{name: 2 * getattr(LOAD, name)})) > memory_bytes(LOAD)


@pytest.mark.parametrize("part", ["tokens", "asked", "token_bytes"])
def test_a_larger_pass_needs_more_memory(part: str) -> None:
    assert memory_bytes(wider("learned", part)) > memory_bytes(LOAD)


def test_what_learns_will_cost_two_moments_and_a_gradient() -> None:
    more = memory_bytes(replace(LOAD, trained=6_000_000)) - memory_bytes(LOAD)
    assert 1_000_000 * (2 * 4 + 2) <= more < 1.2 * 1_000_000 * (2 * 4 + 2)


def test_scoring_counts_where_training_needs_less() -> None:
    small = replace(LOAD, learned=Pass(1, 1, 1))
    assert memory_bytes(small) == memory_bytes(replace(small, learned=Pass(2, 1, 1)))
    assert memory_bytes(replace(small, read=Pass(8192, 100, 30_000))) > memory_bytes(small)


def test_no_less_is_foreseen_than_loading_has_taken() -> None:
    assert memory_bytes(replace(LOAD, peak_bytes=9_000_000_000)) == 9_000_000_000


def test_time_is_operations_by_speed() -> None:
    assert seconds(LOAD, 2e11) == pytest.approx(seconds(LOAD, 1e11) / 2)
    training = replace(LOAD, scoring=Work(0, 0, 0))
    all_asked = replace(training, training=Work(1_000_000, 1_000_000, 0))
    assert seconds(replace(all_asked, full_gradient=True), 1e11) == pytest.approx(1.5 * seconds(all_asked, 1e11))
    assert seconds(replace(LOAD, training=Work(0, 0, 0)), 1e11) < seconds(LOAD, 1e11)
    assert estimate(LOAD, 1e11).memory_bytes == memory_bytes(LOAD)


def test_what_is_kept_costs_no_time_again() -> None:
    top = replace(LOAD, under=92_000_000, above=14_000_000, full_gradient=True)
    kept = replace(top, training=replace(top.training, under=100_000), scoring=replace(top.scoring, under=50_000))
    assert seconds(kept, 1e11) < 0.5 * seconds(top, 1e11)


def test_the_machines_speed_is_measured_in_a_moment() -> None:
    flops = measure_flops(64, 128, torch.float32)
    assert 1e7 < flops < 1e15


def test_a_plan_names_what_the_run_will_do_and_leaves_nothing_behind(tiny_llama: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_llama, tmp_path)
    planned = plan(settings)
    assert not (tmp_path / "run").exists()
    run = api_train.train(settings)
    first = next(event for event in read_events(run.events) if event["kind"] == "plan")
    assert planned.steps == first["steps"] == len(step_losses(run)) == 8
    assert planned.estimate.memory_bytes == pytest.approx(first["memory_bytes"], rel=0.1)
    assert planned.trained == sum(tensor.numel() for tensor in _weights(run).values())


def _weights(run: Run) -> dict[str, torch.Tensor]:
    from weitiao.training.checkpoint import latest_checkpoint

    found = latest_checkpoint(run.checkpoints)
    assert found is not None
    return found.weights()


def _free(patch: pytest.MonkeyPatch, megabytes: int) -> None:
    patch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=megabytes << 20))


def test_a_disk_too_small_is_foreseen_before_step_one(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(tiny_llama, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(MachineError) as caught:
        _free(patch, 50)
        api_train.train(settings)
    assert caught.value.exit_code == 5
    assert "50 MB are free" in caught.value.problem and "output_dir" in caught.value.hint
    run = Run(tmp_path / "run")
    assert step_losses(run) == [] and not run.checkpoints.exists()
    api_train.resume(run.folder)
    assert len(step_losses(run)) == 8


def test_what_a_run_has_saved_already_needs_no_space_again(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    monkeypatch.setattr(machine, "check_disk", lambda _, needed_bytes: needed.append(needed_bytes))
    run = api_train.train(tiny_settings(tiny_llama, tmp_path))
    run.report.unlink()
    shutil.rmtree(run.model)
    saved = sum(file.stat().st_size for file in run.checkpoints.rglob("*") if file.is_file())
    api_train.resume(run.folder)
    assert needed[1] == needed[0] - saved
    assert len(last_weights(run)) * 3 < needed[0]


def test_the_result_of_top_layers_is_a_whole_model_and_needs_its_space(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    monkeypatch.setattr(machine, "check_disk", lambda _, needed_bytes: needed.append(needed_bytes))
    run = api_train.train(tiny_settings(tiny_llama, tmp_path, method="top_layers", top_layers=1, save_total_limit=1))
    files = [file for folder in (run.checkpoints, run.model) for file in folder.rglob("*.safetensors")]
    assert needed[0] - (100 << 20) >= 0.98 * sum(file.stat().st_size for file in files)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fast", "exact"])
def test_a_real_run_takes_the_memory_that_was_foreseen(engine: str, users_sample: Any, tmp_path: Path) -> None:
    """In a process of its own, for the peak is a process's; with so many rows a step that it is not that of loading."""
    home = users_sample("sms-spam").parents[2]  # where the model is converted already
    words = {"model": users_sample("smollm2-135m-instruct").name, "data": "sms-spam", "engine": engine}
    words |= {"batch_size": 64, "max_samples": 400, "max_steps": 3, "eval_max_samples": 40, "threads": 1}
    words |= {"output_dir": tmp_path / "run"}
    command = [sys.executable, "-m", "weitiao", "train", *(f"{name}={value}" for name, value in words.items())]
    subprocess.run(command, check=True, capture_output=True, timeout=900, env={**os.environ, "WEITIAO_HOME": str(home)})
    cost = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["cost"]
    assert cost["peak_memory_bytes"] == pytest.approx(cost["planned"]["memory_bytes"], rel=0.1)
