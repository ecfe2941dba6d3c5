"""Between two steps: a stop while dev is scored loses nothing, the log outlives a power failure, NaN is located."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from faults import in_child
from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api.steps import sources_of
from weitiao.api.train import resume, train
from weitiao.codec import open_codec
from weitiao.data.ledger import Entry, Ledger
from weitiao.errors import DataError, Stopped
from weitiao.evaluation import ask
from weitiao.run import Run, read_events
from weitiao.settings import Settings
from weitiao.training import checkpoint as checkpoint_module
from weitiao.training import loop
from weitiao.training.checkpoint import checkpoints, save_checkpoint


def evaluations(run: Run) -> list[tuple[int, float, bool]]:
    events = [event for event in read_events(run.events) if event["kind"] == "evaluation"]
    return [(event["step"], event["scores"]["loss"]["value"], event["best"]) for event in events]


def facts(run: Run) -> tuple[Any, ...]:
    """All that must be the same, bit for bit."""
    report = json.loads(run.report.read_text())
    state = max(checkpoints(run.checkpoints), key=lambda found: found.step).state
    told = json.dumps([report["before"], report["after"], report["items"]], sort_keys=True)
    return last_weights(run), result_bytes(run), step_losses(run), evaluations(run), state, told


class Chunks:
    """Dev is scored two items at a time; ``at[n]`` is done in the ``n``th chunk, from 1."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.scored = 0
        self.at: dict[int, Callable[[], object]] = {}
        real = ask.category_log_probabilities

        def counted(*arguments: Any) -> Any:
            self.scored += 1
            self.at.get(self.scored, lambda: None)()
            return real(*arguments)

        patch.setattr(ask, "category_log_probabilities", counted)
        patch.setattr(ask, "SCORED_TOGETHER", 2)


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> Chunks:
    return Chunks(monkeypatch)


def settings_of(model: Path, folder: Path, name: str = "run", **changes: Any) -> Settings:
    return tiny_settings(model, folder, name, **{"val_size": 0.4, "lora_dropout": 0.0, **changes})


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def listening(kind: str, does: Callable[[dict[str, Any]], object]) -> Callable[[str, dict[str, Any]], None]:
    def listen(told: str, facts: dict[str, Any]) -> None:
        if told == kind:
            does(facts)

    return listen


@pytest.mark.parametrize("evaluation", [1, 2, 4])
def test_a_stop_while_dev_is_scored_is_obeyed_at_the_next_chunk_and_loses_nothing(
    evaluation: int, tiny_llama: Path, tmp_path: Path, chunks: Chunks
) -> None:
    straight = train(settings_of(tiny_llama, tmp_path, "straight"))
    run = Run(tmp_path / "run")
    chunks.scored, step = 0, 2 * evaluation

    def first_chunk_of_dev(told: dict[str, Any]) -> None:
        if told["step"] == step:
            chunks.at = {chunks.scored + 2: ask_to_stop}

    with pytest.raises(Stopped) as stopped:
        train(settings_of(tiny_llama, tmp_path), listening("step", first_chunk_of_dev))
    asked = chunks.scored
    assert chunks.at.keys() == {asked}, "the chunk in which the signal came is the last one"
    assert stopped.value.exit_code == 75 and f"step {step}, and saved" in stopped.value.problem
    assert checkpoints(run.checkpoints)[0].step == step
    assert [number for number, _, _ in evaluations(run)] == list(range(2, step, 2))
    resume(run.folder)
    assert facts(run) == facts(straight)


def test_a_stop_before_dev_is_scored_is_obeyed_at_once(tiny_llama: Path, tmp_path: Path, chunks: Chunks) -> None:
    straight = train(settings_of(tiny_llama, tmp_path, "straight"))
    scored: list[int] = []

    def stop_in_step_four(told: dict[str, Any]) -> None:
        if told["step"] == 4:
            scored.append(chunks.scored)
            ask_to_stop()

    with pytest.raises(Stopped):
        train(settings_of(tiny_llama, tmp_path), listening("step", stop_in_step_four))
    assert scored == [chunks.scored]
    assert facts(resume(tmp_path / "run")) == facts(straight)


def test_early_stopping_decides_the_same_when_its_last_evaluation_was_interrupted(
    tiny_llama: Path, tmp_path: Path, chunks: Chunks
) -> None:
    changes: dict[str, Any] = {"early_stopping_patience": 2, "lr_scheduler_type": "constant", "max_steps": 20}
    straight = train(settings_of(tiny_llama, tmp_path, "straight", **changes))
    end = step_losses(straight)[-1][0]
    assert end < 20
    with pytest.raises(Stopped):
        train(
            settings_of(tiny_llama, tmp_path, **changes),
            listening("step", lambda told: ask_to_stop() if told["step"] == end else None),
        )
    run = resume(tmp_path / "run")
    assert facts(run) == facts(straight)
    assert [event["step"] for event in read_events(run.events) if event["kind"] == "early_stop"] == [end]


class Crash(Exception):  # noqa: N818 - it is one
    """Not foreseen by anybody."""


def crash(*_: object) -> None:
    raise Crash


def stopped_after(step: int, model: Path, folder: Path) -> Run:
    with pytest.raises(Stopped):
        train(
            settings_of(model, folder), listening("step", lambda told: ask_to_stop() if told["step"] == step else None)
        )
    return Run(folder / "run")


def test_an_evaluation_that_was_made_up_for_and_lost_again_stands_once_in_the_log(
    tiny_llama: Path, tmp_path: Path, chunks: Chunks
) -> None:
    straight = train(settings_of(tiny_llama, tmp_path, "straight"))
    run = stopped_after(4, tiny_llama, tmp_path)
    for _ in range(2):
        with pytest.raises(Crash):
            resume(run.folder, listening("evaluation", crash))
        assert [number for number, _, _ in evaluations(run)] == [2, 4]
    assert facts(resume(run.folder)) == facts(straight)


def test_that_a_checkpoint_is_not_scored_yet_is_a_piece_of_the_state_that_is_needed(
    tiny_llama: Path, tmp_path: Path, chunks: Chunks
) -> None:
    straight = train(settings_of(tiny_llama, tmp_path, "straight"))
    run = stopped_after(2, tiny_llama, tmp_path)
    newest = checkpoints(run.checkpoints)[0]
    assert newest.state["scored"] is False
    state = {**newest.state, "scored": True}
    save_checkpoint(run.checkpoints, newest.step, newest.weights(), newest.moments(), state)
    assert facts(resume(run.folder)) != facts(straight)


# --- while replies are written out ---


def reply_settings(model: Path, folder: Path, name: str = "run", **changes: Any) -> Settings:
    data = folder / "instructions.jsonl"
    if not data.exists():
        tiny.tiny_instructions(data)
    shared: dict[str, Any] = {"data": data, "val_size": 0.3, "test_size": 0.4, "batch_size": 2, "max_steps": 2}
    shared |= {"max_new_tokens": 12, "generate_max_samples": 3}
    return tiny_settings(model, folder, name, **{**shared, **changes})


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_while_replies_are_written_out_is_obeyed_at_the_next_token(
    when: str, tiny_llama: Path, tmp_path: Path
) -> None:
    straight = train(reply_settings(tiny_llama, tmp_path, "straight"))
    parts: list[tuple[int, int]] = []

    def stop_in_the_first_reply(told: dict[str, Any]) -> None:
        if told["when"] == when:
            parts.append((told["done"], told["count"]))
            if len(parts) == 3:
                ask_to_stop()

    with pytest.raises(Stopped) as stopped:
        train(reply_settings(tiny_llama, tmp_path), listening("scoring", stop_in_the_first_reply))
    assert len(parts) == 3, "all items scored, then two tokens"
    assert parts[0][0] == parts[2][0] == parts[2][1] - 3
    assert stopped.value.exit_code == 75
    run = Run(tmp_path / "run")
    resume(run.folder)
    assert facts(run) == facts(straight)


def test_a_second_signal_while_replies_are_written_out_ends_at_once(tiny_llama: Path, tmp_path: Path) -> None:
    def twice(told: dict[str, Any]) -> None:
        ask_to_stop()
        ask_to_stop()
        time.sleep(60)

    begun = time.monotonic()
    code = in_child(lambda: train(reply_settings(tiny_llama, tmp_path), listening("scoring", twice)))
    assert code == 75
    assert time.monotonic() - begun < 30
    straight = train(reply_settings(tiny_llama, tmp_path, "straight"))
    assert facts(resume(tmp_path / "run")) == facts(straight)


# --- a power failure ---


class Disk:
    """What of the log has reached the disk itself, and what a power failure would leave of it."""

    def __init__(self, log: Path, patch: pytest.MonkeyPatch) -> None:
        self.log = log
        self.safe = b""
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            if Path(f"/proc/self/fd/{handle}").resolve() == log:
                self.safe = log.read_bytes()

        patch.setattr(os, "fsync", fsync)

    def fail(self, tail: bytes) -> None:
        self.log.write_bytes(self.safe + tail)


@pytest.mark.parametrize(
    "tail", [b"", b"\0" * 900, b'\0\0\0\0 7}\n{"kind": "step", "step": 7, "lo', b"\xff\xfe\n[]\n7\n"], ids=str
)
@pytest.mark.parametrize("moment", ["save", "step", "evaluation"])
def test_each_step_stands_once_in_the_log_after_a_power_failure(
    moment: str, tail: bytes, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    disk = Disk(run.events, monkeypatch)
    with pytest.raises(Crash):
        train(settings_of(tiny_llama, tmp_path), listening(moment, lambda told: crash() if told["step"] >= 6 else None))
    disk.fail(tail)
    resume(run.folder)
    assert [number for number, _, _ in step_losses(run)] == list(range(1, 9))
    assert [number for number, _, _ in evaluations(run)] == [2, 4, 6, 8]


def test_the_log_is_forced_to_disk_for_checkpoints_and_not_for_every_step(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    forced: list[bytes] = []
    real, save = os.fsync, checkpoint_module.save_checkpoint

    def fsync(handle: int) -> None:
        real(handle)
        if Path(f"/proc/self/fd/{handle}").resolve() == run.events:
            forced.append(run.events.read_bytes())

    def saved(parent: Path, step: int, *rest: Any) -> Path:
        assert f'"step": {step}, "epoch"'.encode() in forced[-1], "the step is safe before its checkpoint can be seen"
        return save(parent, step, *rest)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("weitiao.api.steps.save_checkpoint", saved)
    train(settings_of(tiny_llama, tmp_path))
    steps = [number for number, _, _ in step_losses(run)]
    saves = [event for event in read_events(run.events) if event["kind"] == "save"]
    assert len(saves) < len(steps)
    assert len(forced) == len(saves) + 1


# --- a loss that is no number ---


def test_a_loss_that_is_no_number_names_the_lines_of_the_users_file(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only numbers of rows that nobody has: rows that were dropped do not count, other splits neither."""
    lines = tiny.tiny_rows(tmp_path / "plain.csv").read_text(encoding="utf-8").splitlines()
    data = tmp_path / "rows.csv"
    data.write_text("\n".join([lines[0], lines[3], ",ham", *lines[1:]]) + "\n", encoding="utf-8")
    real, codec, texts = loop._one_step, open_codec(tiny_llama), []

    def broken(engine: Any, rows: Any, *rest: Any) -> Any:
        step = real(engine, rows, *rest)
        if step.place.step != 2:
            return step
        texts.extend(codec.decode(row.tokens.tolist()) for row in rows)
        return replace(step, loss=math.nan)

    monkeypatch.setattr(loop, "_one_step", broken)
    with pytest.raises(DataError, match="step 2: the loss is nan") as caught:
        train(tiny_settings(tiny_llama, tmp_path))
    assert texts
    sources = caught.value.problem.rsplit(": ", 1)[1].split(", ")
    assert len(sources) == len(texts)
    written = data.read_text(encoding="utf-8").splitlines()
    for source, text in zip(sources, texts, strict=True):
        name, line = source.split(":")
        assert name == "rows.csv"
        assert written[int(line) - 1].rsplit(",", 1)[0].strip('"') in text
    assert "learning_rate" in caught.value.hint


def test_sources_are_given_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        for number, (outcome, split) in enumerate(
            [("used", "train"), ("dropped", ""), ("used", "test"), ("dropped", "train"), ("truncated", "train")]
        ):
            detail = '"split": "train"' if outcome == "dropped" else ""
            ledger.add(Entry(f"a.csv:{number}", outcome, "too_long", detail, split=split))  # type: ignore[arg-type]
    assert sources_of(tmp_path / "ledger.jsonl", [1, 0]) == ["a.csv:4", "a.csv:0"]
