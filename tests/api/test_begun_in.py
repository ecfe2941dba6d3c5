"""A run begun with relative paths is used from every directory, or it is said what was looked for, and where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from weitiao.api.begun_in import begun_in
from weitiao.api.evaluate import evaluate
from weitiao.api.train import train
from weitiao.errors import DataError
from weitiao.run import Run
from weitiao.settings import Settings, make_settings, parse_settings
from weitiao.words import set_language


@pytest.fixture(scope="module")
def trained(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with data, a test file and a run, all named from within; never write into it."""
    project = tmp_path_factory.mktemp("project")
    tiny.tiny_rows(project / "rows.csv")
    (project / "held").mkdir()
    (project / "held" / "out.csv").write_text("text,label\nNever seen,spam\nNor this,ham\nAnd that,ham\n", "utf-8")
    values = {"model": tiny_llama, "data": "rows.csv", "test": "held/out.csv", "output_dir": "runs/first"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        train(make_settings({**values, "max_steps": 1, "precision": "fp32", "val_size": 0.2}))
    return project


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, while the process is elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Path(shutil.copytree(trained, tmp_path / "moved"))


def own(run: Path, **others: Any) -> Settings:
    return parse_settings([str(run / "given.yaml")]).settings.model_copy(update=others)


def test_a_run_is_evaluated_from_every_directory(project: Path) -> None:
    found = evaluate(make_settings({"model": project / "runs" / "first"}))
    report = json.loads((project / "runs" / "first" / "report.json").read_text(encoding="utf-8"))
    assert found.json()["scores"] == report["after"]["scores"]
    assert found.report["data"]["path"] == "rows.csv"


def test_the_directory_is_found_by_the_name_of_the_folder(project: Path) -> None:
    run = project / "runs" / "first"
    assert begun_in(Run(run), own(run)) == project
    assert begun_in(Run(run), own(run, output_dir=None)) == project, "runs/NAME is where runs are by themselves"
    assert begun_in(Run(Path("../moved/runs/first")), own(run)) == project
    (project / "elsewhere").mkdir()
    deeper = Path(shutil.move(run, project / "elsewhere" / "x"))
    assert begun_in(Run(deeper), own(deeper, output_dir="elsewhere/x")) == project


@pytest.mark.parametrize("output_dir", ["/somewhere/first", "other/name", "../runs/first", None])
def test_where_the_folder_does_not_tell_the_paths_are_looked_for_here(
    output_dir: str | None, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.move(project / "runs" / "first", project / "renamed"))
    with pytest.raises(DataError) as caught:
        begun_in(Run(run), own(run, output_dir=output_dir))
    assert caught.value.problem == f"{run} was begun with the relative path rows.csv, and {Path.cwd()} has no such file"
    assert "in the directory where the run was begun" in caught.value.hint
    monkeypatch.chdir(project)
    assert begun_in(Run(run), own(run, output_dir=output_dir)) == project


def test_what_is_gone_is_named_with_the_directory(project: Path) -> None:
    run = project / "runs" / "first"
    (project / "held" / "out.csv").unlink()
    with pytest.raises(DataError, match=rf"the relative path held/out\.csv, and {project} has no such file"):
        evaluate(make_settings({"model": run}))
    set_language("zh")
    with pytest.raises(DataError, match=r"相对路径 held/out\.csv"):
        begun_in(Run(run), own(run))


def test_here_wins_when_more_is_found_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, here = project / "runs" / "first", Path.cwd()
    shutil.move(project / "rows.csv", here)
    shutil.copytree(project / "held", here / "held")
    assert begun_in(Run(run), own(run)) == here


@pytest.mark.parametrize("data", ["sms-spam", "/absolute/rows.csv"])
def test_samples_and_absolute_paths_are_in_no_directory(data: str, project: Path) -> None:
    run = project / "runs" / "first"
    assert begun_in(Run(run), own(run, data=data, test=None)) == project


def test_a_data_set_of_llama_factory_is_looked_for_by_its_list(project: Path) -> None:
    run = project / "runs" / "first"
    (project / "dataset_info.json").write_text('{"mine": {"file_name": "rows.csv"}}', encoding="utf-8")
    assert begun_in(Run(run), own(run, data="mine", test=None)) == project
