"""A growing file is true up to its journal, whatever happened after."""

import fcntl
import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from weitiao.api.growing_file import growing_file, journal_path
from weitiao.errors import MachineError, SettingsError

MADE_FROM = {"data": "d1", "model": "m1"}


def grow(path: Path, parts: list[bytes]) -> None:
    with growing_file(path, MADE_FROM) as grown:
        done = grown.journal.place or 0
        for number, part in enumerate(parts[done:], start=done + 1):
            grown.append(part, number)
        grown.finish()


def test_a_finished_file_stands_alone(tmp_path: Path) -> None:
    grow(tmp_path / "out.csv", [b"a\n", b"b\n"])
    assert (tmp_path / "out.csv").read_bytes() == b"a\nb\n"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_killed_at_any_instant_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """A child kills itself at its n-th forced write, before or after, until one of them gets through."""
    parts = [bytes([65 + number]) * 5 + b"\n" for number in range(4)]
    path = tmp_path / "out.csv"
    kills = torn = 0
    for instant in range(1, 200):
        child = os.fork()
        if child == 0:  # pragma: no cover - the child
            try:
                _die_at(instant)
                grow(path, parts)
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        if path.stat().st_size and not journal_path(path).exists():
            break  # finished; a kill after that has nothing left to harm
        journal = json.loads(journal_path(path).read_text()) if journal_path(path).exists() else {"bytes": 0}
        torn += path.exists() and path.stat().st_size > journal["bytes"]
        assert path.stat().st_size >= journal["bytes"]
    assert path.read_bytes() == b"".join(parts)
    assert not journal_path(path).exists()
    assert kills > 5
    assert torn > 0, "no kill met a part that the journal does not know"


def _die_at(instant: int) -> None:
    real, count = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal count
        for when in ("before", "after"):
            count += 1
            if count == instant:
                os.kill(os.getpid(), signal.SIGKILL)
            if when == "before":
                real(handle)

    os.fsync = fsync


def test_what_the_journal_does_not_know_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM) as grown:
        grown.append(b"whole\n", 1)
    with path.open("ab") as file:
        file.write(b"torn li")
    grow(path, [b"whole\n", b"next\n"])
    assert path.read_bytes() == b"whole\nnext\n"


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM) as grown:
        grown.append(b"whole\n", 1)
    for content in (b"whale\n", b"who"):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match="was changed"):
            grow(path, [b"whole\n"])
        assert path.read_bytes() == content


def test_another_origin_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM) as grown:
        grown.append(b"whole\n", 1)
    with pytest.raises(SettingsError, match="something else: model"), growing_file(path, {**MADE_FROM, "model": "m2"}):
        pass
    path.unlink()
    with growing_file(path, {**MADE_FROM, "model": "m2"}) as grown:
        assert grown.journal.place is None, "a deleted file is begun anew"


def test_a_finished_file_is_never_written_over(tmp_path: Path) -> None:
    grow(tmp_path / "out.csv", [b"a\n"])
    with pytest.raises(SettingsError, match="exists already"):
        grow(tmp_path / "out.csv", [b"b\n"])
    assert (tmp_path / "out.csv").read_bytes() == b"a\n"


def test_only_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM), pytest.raises(SettingsError, match="another process"):
        grow(path, [b"a\n"])


def test_a_folder_is_no_place_for_it(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "out.csv"):
        with pytest.raises(SettingsError, match="cannot be a file"):
            grow(path, [])


def test_a_damaged_journal_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM) as grown:
        grown.append(b"whole\n", 1)
    for content in ("", "[]", '{"bytes": "x"}'):
        journal_path(path).write_text(content)
        with pytest.raises(SettingsError, match="is damaged"):
            grow(path, [])


def test_a_full_disk_costs_no_whole_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM) as grown:
        grown.append(b"whole\n", 1)

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch, pytest.raises(MachineError, match="No space left") as caught:
            patch.setattr(os, "fsync", full)
            grown.append(b"lost\n", 2)
        assert "goes on" in caught.value.hint
    journal = json.loads(journal_path(path).read_text())
    assert (journal["place"], journal["sha256"]) == (1, hashlib.sha256(b"whole\n").hexdigest())
    grow(path, [b"whole\n", b"more\n"])
    assert path.read_bytes() == b"whole\nmore\n"


def test_the_lock_ends_with_the_block(tmp_path: Path) -> None:
    with growing_file(tmp_path / "out.csv", MADE_FROM):
        pass
    with (tmp_path / "out.csv").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_of_a_file_that_failed_before_its_first_part_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(ValueError, match="no"), growing_file(path, MADE_FROM):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(ValueError, match="no"), growing_file(path, MADE_FROM):
        raise ValueError("no")
    assert path.exists(), "it was there before"


def test_a_file_without_a_part_is_begun_anew_from_something_else(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM):
        pass
    with growing_file(path, {**MADE_FROM, "model": "m2"}) as grown:
        grown.append(b"whole\n", 1)
    with pytest.raises(SettingsError, match="something else: model"):
        grow(path, [])


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with growing_file(path, MADE_FROM) as grown:
        grown.append(b"whole\n", 1)
        grown.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_writer_discarded_meanwhile_is_not_taken_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "out.csv", fcntl.flock

    def late(handle: int, how: int) -> None:
        path.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(SettingsError, match="another process"):
        grow(path, [b"a\n"])


def test_a_file_that_may_not_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, flags: int, mode: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(MachineError, match=r"out\.csv could not be written: Permission denied") as caught:
        grow(tmp_path / "out.csv", [])
    assert "permissions" in caught.value.hint


def test_a_full_disk_at_the_beginning_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="No space left"):
        grow(tmp_path / "out.csv", [])
    assert list(tmp_path.iterdir()) == []
