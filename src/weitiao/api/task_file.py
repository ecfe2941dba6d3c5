"""``task.json`` of a run: what the result was trained to answer, and in which form it must be asked.

Separate because training writes it and everything that uses a result reads it, some of it without torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from weitiao.errors import ModelError
from weitiao.example import Kind, Task, told
from weitiao.run import Run, write_whole
from weitiao.words import t

_VERSION = 1


@dataclass(frozen=True, slots=True)
class TrainedTask:
    """The task, and with it what decides an answer's bits: the most tokens of a row, the precision, the template."""

    task: Task
    cutoff_len: int
    precision: str
    template: str  # "model", a built-in's name, or the file it came from; the text itself lies in model/


def write_task(run: Run, trained: TrainedTask) -> None:
    """Write ``task.json``, whole or not at all. Raises MachineError."""
    stored = {"version": _VERSION, **told(trained.task)}
    stored |= {"cutoff_len": trained.cutoff_len, "precision": trained.precision, "template": trained.template}
    write_whole(_path(run), json.dumps(stored, ensure_ascii=False, indent=1))


def read_task(run: Run) -> TrainedTask:
    """Back from :func:`write_task`. Raises ModelError when the file is missing or damaged."""
    try:
        stored = json.loads(_path(run).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(run, str(error)) from error
    if not isinstance(stored, dict) or not _whole(stored):
        raise _damaged(run, t("a field is missing or of another type"))
    task = Task(stored["kind"], stored["question"], tuple(stored["categories"]), bool(stored.get("several")))
    return TrainedTask(task, stored["cutoff_len"], stored["precision"], stored["template"])


def _path(run: Run) -> Path:
    return run.folder / "task.json"


def _whole(stored: dict[str, Any]) -> bool:
    categories = stored.get("categories")
    return (
        stored.get("kind") in get_args(Kind)
        and isinstance(stored.get("question"), str)
        and isinstance(categories, list)
        and all(isinstance(name, str) for name in categories)
        and type(stored.get("cutoff_len")) is int
        and stored.get("precision") in ("bf16", "fp32")
        and isinstance(stored.get("template"), str)
    )


def _damaged(run: Run, reason: str) -> ModelError:
    return ModelError(
        t("{run} does not say what it was trained for: task.json: {reason}", run=run.folder, reason=reason),
        t("restore it from a copy of the run, or train again with: weitiao train {file}", file=run.settings),
    )
