"""``weitiao evaluate`` shows every score with its interval, and refuses what has no effect."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from weitiao import cli
from weitiao.api import kept_answers
from weitiao.evaluation.ask import ask


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    assert cli.main(["evaluate", *arguments]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_the_json_is_scores_and_slices(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = told([str(tiny_run), "--json"], capsys)
    found = json.loads(out)
    report = json.loads((tiny_run / "report.json").read_text(encoding="utf-8"))
    assert found["scores"] == report["after"]["scores"]
    assert found["slices"] == {}
    assert set(found["scores"]["accuracy"]) == {"value", "low", "high", "count"}
    assert set(found) == {"scores", "slices", "ledger", "problems", "report"}


@pytest.mark.parametrize(
    ("language", "title", "learned"), [("en", "Accuracy", "learned from"), ("zh", "准确率", "学习过")]
)
def test_people_see_scores_with_intervals_and_warnings(
    language: str, title: str, learned: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(tiny_run.parent.parent / "rows.csv")
    arguments = [str(tiny_run), "--data", data, "--slices", "--output", str(tmp_path / "out"), "--lang", language]
    out, err = told(arguments, capsys)
    (line,) = [line for line in out.split("\n") if line.startswith(f"{title} ")]
    assert line.split()[-1] == "30"
    assert "%" in line
    assert learned in err
    assert str(tmp_path / "out" / "report.html") in out
    assert f'lang="{"zh" if language == "zh" else "en"}' in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert ("短文本（" if language == "zh" else "short texts (") in out


def test_the_test_split_of_other_data_may_be_asked_for(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tiny_run.parent.parent / "rows.csv")
    out, err = told([str(tiny_run), "--data", data, "--split", "test", "--json"], capsys)
    assert json.loads(out)["scores"] == json.loads((tiny_run / "report.json").read_text("utf-8"))["after"]["scores"]
    assert "learned from" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "problem", "hint"),
    [
        ([], 2, "not given: model", "--model"),
        (["{llama}"], 2, "is not a run", "--data FILE"),
        (["{run}", "--data", "missing.csv"], 3, "there is no file missing.csv", "weitiao samples"),
        (["{run}", "--split", "dev"], 2, "--split is dev", "--split test"),
        (["{run}", "--split"], 2, "--split needs a value", "--split VALUE"),
        (["{run}", "--learning-rate", "1"], 2, "has no use for learning_rate", "text_column"),
        (["{run}", "--tex-column", "x"], 2, "--tex-column is not a setting", "--text-column"),
        (["no/such/model", "--data", "x.csv"], 4, "there is no model no/such/model", "pass a folder"),
        (["{run}", "--data", "{rows}", "--label-column", "lable"], 3, "lable", "label"),
        (["{run}", "--output", "{run}/out"], 2, "lies inside model", "--output-dir"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(
    arguments: list[str],
    code: int,
    problem: str,
    hint: str,
    tiny_run: Path,
    tiny_llama: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = {"run": tiny_run, "llama": tiny_llama, "rows": tiny_run.parent.parent / "rows.csv"}
    _, err = told([argument.format(**named) for argument in arguments], capsys, code)
    lines = err.split("\n")
    assert any(line.startswith("error: ") and problem in line for line in lines), err
    assert any(line.startswith("hint: ") and hint in line for line in lines), err
    _, err = told([*[argument.format(**named) for argument in arguments], "--lang", "zh"], capsys, code)
    assert "错误：" in err and "提示：" in err


@pytest.mark.parametrize(
    ("language", "stopped", "hint", "gone_on"),
    [
        (
            "en",
            "stopped: stopped after 8 rows, and saved",
            "give the same command again",
            "8 of 30 rows had been scored",
        ),
        ("zh", "已停止：在 8 行之后停下，已保存", "请再用同一条命令", "30 行中已有 8 行评过分"),
    ],
)
def test_stopped_it_goes_on_when_the_same_command_is_given_again(
    language: str,
    stopped: str,
    hint: str,
    gone_on: str,
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("weitiao.evaluation.ask.SCORED_TOGETHER", 4)
    data = str(tiny_run.parent.parent / "rows.csv")
    arguments = [str(tiny_run), "--data", data, "--output", str(tmp_path / "out"), "--lang", language]
    asked = 0

    def stopping(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return ask(*given)

    with monkeypatch.context() as patch:
        patch.setattr(kept_answers, "ask", stopping)
        _, err = told(arguments, capsys, 75)
    assert stopped in err
    assert hint in err
    out, err = told([*arguments, "--json"], capsys)
    assert gone_on in err
    assert json.loads(out)["scores"]["accuracy"]["count"] == 30
