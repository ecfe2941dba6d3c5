"""Faults put into file-system calls: a process that dies, or an error, at any one of them.

Separate because checkpoints and whole runs are both put through it. A profile function sees each C function before it
is called, so a fault can be placed at every single call without knowing how the code is written.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

_WRITING = ("open", "write", "ftruncate", "serialize_file", "fsync", "fdatasync", "close")
_MOVING = ("mkdir", "rmdir", "scandir", "rename", "replace", "unlink")
_CALLS = frozenset((*_WRITING, *_MOVING))


def calls_of(work: Callable[[], object]) -> list[str]:
    """The names of the file-system calls that ``work`` makes, in order."""
    seen: list[str] = []
    _watched(work, seen.append)
    return seen


def failing_at(number: int, error: int, work: Callable[[], object]) -> None:
    """Do ``work``; its call ``number`` (from 0) raises OSError with ``error`` instead of being made."""
    left = number

    def fail(name: str) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            raise OSError(error, os.strerror(error), name)

    _watched(work, fail)


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a child that dies before its call ``number``. Whether it died; False: it had fewer calls."""

    def child() -> None:
        left = number

        def die(_: str) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                os._exit(77)

        _watched(work, die)

    return in_child(child) == 77


def in_child(work: Callable[[], object]) -> int:
    """Do ``work`` in a forked child; its exit code, 0 when it ends well and 1 when it raises."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)  # not pytest's, which dies with the child
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _watched(work: Callable[[], object], told: Callable[[str], None]) -> None:
    def profile(_: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in _CALLS:
            told(function.__name__)

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)


def die_at_forced_write(number: int) -> None:
    """From now on, this process is killed at its forced write ``number`` (from 1). For a forked child."""
    real, count = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = fsync
