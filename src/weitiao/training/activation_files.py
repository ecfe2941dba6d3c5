"""Tensors on disk under names made of what they were calculated from, for any process to find.

A file never changes: it appears by a rename, and ends with the digest of its name and content, which is looked at
before a process first believes it. So a half-written, torn or exchanged file is one that is not there, and since
whatever is missing is calculated again to the same bits, any file may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weitiao.data.samples import cache_folder
from weitiao.errors import MachineError
from weitiao.words import t

_DIGEST_BYTES = 32
_UNFINISHED = "."
_FORGOTTEN_SECONDS = 3600.0  # an unfinished file of that age has lost its writer


class ActivationFiles:
    """The files of one folder. Before the first is written, those of all folders are cut down to ``most_bytes``."""

    def __init__(self, folder: Path, most_bytes: int | None = None) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._believed: set[str] = set()

    def read(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """The tensor, memory-mapped, private to this process; None where there is none, or not a whole one."""
        path = self.folder / name
        length = prod(shape) * dtype.itemsize
        try:
            if path.stat().st_size != length + _DIGEST_BYTES:
                return None
            mapped = np.memmap(path, dtype=np.uint8, mode="c")  # torch wants to be allowed to write
        except OSError:
            return None
        content = mapped[:length]
        if name not in self._believed:
            if _digest(name, content) != mapped[length:].tobytes():
                return None
            self._believed.add(name)
            with suppress(OSError):
                os.utime(path)  # used now; the longest unused are deleted first
        return torch.from_numpy(content).view(dtype).view(shape)

    def write(self, name: str, tensor: Tensor) -> None:
        """Keep ``tensor``. Another process may do the same at the same time. Raises MachineError for a full disk."""
        if self._most_bytes is not None:
            make_room(self._most_bytes)
            self._most_bytes = None
        content = tensor.contiguous().view(-1).view(torch.uint8).numpy()
        unfinished = self.folder / f"{_UNFINISHED}{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(content.data)
                file.write(_digest(name, content))
            unfinished.replace(self.folder / name)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise MachineError(
                t("{path} could not be written: {reason}", path=self.folder / name, reason=error.strerror or error),
                t("free some space and resume: it goes on; or train anew with keep_activations: off"),
            ) from error


def every_folder() -> Path:
    """Where the folders of all models lie. May not exist yet."""
    return cache_folder() / "activations"


def existing(folder: Path) -> Path:
    """The nearest of ``folder`` and those around it that exists: on which disk it will be."""
    while not folder.exists():
        folder = folder.parent
    return folder


def taken_bytes(folder: Path) -> int:
    """What the files under ``folder`` take."""
    return sum(length for _, length, _ in _files(folder))


def make_room(most_bytes: int) -> None:
    """Delete what was used longest ago until all folders together take ``most_bytes``, and what killed writers left."""
    found = sorted(_files(every_folder()))
    taken = sum(length for _, length, _ in found)
    for used, length, path in found:
        lost = path.name.startswith(_UNFINISHED) and used < time.time() - _FORGOTTEN_SECONDS
        if taken > most_bytes or lost:
            with suppress(OSError):  # another process was faster
                path.unlink()
            taken -= length


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each file was last used, its bytes, and where it is."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            facts = path.stat()
            if path.is_file():
                yield facts.st_mtime, facts.st_size, path


def _digest(name: str, content: np.ndarray) -> bytes:  # type: ignore[type-arg]
    digest = hashlib.sha256(name.encode("ascii"))
    digest.update(content.data)
    return digest.digest()
