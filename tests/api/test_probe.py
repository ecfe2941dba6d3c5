"""The probe of the learning rate: it finds the better rate, leaves no trace, and is not repeated when a run goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api import probe
from weitiao.api.plan import plan
from weitiao.api.train import resume, train
from weitiao.errors import DataError, SettingsError, Stopped
from weitiao.run import Run, read_events
from weitiao.settings import parse_settings
from weitiao.training import loop

METHODS: dict[str, dict[str, Any]] = {
    "LoRA with dropout": {},
    "LoRA, fast": {"lora_dropout": 0.0, "precision": "bf16"},
    "full": {"method": "full", "learning_rate": 1e-3},
    "full, bf16": {"method": "full", "precision": "bf16", "learning_rate": 1e-3},
    "top layers, kept activations": {"method": "top_layers", "top_layers": 1, "keep_activations": "on"},
}


def heard(run: Run) -> dict[str, Any]:
    return dict(next(event for event in read_events(run.events) if event["kind"] == "probe"))


def decided_rate(run: Run) -> float | None:
    return parse_settings([str(run.settings)]).settings.learning_rate


def test_the_sane_rate_is_taken_and_not_an_absurd_one(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TRIED_RATES", (1e-6, 1.0, 100.0))
    run = train(tiny_settings(tiny_llama, tmp_path, probe_learning_rate=True))
    found = heard(run)
    losses = [each["loss"]["value"] for each in found["tried"]]
    assert [each["rate"] for each in found["tried"]] == [1e-8, 1e-2, 1.0]
    assert losses[1] < min(losses[0], losses[2])
    assert found["taken"] == 1e-2 == decided_rate(run)
    assert all(each["loss"]["low"] <= each["loss"]["value"] <= each["loss"]["high"] for each in found["tried"])
    assert "3" in next(line for line in run.settings.read_text().splitlines() if line.startswith("learning_rate"))


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS.keys())
def test_a_run_after_a_probe_is_one_that_was_given_the_rate(
    tiny_llama: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    probed = train(tiny_settings(tiny_llama, tmp_path, "probed", probe_learning_rate=True, **changes))
    rate = decided_rate(probed)
    given = train(tiny_settings(tiny_llama, tmp_path, "given", **{**changes, "learning_rate": rate}))
    assert step_losses(probed) == step_losses(given)
    assert last_weights(probed) == last_weights(given) and result_bytes(probed) == result_bytes(given)
    moments = [sorted(run.checkpoints.glob("*/optimizer.safetensors"))[-1].read_bytes() for run in (probed, given)]
    assert moments[0] == moments[1]


def test_a_run_that_goes_on_does_not_probe_again(tiny_llama: Path, tmp_path: Path) -> None:
    kinds: list[str] = []

    def stopping(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    straight = train(tiny_settings(tiny_llama, tmp_path, "straight", probe_learning_rate=True))
    with pytest.raises(Stopped):
        train(tiny_settings(tiny_llama, tmp_path, "run", probe_learning_rate=True), stopping)
    run = resume(tmp_path / "run", lambda kind, facts: kinds.append(kind))
    assert "trying" not in kinds and "step" in kinds
    assert heard(run)["taken"] == decided_rate(run) == decided_rate(straight)
    assert step_losses(run) == step_losses(straight)
    assert last_weights(run) == last_weights(straight) and result_bytes(run) == result_bytes(straight)


def test_the_trials_see_the_dev_split_and_never_the_test_split(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = probe.ask

    def ask(engine: Any, items: Any, *rest: Any) -> Any:
        asked.extend(example.source for example, _ in items)
        return real(engine, items, *rest)

    monkeypatch.setattr(probe, "ask", ask)
    run = train(tiny_settings(tiny_llama, tmp_path, probe_learning_rate=True))
    ledger = run.ledger.read_text().splitlines()
    assert asked and all(any(source in line and '"dev"' in line for line in ledger) for source in asked)


def test_a_rate_that_leads_to_no_number_is_passed_over(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(*given: Any) -> Iterator[loop.Step]:
        if given[3].rate.peak > 5e-3:
            raise DataError("the loss is nan", "", [0])
        yield from loop.train(*given)

    monkeypatch.setattr(probe, "train", diverging)
    found = heard(train(tiny_settings(tiny_llama, tmp_path, probe_learning_rate=True)))
    assert [each["loss"] is None for each in found["tried"]] == [False, True, True]
    assert found["taken"] == 5e-3
    with pytest.raises(DataError, match="none"):
        train(tiny_settings(tiny_llama, tmp_path, "high", probe_learning_rate=True, learning_rate=0.5))
    assert not (tmp_path / "high").exists()


def test_without_a_dev_split_there_is_nothing_to_choose_by(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="dev") as refused:
        train(tiny_settings(tiny_llama, tmp_path, probe_learning_rate=True, val_size=0.0))
    assert "val_size" in refused.value.hint and not (tmp_path / "run").exists()


def test_a_stop_while_probing_leaves_nothing(tiny_llama: Path, tmp_path: Path) -> None:
    def stopping(kind: str, facts: dict[str, Any]) -> None:
        if kind == "trying" and facts["done"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        train(tiny_settings(tiny_llama, tmp_path, probe_learning_rate=True), stopping)
    assert not (tmp_path / "run").exists()


def test_the_plan_counts_the_trials(tiny_llama: Path, tmp_path: Path) -> None:
    plain = plan(tiny_settings(tiny_llama, tmp_path))
    probing = plan(tiny_settings(tiny_llama, tmp_path, probe_learning_rate=True))
    assert asdict(plain)["steps"] == probing.steps == 8
    assert 2 < probing.estimate.seconds / plain.estimate.seconds < 5  # three times eight steps more
