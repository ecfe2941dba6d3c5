"""What a command puts out: data on stdout, for people or with ``--json`` as one object, and talk on stderr.

Separate because no command may print by itself: text from data and models must not steer the terminal, and a program
that reads the JSON must find nothing else there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TextIO

from weitiao.data.visible import visible
from weitiao.terminal import padded, width, wrapped

Progress = Callable[[int, int, str], None]
"""Called with what is done, the total, and what is being done, in words."""

_MOST_COLUMNS = 120


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's words go. ``json``: nothing but one JSON object on stdout."""

    json: bool = False

    def result(self, value: Mapping[str, object]) -> None:
        """The command's one JSON object; nothing without ``--json``. Raises ValueError for NaN and infinity."""
        if self.json:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=None)
            _write(sys.stdout, "".join(_escaped(c) for c in text))

    def show(self, text: str) -> None:
        """Data for people, on stdout; nothing with ``--json``."""
        if not self.json:
            _write(sys.stdout, _lines(text))

    def show_styled(self, pieces: Iterable[tuple[str, str]]) -> None:
        """One line for people, of texts each with its style of ANSI (``1;32``, or ``""`` for none)."""
        if not self.json:
            _write(sys.stdout, "".join(styled(visible(text), sys.stdout, style) for text, style in pieces))

    def say(self, text: str) -> None:
        """Talk: what is going on, on stderr."""
        _write(sys.stderr, _lines(text))

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under heads, on stdout; the last column is broken into lines where the terminal ends."""
        if self.json:
            return
        cells = [[visible(cell) for cell in row] for row in rows]
        columns = [max(width(row[i]) for row in [list(heads), *cells]) for i in range(len(heads) - 1)]
        first = "  ".join(padded(head, n) for head, n in zip(heads, [*columns, 0], strict=True))
        _write(sys.stdout, bold(first, sys.stdout))
        left = sum(columns) + 2 * len(columns)
        for row in cells:
            start = "".join(padded(cell, n) + "  " for cell, n in zip(row, columns, strict=False))
            for line in wrapped(row[-1], max(20, terminal_columns() - left)) or [""]:
                _write(sys.stdout, (start + line).rstrip())
                start = " " * left

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A bar on stderr while the block runs; where that is no terminal, a line for each new thing done."""
        if not sys.stderr.isatty():
            yield _told_once(self)
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        words = TextColumn("{task.description}", markup=False)
        with Bars(words, BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
            task = bars.add_task("", total=None)
            yield lambda done, total, what: bars.update(task, completed=done, total=total, description=visible(what))


_output: ContextVar[Output] = ContextVar("output")


def output() -> Output:
    """The output of the command that is running."""
    return _output.get(Output())


def set_output(value: Output) -> None:
    """Let the command that is running put out through ``value``."""
    _output.set(value)


def terminal_columns() -> int:
    """How wide a text for people may be."""
    return min(shutil.get_terminal_size((100, 24)).columns, _MOST_COLUMNS)


def bold(text: str, stream: TextIO, colour: str = "") -> str:
    """``text`` in bold (and a colour of ANSI, like ``31``) where ``stream`` is a terminal that wants it."""
    return styled(text, stream, f"1;{colour}" if colour else "1")


def styled(text: str, stream: TextIO, style: str) -> str:
    """``text`` in a style of ANSI, like ``1;32``, where ``stream`` is a terminal that wants it."""
    return f"\x1b[{style}m{text}\x1b[0m" if style and text and has_styles(stream) else text


def has_styles(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that shows bold and colours, and the user wants them."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _told_once(out: Output) -> Progress:
    told: list[str] = []

    def progress(done: int, total: int, what: str) -> None:
        if told[-1:] != [what]:
            told[:] = [what]
            out.say(what)

    return progress


def _lines(text: str) -> str:
    return "\n".join(visible(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    """A character of JSON text; C1 controls, which JSON leaves alone, and lone surrogates as ``\\u009b``."""
    code = ord(character)
    return f"\\u{code:04x}" if 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 else character


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
