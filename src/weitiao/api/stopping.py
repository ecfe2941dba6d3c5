"""Being asked to stop: the first signal finishes the step and saves, a second one ends at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from weitiao.errors import Stopped
from weitiao.run import Run
from weitiao.words import t


class StopRequest:
    """A context in which SIGTERM and Ctrl-C are noted instead of obeyed; after it they are as they were."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def obey(self, done: str, hint: str) -> None:
        """Raise Stopped if a signal has come; ``done`` says what is safe."""
        if self.signal is not None:
            raise Stopped(done, hint, self.exit_code)

    @property
    def exit_code(self) -> int:
        """75 after SIGTERM, 130 after Ctrl-C."""
        return 130 if self.signal == signal.SIGINT else Stopped.exit_code

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(self.exit_code)
        self.signal = number


def how_to_resume(run: Run) -> str:
    """The hint of every error after which a run goes on."""
    return t("go on with: weitiao train {run}", run=run.folder)
