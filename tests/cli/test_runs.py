"""``weitiao runs`` draws the family in both languages and says what can go on."""

import json
import shutil
from pathlib import Path

import pytest

from weitiao import cli


@pytest.fixture
def folder(tiny_run: Path, tiny_child: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_run.parent, tmp_path / "runs")
    return tmp_path / "runs"


def test_a_child_stands_under_its_parent(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", str(folder)]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split("  ")[0] for line in lines[:3]] == ["run", "parent", "└─ child"]
    assert "finished" in lines[1] and "Accuracy" in lines[1] and " to " in lines[1]


def test_the_tree_speaks_chinese(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", str(folder), "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert "已完成" in out and "准确率" in out and "finished" not in out


def test_the_json_is_a_list_of_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", str(folder), "--json"]) == 0
    child, parent = json.loads(capsys.readouterr().out)["runs"]
    assert (child["parent"], parent["parent"]) == ("parent", None)
    assert set(parent["score"]) == {"metric", "value", "low", "high", "count"}


def test_a_stopped_run_is_told_how_to_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "child" / "report.json").unlink()
    (folder / "parent" / "report.json").write_text("{")
    assert cli.main(["runs", str(folder)]) == 0
    told = capsys.readouterr()
    assert "stopped, step 6 of 6" in told.out
    assert f"child can go on: weitiao train {folder / 'child'}" in told.err
    assert "parent is damaged: " in told.err


def test_no_runs_yet_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["runs"]) == 0
    assert "begin one with: weitiao train" in capsys.readouterr().err
    assert cli.main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": []}


@pytest.mark.parametrize(("language", "problem"), [("en", "there is no folder missing"), ("zh", "没有文件夹 missing")])
def test_a_missing_folder_is_an_error(
    language: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["runs", "missing", "--lang", language]) == 2
    assert problem in capsys.readouterr().err
