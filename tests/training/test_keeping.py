"""Whether anything is kept, and that it is found only by who would calculate the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tiny_training import METHOD, last_weights, learner, random_rows, result_bytes, step_losses, tiny_settings
from weitiao.api.plan import plan
from weitiao.api.train import resume, train
from weitiao.errors import MachineError
from weitiao.methods import TopLayers
from weitiao.models.anatomy import blocks, embeddings
from weitiao.models.fast.pattern import skeleton
from weitiao.models.fast.stack import Stack
from weitiao.settings import parse_settings
from weitiao.training import keeping, machine, proved
from weitiao.training.activation_files import every_folder, taken_bytes
from weitiao.training.exact import Exact
from weitiao.training.fast import Fast
from weitiao.training.keeping import Wish, fingerprint, keep
from weitiao.training.rows import Rows, RowWriter

TOP: dict[str, Any] = {"method": "top_layers", "top_layers": 1}


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "home"))


def rows_on_disk(folder: Path) -> Rows:
    with RowWriter(folder / "rows") as writer:
        for row in random_rows(20):
            writer.add(row)
    return Rows(folder / "rows")


def wish(keep: str = "auto", limit: int | None = None, seen: int = 60) -> Wish:
    return Wish(keep, limit, seen, 100)


def engine_of(folder: Path, method: str = "top_layers") -> Fast:
    return Fast(learner(folder, METHOD[method])[0])


# --- whether ---


def test_what_can_never_change_is_kept_and_its_size_said(tiny_llama: Path, tmp_path: Path) -> None:
    rows = rows_on_disk(tmp_path)
    found = keep(engine_of(tiny_llama), rows, wish())
    assert found.kept and found.where is not None and found.where.parent == every_folder()
    assert found.missing_bytes == (int(rows.lengths.sum()) + 100) * 32 * 4
    assert "lowest 1 layers" in found.note and "1 MB" in found.note


@pytest.mark.parametrize("method", ["lora", "full"])
def test_where_everything_learns_nothing_is_kept_and_nobody_told(tiny_llama: Path, tmp_path: Path, method: str) -> None:
    engine = engine_of(tiny_llama, method)
    found = keep(engine, rows_on_disk(tmp_path), wish())
    assert (found.kept, found.note) == (False, "")
    assert engine._activations is None
    assert "stays as it is" in keep(engine, rows_on_disk(tmp_path), wish("on")).note  # who asked for it is told


def test_only_the_fast_engine_keeps(tiny_llama: Path, tmp_path: Path) -> None:
    exact = Exact(learner(tiny_llama, TopLayers(1))[0])
    assert not keep(exact, rows_on_disk(tmp_path), wish()).kept
    assert "fast engine" in keep(exact, rows_on_disk(tmp_path), wish("on")).note


def test_over_the_limit_nothing_is_kept_and_that_is_said(tiny_llama: Path, tmp_path: Path) -> None:
    rows, engine = rows_on_disk(tmp_path), engine_of(tiny_llama)
    size = int(rows.lengths.sum()) * 32 * 4
    assert keep(engine, rows, wish(limit=size)).kept
    other = engine_of(tiny_llama)
    found = keep(other, rows, wish(limit=size - 1))
    assert not found.kept and other._activations is None
    assert "limit" in found.note and "MB" in found.note
    assert keep(other, rows, wish("on", limit=1)).kept  # asked for


def test_the_limit_is_a_tenth_of_the_free_disk(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_on_disk(tmp_path)
    size = int(rows.lengths.sum()) * 32 * 4
    for free, kept in ((10 * size - 1, False), (10 * size, True)):
        monkeypatch.setattr(
            keeping, "shutil", SimpleNamespace(disk_usage=lambda _, free=free: SimpleNamespace(free=free))
        )
        assert keep(engine_of(tiny_llama), rows, wish()).kept is kept


def test_less_than_an_epoch_keeps_nothing(tiny_llama: Path, tmp_path: Path) -> None:
    rows = rows_on_disk(tmp_path)
    assert not keep(engine_of(tiny_llama), rows, wish(seen=19)).kept
    assert keep(engine_of(tiny_llama), rows, wish(seen=20)).kept


def test_a_folder_that_cannot_be_made_is_said(tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    found = keep(engine_of(tiny_llama), rows_on_disk(tmp_path), wish())
    assert not found.kept
    assert "cannot be written" in found.note


# --- for whom ---


def test_another_bottom_is_never_taken_for_this_one(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = learner(tiny_llama, TopLayers(1))
    found = fingerprint(model, 1)
    assert fingerprint(learner(tiny_llama, TopLayers(1))[0], 1) == found
    with torch.no_grad():
        for learning in blocks(model)[1].parameters():
            learning.add_(1)
        assert fingerprint(model, 1) == found  # the top may be anyone's
        changed = [found, fingerprint(model, 2)]
        for weight in [*blocks(model)[0].parameters(), embeddings(model).weight]:
            weight.view(-1)[0].add_(1)
            changed.append(fingerprint(model, 1))
    model.config.rope_parameters["rope_theta"] = 5.0
    changed.append(fingerprint(model, 1))
    monkeypatch.setattr(machine, "processor", lambda: "another")
    changed.append(fingerprint(model, 1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    changed.append(fingerprint(model, 1))
    monkeypatch.setattr(proved, "code_version", lambda: "9.9")
    changed.append(fingerprint(model, 1))
    changed.append(fingerprint(learner(tiny_llama, TopLayers(1), torch.bfloat16)[0], 1))
    assert len(set(changed)) == len(changed)


def test_a_moved_weight_is_the_same_weight(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, TopLayers(1))
    before = fingerprint(model, 1)
    Stack(skeleton(model))  # moves the weights into matrices of its own
    assert fingerprint(model, 1) == before


# --- runs ---


def test_runs_over_the_same_base_and_rows_share_what_is_kept(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(tiny_settings(tiny_llama, tmp_path, "first", **TOP))
    decided = parse_settings([str(first.settings)]).settings
    assert decided.keep_activations == "on"
    kept = taken_bytes(every_folder())
    assert kept > 0

    def never(*_: object) -> None:
        raise AssertionError("calculated again")

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "below", never)
        again = train(tiny_settings(tiny_llama, tmp_path, "again", **TOP))
        assert (result_bytes(again), step_losses(again)) == (result_bytes(first), step_losses(first))
        train(
            tiny_settings(tiny_llama, tmp_path, "trial", **TOP, learning_rate=1e-3, seed=0, lr_scheduler_type="linear")
        )
    assert taken_bytes(every_folder()) == kept


def test_off_it_learns_the_same_to_rounding(tiny_llama: Path, tmp_path: Path) -> None:
    kept = train(tiny_settings(tiny_llama, tmp_path, "kept", **TOP))
    plain = train(tiny_settings(tiny_llama, tmp_path, "plain", **TOP, keep_activations="off"))
    for one, other in zip(step_losses(kept), step_losses(plain), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    reports = [json.loads(run.report.read_text()) for run in (kept, plain)]
    assert reports[0]["before"] == reports[1]["before"]  # a score has the same bits
    assert reports[0]["settings"]["keep_activations"]["value"] == "on"
    assert reports[1]["settings"]["keep_activations"]["value"] == "off"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_ends_in_the_same_bits_whatever_is_left_of_the_files(
    tiny_llama: Path, tmp_path: Path, precision: str
) -> None:
    """Also where the disk has meanwhile become so full that a new run would keep nothing."""
    straight = train(tiny_settings(tiny_llama, tmp_path, "straight", **TOP, precision=precision))
    for name in ("all", "half", "none"):
        with pytest.raises(RuntimeError):
            train(tiny_settings(tiny_llama, tmp_path, name, **TOP, precision=precision), crashing_at(5))
        for number, file in enumerate(sorted(path for path in every_folder().rglob("*") if path.is_file())):
            if name == "none" or (name == "half" and number % 2):
                file.unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keeping, "_default_limit", lambda: 0)
            run = resume(tmp_path / name)
        assert (last_weights(run), result_bytes(run), step_losses(run)) == (
            last_weights(straight), result_bytes(straight), step_losses(straight)
        )  # fmt: skip
        assert json.loads(run.report.read_text())["after"] == json.loads(straight.report.read_text())["after"]


def test_what_was_decided_stays_decided_when_room_has_come(tiny_llama: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_llama, tmp_path, "run", **TOP)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(keeping, "_default_limit", lambda: 0)
        train(settings, crashing_at(5))
    run = resume(tmp_path / "run")
    assert parse_settings([str(run.settings)]).settings.keep_activations == "off"
    assert taken_bytes(every_folder()) == 0


def test_a_plan_says_it_and_writes_nothing(tiny_llama: Path, tmp_path: Path) -> None:
    told = []
    found = plan(tiny_settings(tiny_llama, tmp_path, **TOP), lambda kind, facts: told.append((kind, facts)))
    assert "MB of disk" in dict(told)["activations"]["note"]
    assert "MB of disk" in found.reasons["keep_activations"]
    assert taken_bytes(every_folder()) == 0


def test_a_disk_that_cannot_hold_it_is_refused_before_the_first_step(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(machine, "check_disk", lambda folder, needed: asked.append(needed))
    train(tiny_settings(tiny_llama, tmp_path, "kept", **TOP))
    train(tiny_settings(tiny_llama, tmp_path, "again", **TOP))
    train(tiny_settings(tiny_llama, tmp_path, "plain", **TOP, keep_activations="off"))
    kept, again, plain = asked
    assert kept > again >= plain  # what is there already needs no room
    monkeypatch.undo()
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "home"))
    shutil.rmtree(every_folder())
    monkeypatch.setattr(machine, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=kept - 1)))
    with pytest.raises(MachineError, match="MB"):
        train(tiny_settings(tiny_llama, tmp_path, "refused", **TOP))


def crashing_at(step: int) -> Any:
    def listen(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == step:
            raise RuntimeError

    return listen
