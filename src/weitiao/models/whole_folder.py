"""A folder of files that appears whole or not at all.

Separate because a converted model and a run's result are both written so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from safetensors import SafetensorError

from weitiao.errors import MachineError
from weitiao.words import t


@contextmanager
def whole_folder(out: Path, replace: bool) -> Iterator[Path]:
    """Yields an empty folder to write into; it becomes ``out`` when the block ends well, and vanishes otherwise.

    Every file is forced to disk before ``out`` can be seen. With ``replace`` an older ``out`` makes room at the last
    moment; without, it stays and what was written is dropped. Raises MachineError when the disk refuses.
    """
    work = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    older = out.with_name(f".{out.name}.{os.getpid()}.replaced")
    try:
        _sweep(out)
        work.mkdir(parents=True)
        yield work
        for place in (*work.rglob("*"), work):
            force(place)
        if replace and out.exists():
            out.rename(older)
        if not out.exists():
            work.rename(out)
        force(out.parent)
    except (OSError, SafetensorError) as error:
        raise MachineError(
            t("{path} could not be written: {reason}", path=out, reason=str(error)),
            t("free some disk space, or choose a folder on a larger disk"),
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(older, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Remove what killed processes left behind; a converted model is large."""
    for left in (*out.parent.glob(f".{out.name}.*.unfinished"), *out.parent.glob(f".{out.name}.*.replaced")):
        owner = left.name.split(".")[-2]
        if owner.isdigit() and (int(owner) == os.getpid() or not psutil.pid_exists(int(owner))):
            shutil.rmtree(left, ignore_errors=True)


def force(place: Path) -> None:
    """fsync a file or a folder."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
