import errno
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from weitiao.data import unpack as module
from weitiao.data.unpack import unpack
from weitiao.errors import DataError


def _wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def _tar_bytes(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            file.addfile(info)
    return buffer.getvalue()


def _sdist(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    path.write_bytes(gzip.compress(_tar_bytes(members, links)))
    return path


def _deb(path: Path, members: dict[str, bytes]) -> Path:
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": lzma.compress(_tar_bytes(members))}
    content = b"!<arch>\n"
    for name, part in parts.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
        )
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "prefix"), [(_wheel, ""), (_sdist, ""), (_deb, "./")])
def test_only_wanted_members_are_written_from_every_kind_of_archive(tmp_path: Path, make, prefix: str) -> None:
    members = {
        f"{prefix}pkg/data/a.txt": "甲".encode(),
        f"{prefix}pkg/code.py": b"boom",
        f"{prefix}pkg/data/deep/b.txt": b"b",
    }
    archive = make(tmp_path / "archive", members)
    written = unpack(archive, ["pkg/data/*"], tmp_path / "out")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in written) == [
        "pkg/data/a.txt",
        "pkg/data/deep/b.txt",
    ]
    assert (tmp_path / "out/pkg/data/a.txt").read_text(encoding="utf-8") == "甲"
    assert not (tmp_path / "out/pkg/code.py").exists()


@pytest.mark.parametrize("make", [_wheel, _sdist, _deb])
@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "a\\..\\evil.txt", "c:evil.txt"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, make, name: str) -> None:
    with pytest.raises(DataError, match=r"would leave its folder"):
        unpack(make(tmp_path / "archive", {name: b"x"}), ["*"], tmp_path / "out")
    assert not list(tmp_path.rglob("*evil*"))


def test_a_link_is_refused_when_wanted_and_passed_over_otherwise(tmp_path: Path) -> None:
    archive = _sdist(tmp_path / "a.tar.gz", {"p/data.txt": b"x"}, {"p/link.txt": "/etc/passwd"})
    with pytest.raises(DataError, match=r"p/link.txt.*link"):
        unpack(archive, ["p/*"], tmp_path / "all")
    assert len(unpack(archive, ["p/data.txt"], tmp_path / "one")) == 1


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("p/link.txt")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="link"):
        unpack(tmp_path / "a.whl", ["p/*"], tmp_path / "out")


@pytest.mark.parametrize("make", [_wheel, _sdist, _deb])
def test_a_bomb_stops_at_the_limit(tmp_path: Path, make) -> None:
    archive = make(tmp_path / "archive", {"zeros.txt": bytes(8 << 20)})
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="more than 1048576 bytes"):
        unpack(archive, ["*.txt"], tmp_path / "out", max_bytes=1 << 20)
    assert (tmp_path / "out/zeros.txt").stat().st_size <= 1 << 20


def test_a_bomb_that_nobody_wants_stops_too(tmp_path: Path) -> None:
    archive = _sdist(tmp_path / "a.tar.gz", {"zeros.bin": bytes(8 << 20), "a.txt": b"x"})
    with pytest.raises(DataError, match="more than 1048576 bytes"):
        unpack(archive, ["a.txt"], tmp_path / "out", max_bytes=1 << 20)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="more than 3 files"):
        unpack(_wheel(tmp_path / "a.whl", {f"{n}.txt": b"" for n in range(5)}), ["4.txt"], tmp_path / "out")


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = _sdist(tmp_path / "a.tar.gz", {"a.txt": b"1"})
    archive.write_bytes(gzip.compress(_tar_bytes({"a.txt": b"1"})[:1024] + _tar_bytes({"a.txt": b"2"})))
    with pytest.raises(DataError, match="twice"):
        unpack(archive, ["a.txt"], tmp_path / "out")


@pytest.mark.parametrize("make", [_wheel, _sdist, _deb])
def test_every_truncation_is_a_clear_error(tmp_path: Path, make) -> None:
    whole = make(tmp_path / "whole", {"a.txt": bytes(range(256)) * 20, "b.txt": b"b" * 999}).read_bytes()
    for cut in range(0, len(whole) - 30, 41):
        broken = tmp_path / f"broken{cut}"
        broken.write_bytes(whole[:cut])
        with pytest.raises(DataError):
            unpack(broken, ["a.txt", "b.txt"], tmp_path / f"out{cut}")


def test_a_wanted_member_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no data/\*.csv"):
        unpack(_wheel(tmp_path / "a.whl", {"b.txt": b""}), ["b.txt", "data/*.csv"], tmp_path / "out")


def test_something_else_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>log in first</html>")
    with pytest.raises(DataError, match=r"no wheel, zip, tar.gz or deb"):
        unpack(tmp_path / "page.html", ["*"], tmp_path / "out")


@pytest.mark.parametrize("make", [_wheel, _sdist, _deb])
def test_flipped_bytes_give_the_members_or_a_clear_error(tmp_path: Path, make) -> None:
    whole = make(tmp_path / "whole", {"a.txt": bytes(range(256)), "b.txt": b"b" * 999}).read_bytes()
    draw = random.Random(1)
    refused = 0
    for attempt in range(150):
        content = bytearray(whole)
        for _ in range(3):
            content[draw.randrange(len(content))] = draw.randrange(256)
        (tmp_path / "broken").write_bytes(content)
        try:
            unpack(tmp_path / "broken", ["a.txt", "b.txt"], tmp_path / f"out{attempt}", 1 << 20)
        except DataError:
            refused += 1
    assert refused > 50


def test_a_full_disk_is_not_called_a_damaged_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(OSError, match="No space"):
        unpack(_wheel(tmp_path / "a.whl", {"a.txt": b"x"}), ["a.txt"], tmp_path / "out")
