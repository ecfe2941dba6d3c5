"""Checkpoints, whole or invisible.

A checkpoint is written into a temporary folder, each file forced to disk, a manifest with every file's sha256 last;
then the folder is renamed and its parent forced to disk. "The latest" is found by verifying manifests, newest first,
never by a pointer that could lie. safetensors and JSON only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from weitiao.errors import MachineError
from weitiao.models.whole_folder import force
from weitiao.words import t

_WEIGHTS, _OPTIMIZER, _STATE, _MANIFEST = "weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
_UNFINISHED, _REMOVED = ".unfinished-", ".removed-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint: its manifest was verified."""

    folder: Path
    step: int
    state: Mapping[str, Any]  # what the run said: place, best, digests

    def weights(self) -> dict[str, Tensor]:
        """The float32 weights that learn, by name."""
        return load_file(self.folder / _WEIGHTS)

    def moments(self) -> dict[str, Tensor]:
        """The optimizer's state, by name."""
        return load_file(self.folder / _OPTIMIZER)


def save_checkpoint(
    parent: Path, step: int, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor], state: Mapping[str, Any]
) -> Path:
    """Write ``parent/NNNNNN``; it exists whole or not at all. Raises MachineError when the disk refuses."""
    final = parent / f"{step:06d}"
    unfinished = parent / f"{_UNFINISHED}{step:06d}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        unfinished.mkdir()
        save_file(_contiguous(weights), unfinished / _WEIGHTS)
        save_file(_contiguous(moments), unfinished / _OPTIMIZER)
        (unfinished / _STATE).write_text(json.dumps({"step": step, **state}, sort_keys=True), encoding="utf-8")
        names = (_WEIGHTS, _OPTIMIZER, _STATE)
        manifest = {name: _digest(unfinished / name) for name in names}
        (unfinished / _MANIFEST).write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
        for name in (*names, _MANIFEST):
            force(unfinished / name)
        force(unfinished)
        if final.exists():  # from before a resume; the same step has the same bits
            _remove(final)
        unfinished.rename(final)
        force(parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise MachineError(
            t("the checkpoint of step {step} could not be saved: {reason}", step=step, reason=str(error)),
            t("free some space and resume; earlier checkpoints are whole"),
        ) from error
    return final


def checkpoints(parent: Path) -> list[Checkpoint]:
    """Every whole checkpoint, newest first. Unfinished and damaged ones are passed over."""
    return [found for folder in _newest_first(parent) if (found := _verified(folder)) is not None]


def latest_checkpoint(parent: Path) -> Checkpoint | None:
    """The newest whole checkpoint; only as many are verified as needed."""
    return next((found for folder in _newest_first(parent) if (found := _verified(folder)) is not None), None)


def damaged_checkpoints(parent: Path) -> list[Path]:
    """Folders that look like checkpoints but are not whole: unfinished ones, and those whose manifest does not hold."""
    damaged = [folder for folder in _newest_first(parent) if _verified(folder) is None]
    return sorted((*parent.glob(f"{_UNFINISHED}*"), *damaged))


def prune(parent: Path, keep: int, best_step: int | None) -> None:
    """Delete all but the newest ``keep`` checkpoints and the best one; the newest is verified before any is deleted."""
    latest = latest_checkpoint(parent)
    if latest is None:
        return
    discard_after(parent, latest.step)  # not whole, so they must not count
    for folder in _newest_first(parent)[keep:]:
        if _step_of(folder) != best_step:
            _remove(folder)


def discard_after(parent: Path, step: int) -> None:
    """Delete what lies beyond ``step``, and what a killed process left half-written or half-deleted."""
    for folder in _newest_first(parent):
        if _step_of(folder) > step:
            _remove(folder)
    _sweep(parent)


def _newest_first(parent: Path) -> list[Path]:
    """By number, not by name: the millionth step has one digit more."""
    folders = [entry for entry in parent.glob("*") if entry.name.isascii() and entry.name.isdigit()]
    return sorted(folders, key=_step_of, reverse=True)


def _step_of(folder: Path) -> int:
    return int(folder.name)


def _remove(folder: Path) -> None:
    """Delete in two moves, so that a checkpoint of which half is deleted is never taken for a damaged one."""
    gone = folder.with_name(f"{_REMOVED}{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone)


def _sweep(parent: Path) -> None:
    for left in (*parent.glob(f"{_UNFINISHED}*"), *parent.glob(f"{_REMOVED}*")):
        shutil.rmtree(left)


def _verified(folder: Path) -> Checkpoint | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or set(manifest) != {_WEIGHTS, _OPTIMIZER, _STATE}:
            return None
        if any(_digest(folder / name) != digest for name, digest in manifest.items()):
            return None
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return Checkpoint(folder, int(state["step"]), state)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
