"""``weitiao predict`` says where the answers are and what became of the rows."""

import csv
import json
from pathlib import Path

import pytest

import tiny
from weitiao import cli


@pytest.fixture
def data(tiny_run: Path, tmp_path: Path) -> Path:
    return tiny.tiny_rows(tmp_path / "rows.csv")


def test_the_output_stands_beside_the_data(tiny_run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(tiny_run), "--data", str(data)]) == 0
    told = capsys.readouterr()
    path = data.with_name("rows.predictions.csv")
    assert f"written: {path}" in told.out
    assert "30 rows read = 30 used + 0 shortened + 0 dropped" in told.out
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "source",
        "text",
        "prediction",
        "confidence",
        "probability/ham",
        "probability/spam",
        "problem",
    ]
    assert len(rows) == 30


def test_the_json_says_the_same(tiny_run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    assert cli.main(["predict", str(tiny_run), f"data={data}", "--output", str(output), "--no-text", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["output"] == str(output)
    assert found["ledger"] == {"read": 30, "used": 30, "truncated": 0, "dropped": 0}
    assert sum(found["predicted"].values()) == 30
    assert found["went_on_after"] == 0
    first = json.loads(output.read_text(encoding="utf-8").split("\n")[0])
    assert set(first) == {"source", "prediction", "confidence", "probabilities"}


def test_replies_take_sampling_flags(tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    outputs = []
    for name, flags in {"a": ["--temperature", "1.5"], "b": ["--temperature=1.5", "--seed=1"], "c": []}.items():
        output = tmp_path / f"{name}.csv"
        arguments = ["predict", str(tiny_llama), "--data", str(data), "--output", str(output), "--max-new-tokens", "4"]
        assert cli.main([*arguments, *flags]) == 0
        outputs.append(output.read_bytes())
    assert len(set(outputs)) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "problem", "hint"),
    [
        (["{run}"], 2, "not given: data", "--data"),
        (["{run}", "--data", "{rows}", "--output", "x.xlsx"], 2, "x.xlsx", "--output x.csv"),
        (["{run}", "--data", "{rows}", "--temperature", "hot"], 2, "temperature is hot", "a number from 0 to 100"),
        (["{run}", "--data", "{rows}", "--epochs", "2"], 2, "has no use for epochs", "max_new_tokens"),
        (["{run}", "--data", "{rows}", "--output", "{rows}"], 2, "is the data", "another --output"),
        (["{run}", "--data", "{rows}x"], 3, "there is no file", "did you mean"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(
    arguments: list[str],
    code: int,
    problem: str,
    hint: str,
    tiny_run: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for language in ("en", "zh"):
        named = [argument.format(run=tiny_run, rows=data) for argument in arguments]
        assert cli.main(["predict", *named, "--lang", language]) == code
        err = capsys.readouterr().err
        if language == "en":
            assert f"error: {problem}" in err or problem in err.split("\n")[-3]
            assert hint in err.split("\n")[-2]
        else:
            assert "错误：" in err and "提示：" in err
    assert [file.name for file in data.parent.iterdir()] == ["rows.csv"]
