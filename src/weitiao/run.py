"""A run is a folder: settings, lineage, ledger, events, checkpoints, the result and its report.

Whoever wants to know how a run is doing reads the folder; one process at a time writes it, under a lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from weitiao.errors import MachineError, SettingsError
from weitiao.models.whole_folder import force
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Run:
    """The paths of a run's folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def settings(self) -> Path:
        """Every setting, defaults written out with their reasons."""
        return self.folder / "settings.yaml"

    @property
    def given(self) -> Path:
        """The settings as the user gave them, from which a resumed run derives the rest again."""
        return self.folder / "given.yaml"

    @property
    def lineage(self) -> Path:
        """Fingerprints of what went in."""
        return self.folder / "lineage.json"

    @property
    def ledger(self) -> Path:
        """A line for every row read."""
        return self.folder / "ledger.jsonl"

    @property
    def events(self) -> Path:
        """A line for each step, evaluation, save and warning."""
        return self.folder / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Whole checkpoints by step."""
        return self.folder / "checkpoints"

    @property
    def work(self) -> Path:
        """What only an unfinished run needs: encoded rows, the answers before training."""
        return self.folder / "work"

    @property
    def best_on_dev(self) -> Path:
        """What the best checkpoint answered to the dev items."""
        return self.work / "best-on-dev.json"

    @property
    def model(self) -> Path:
        """The result, in PEFT's or transformers' layout."""
        return self.folder / "model"

    @property
    def answers(self) -> Path:
        """What was answered to each test item before and after, and to the dev items; every bit of it."""
        return self.folder / "answers.json"

    @property
    def report(self) -> Path:
        """The report as JSON; report.html and card.md lie beside it."""
        return self.folder / "report.json"

    def finished(self) -> bool:
        """Whether the run ended with a result and a report."""
        return self.report.is_file() and self.model.is_dir()


def is_run(folder: Path) -> bool:
    """Whether ``folder`` is a run's folder, of one that was killed while it was loading too."""
    return Run(folder).given.is_file()


def new_run_folder(parent: Path, name: str) -> Path:
    """A folder name that is free: ``name``, then ``name-2`` and so on. Nothing is created."""
    folder = parent / name
    number = 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def check_unused(folder: Path) -> None:
    """Raise SettingsError when something lies in ``folder`` that is not hidden."""
    if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise SettingsError(
            t("output_dir {folder} is not empty", folder=folder), t("name a new folder; nothing is overwritten")
        )


def named_by_data(parent: str, data: str, ending: str = "") -> Path:
    """A free folder in ``parent`` that is called by the day and the data: ``runs/2026-11-24-sms-spam-lora``."""
    name = Path(data).stem if Path(data).exists() else data
    return new_run_folder(Path(parent), f"{date.today().isoformat()}-{name}{ending}")


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the run's lock; the system frees it when the process ends, however. Raises SettingsError when held."""
    run.folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(run.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            raise SettingsError(
                t("another process ({pid}) is working on {run}", pid=holder or "?", run=run.folder),
                t("wait for it, or stop it with: kill {pid}", pid=holder or "PID"),
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


class Events:
    """Appends to events.jsonl, a whole line at a time, and tells ``listen``. MachineError when the disk refuses."""

    def __init__(self, path: Path, listen: Callable[[str, dict[str, Any]], None] = lambda kind, facts: None) -> None:
        self._path = path
        self._listen = listen
        self._file = path.open("a", encoding="utf-8")

    def add(self, kind: str, **facts: Any) -> None:
        """Append one event with the time."""
        line = {"time": round(time.time(), 3), "kind": kind, **facts}
        with _writing(self._path):
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        self._listen(kind, facts)

    def force(self) -> None:
        """Put all so far on the disk itself. Before a checkpoint: the log must never know less than that."""
        with _writing(self._path):
            force(self._path)
            force(self._path.parent)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Every event; a torn last line is passed over. Raises ValueError for other lines that are no events."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _event(line)


def rewind_events(path: Path, step: int, scored: bool = True) -> None:
    """Drop what was logged after ``step``: it will be done, and logged, again. Each step stands once in the log.

    Not ``scored``: what was logged of that step's evaluation is dropped too. So is what a power failure has torn, for
    all up to a checkpoint was safe before that.
    """
    if not path.is_file():
        return
    kept = []
    with path.open("rb") as file:
        for line in file:
            try:
                event = _event(line)
            except ValueError:
                continue
            number = event.get("step", 0)
            if number < step or (number == step and (scored or event["kind"] == "step")):
                kept.append(json.dumps(event, ensure_ascii=False) + "\n")
    write_whole(path, "".join(kept))


def write_whole(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, whole or not at all, for good. Raises MachineError when the disk refuses."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with _writing(path):
        try:
            unfinished.write_text(text, encoding="utf-8")
            force(unfinished)
            unfinished.replace(path)
            force(path.parent)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise


def _event(line: bytes) -> Mapping[str, Any]:
    event = json.loads(line.decode("utf-8"))
    if not isinstance(event, dict) or "kind" not in event:
        raise ValueError(line[:60])
    return event


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            t("{path} could not be written: {reason}", path=path, reason=error.strerror), t("free some space")
        ) from error
