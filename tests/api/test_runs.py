"""The list of runs says how each one is, from its folder alone, and draws the family."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from weitiao.api.runs import RunFacts, family, is_locked, list_runs
from weitiao.errors import SettingsError
from weitiao.run import Run, locked


@pytest.fixture
def folder(tiny_run: Path, tiny_child: Path, tmp_path: Path) -> Path:
    """Copies of both runs, which a test may change."""
    shutil.copytree(tiny_run.parent, tmp_path / "runs")
    return tmp_path / "runs"


def names(branches: Any) -> Any:
    return {branch.run.name: names(branch.children) for branch in branches}


def unfinished(run: Path) -> None:
    """As a run is that was stopped after its last save."""
    (run / "report.json").unlink()
    shutil.rmtree(run / "model")


def test_a_finished_run_tells_its_score_with_interval(folder: Path) -> None:
    child, parent = list_runs(folder)
    assert (child.name, parent.name) == ("child", "parent")
    report = json.loads((folder / "parent" / "report.json").read_text(encoding="utf-8"))
    assert parent.state == "finished"
    assert (parent.kind, parent.method, parent.model) == ("classify", "lora", report["model"]["name"])
    assert (parent.step, parent.steps) == (6, 6)
    assert parent.json()["score"] == {"metric": "accuracy", **report["after"]["scores"]["accuracy"]}


def test_a_run_tuned_from_a_run_is_its_child(folder: Path) -> None:
    lineage = json.loads((folder / "child" / "lineage.json").read_text(encoding="utf-8"))
    assert lineage["parent"] == "parent"
    assert names(family(list_runs(folder))) == {"parent": {"child": {}}}
    shutil.rmtree(folder / "parent")
    (child,) = family(list_runs(folder))
    assert (child.run.name, child.run.parent) == ("child", "parent")


def test_no_run_is_lost_in_a_circle_of_parents() -> None:
    def run(name: str, parent: str | None) -> RunFacts:
        return replace(RunFacts(Path(name), "finished"), parent=parent)

    trees = family([run("a", "b"), run("b", "a"), run("c", "c"), run("d", None), run("e", "d"), run("f", "d")])
    assert names(trees) == {"d": {"e": {}, "f": {}}, "a": {"b": {}}, "c": {}}


def test_a_stopped_run_says_how_far_it_is(folder: Path) -> None:
    unfinished(folder / "parent")
    events = folder / "parent" / "events.jsonl"
    lines = events.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line).get("step", 0) <= 4 and json.loads(line)["kind"] != "end"]
    events.write_text("\n".join(kept) + '\n{"torn": ', encoding="utf-8")
    parent = list_runs(folder)[1]
    assert (parent.state, parent.step, parent.steps, parent.score) == ("stopped", 4, 6, None)
    assert (parent.kind, parent.method) == ("classify", "lora")


def test_a_run_that_is_worked_on_is_running(folder: Path) -> None:
    unfinished(folder / "parent")
    assert not is_locked(Run(folder / "parent"))
    with locked(Run(folder / "parent")):
        assert list_runs(folder)[1].state == "running"
    assert list_runs(folder)[1].state == "stopped"


def test_asking_leaves_the_lock_alone(folder: Path) -> None:
    run = Run(folder / "parent")
    before = (run.folder / ".lock").read_bytes()
    assert not is_locked(run)
    with locked(run):
        assert is_locked(run)
    (run.folder / ".lock").write_text(str(os.getppid()))
    assert not is_locked(run), "a living process that does not hold the lock"
    (run.folder / ".lock").write_bytes(before)


def test_a_run_killed_while_loading_can_go_on(folder: Path) -> None:
    unfinished(folder / "parent")
    for name in ("lineage.json", "settings.yaml", "task.json", "events.jsonl"):
        (folder / "parent" / name).unlink()
    parent = list_runs(folder)[1]
    assert (parent.state, parent.step, parent.steps, parent.method) == ("stopped", 0, None, "lora")


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "report.json").write_text("{"),
        lambda run: (run / "report.json").write_text("[]"),
        lambda run: (run / "report.json").write_text('{"after": {}}'),
        lambda run: (run / "lineage.json").write_text("{}"),
        lambda run: (unfinished(run), (run / "settings.yaml").write_text("learning_rate: fast")),
        lambda run: (unfinished(run), (run / "task.json").unlink()),
        lambda run: (unfinished(run), (run / "events.jsonl").write_text("no json\n")),
    ],
)
def test_a_broken_run_hides_no_other(damage: Callable[[Path], object], folder: Path) -> None:
    damage(folder / "parent")
    child, parent = list_runs(folder)
    assert (child.state, parent.state) == ("finished", "broken")
    assert parent.problem


def test_other_folders_are_no_runs(folder: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "notes" / "report.json").write_text("{}")
    (folder / "file").write_text("")
    assert [run.name for run in list_runs(folder)] == ["child", "parent"]


def test_one_run_may_be_named_itself(folder: Path) -> None:
    assert [run.name for run in list_runs(folder / "child")] == ["child"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no folder"):
        list_runs(tmp_path / "missing")


def test_listing_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from weitiao.api.runs import list_runs;"
        f"print(len(list_runs(Path({str(folder)!r})))); print({{'torch', 'transformers', 'peft'}} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[:2] == ["2", "set()"]
