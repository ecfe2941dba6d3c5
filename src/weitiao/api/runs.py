"""``runs``: every run under a folder, how far it is, what it reached, and which run it came from.

Reads folders and nothing else: no torch, and a run that another process is working on is not disturbed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from weitiao.api.task_file import read_task
from weitiao.errors import SettingsError, WeitiaoError
from weitiao.evaluation.measures import headlines
from weitiao.lineage import Lineage
from weitiao.run import Run, read_events
from weitiao.settings import Settings, parse_settings
from weitiao.words import t

State = Literal["finished", "running", "stopped", "broken"]

_SAVED = "save"


@dataclass(frozen=True)
class RunFacts:
    """One run as its folder tells. ``step`` is the last that was saved; ``score`` is the task's own, after tuning."""

    folder: Path
    state: State
    kind: str = ""
    model: str = ""
    method: str = ""
    step: int = 0
    steps: int | None = None  # None: not yet known
    metric: str = ""
    score: Mapping[str, Any] | None = None  # value, low, high, count
    parent: str | None = None
    problem: str = ""  # of a broken run, for people

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def json(self) -> dict[str, Any]:
        """As ``weitiao runs --json`` prints it."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "state": self.state,
            "kind": self.kind,
            "model": self.model,
            "method": self.method,
            "step": self.step,
            "steps": self.steps,
            "score": {"metric": self.metric, **self.score} if self.score else None,
            "parent": self.parent,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Branch:
    """A run with those that came from it."""

    run: RunFacts
    children: tuple[Branch, ...]


def list_runs(folder: Path) -> list[RunFacts]:
    """Every run in ``folder``, by name; a run's own folder gives that one. Raises SettingsError when there is none."""
    if not folder.is_dir():
        raise SettingsError(t("there is no folder {folder}", folder=folder), t("weitiao runs FOLDER lists its runs"))
    if _looks_like_run(folder):
        return [_facts(Run(folder))]
    return [_facts(Run(entry)) for entry in sorted(folder.iterdir()) if entry.is_dir() and _looks_like_run(entry)]


def family(runs: Sequence[RunFacts]) -> list[Branch]:
    """The same runs as trees, parents first. A run whose parent is not among them begins a tree of its own."""
    names = {run.name for run in runs}
    placed: set[str] = set()

    def branch(run: RunFacts) -> Branch:
        placed.add(run.name)
        children = [child for child in runs if child.parent == run.name]
        return Branch(run, tuple(branch(child) for child in children if child.name not in placed))

    trees = [branch(run) for run in runs if run.parent not in names]
    # Folders that were renamed can make a circle of parents; it is cut somewhere, and no run is lost.
    return trees + [branch(run) for run in runs if run.name not in placed]


def _looks_like_run(folder: Path) -> bool:
    run = Run(folder)
    return any(path.is_file() for path in (run.given, run.settings, run.lineage))


def _facts(run: Run) -> RunFacts:
    try:
        return _finished(run) if run.finished() else _unfinished(run)
    except WeitiaoError as error:
        return RunFacts(run.folder, "broken", problem=error.problem)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return RunFacts(run.folder, "broken", problem=t("it cannot be read: {reason}", reason=str(error)[:200]))


def _finished(run: Run) -> RunFacts:
    report = json.loads(run.report.read_text(encoding="utf-8"))
    scores = report["after"]["scores"]
    metric = next(iter(headlines(report["task"]["kind"], scores)), "")
    steps = max((point["step"] for point in report["curve"]), default=0)
    return RunFacts(
        run.folder,
        "finished",
        kind=report["task"]["kind"],
        model=report["model"]["name"],
        method=report["model"]["method"],
        step=steps,
        steps=steps,
        metric=metric,
        score=scores.get(metric),
        parent=_lineage(run).parent,
    )


def _unfinished(run: Run) -> RunFacts:
    settings = _settings(run)
    saved, steps = 0, None
    for event in read_events(run.events):
        saved = event["step"] if event["kind"] == _SAVED else saved
        steps = event["steps"] if event["kind"] == "plan" else steps
    begun = run.lineage.is_file()
    return RunFacts(
        run.folder,
        "running" if is_locked(run) else "stopped",
        kind=read_task(run).task.kind if begun else "",
        model=settings.model,
        method=settings.method,
        step=saved,
        steps=steps,
        parent=_lineage(run).parent if begun else None,
    )


def _settings(run: Run) -> Settings:
    return parse_settings([str(run.settings if run.settings.is_file() else run.given)]).settings


def _lineage(run: Run) -> Lineage:
    return Lineage.from_json(json.loads(run.lineage.read_text(encoding="utf-8")))


def is_locked(run: Run) -> bool:
    """Whether a process is working on the run: the one that the lock names lives, and the lock is held.

    The lock is tried, shared and for an instant, only where its process lives: one that is just starting never finds
    it taken.
    """
    try:
        handle = os.open(run.folder / ".lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        holder = os.pread(handle, 32, 0).strip()
        if not holder.isdigit() or not _lives(int(holder)):
            return False
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, so it lives
        return True
    return True
