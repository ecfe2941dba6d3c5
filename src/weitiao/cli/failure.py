"""How a command ends when something goes wrong: a message in one form, and an exit code that is a contract.

Separate because every command ends here, and only here is an exception of any kind caught.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence

from weitiao import __version__
from weitiao.cli.output import bold, output
from weitiao.data.visible import visible
from weitiao.errors import MachineError, Stopped, WeitiaoError
from weitiao.words import t

_INTERRUPTED = 130
_PIPE_CLOSED = 141
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def guarded(arguments: Sequence[str], body: Callable[[], int]) -> int:
    """The exit code of ``body``, or of what it raised, which is shown; never a traceback."""
    try:
        return _code(arguments, body)
    except BrokenPipeError:
        # the reader has left; Python flushes once more at its end and would complain there
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return _PIPE_CLOSED


def _code(arguments: Sequence[str], body: Callable[[], int]) -> int:
    try:
        return body()
    except WeitiaoError as error:
        return _show(error)
    except KeyboardInterrupt:
        output().say(t("interrupted"))
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return _show(_of_the_machine(error) or _unexpected(error, arguments))


def _show(error: WeitiaoError) -> int:
    """Say the error, with ``--json`` also as an object on stdout, and give its exit code."""
    stopped = isinstance(error, Stopped)
    problem = "\n".join(visible(line) for line in error.problem.split("\n"))
    label = t("stopped: ") if stopped else t("error: ")
    lines = [f"{bold(label, sys.stderr, '33' if stopped else '31')}{problem}"]
    if error.hint:
        lines.append(f"{bold(t('hint: '), sys.stderr, '36')}{visible(error.hint)}")
    sys.stderr.write("\n".join(lines) + "\n")
    kind = type(error).__name__.removesuffix("Error").lower()
    told = {"kind": kind, "problem": error.problem, "hint": error.hint, "exit_code": error.exit_code}
    output().result({"error": told})
    return error.exit_code


def _of_the_machine(error: Exception) -> MachineError | None:
    if isinstance(error, MemoryError):
        return MachineError(
            t("the memory is full"), t("take a smaller batch_size or model; weitiao plan tells the need")
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" ({error.filename})" if error.filename else ""
        return MachineError(
            t("the disk is full{where}", where=where), t("free some space; nothing half-written is left")
        )
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        path = error.filename or "?"
        return MachineError(t("{path} may not be written or read", path=path), t("check its permissions and owner"))
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("weitiao"):
        return MachineError(
            t("the Python package {name} is missing", name=error.name), t("install it with: pip install weitiao")
        )
    return None


def _unexpected(error: Exception, arguments: Sequence[str]) -> WeitiaoError:
    """Our own bug: the traceback goes into a file, for the report."""
    words = visible(f"{type(error).__name__}: {error}", 200)
    problem = t("something unexpected happened: {words}", words=words)
    content = "\n".join(
        [
            f"weitiao {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"arguments: {list(arguments)!r}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="weitiao-crash-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(content)
    except OSError:
        return WeitiaoError(problem, t("this is our bug; please report it with the command that you gave"))
    return WeitiaoError(problem, t("this is our bug; please report it with the file {path}", path=file.name))
