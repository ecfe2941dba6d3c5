"""What goes wrong, said so that a user can mend it: a problem, a hint, and the exit code of its kind.

Separate because every layer raises these and only the command line and the page show them.
"""

from collections.abc import Sequence


class WeitiaoError(Exception):
    """A problem to show to a person as ``error: problem`` and ``hint: hint``; never a traceback.

    ``problem`` names the value and the place, ``hint`` says what to do. Both are already in the user's language.
    """

    exit_code = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


class SettingsError(WeitiaoError):
    """A setting, a flag or a settings file is wrong."""

    exit_code = 2


class DataError(WeitiaoError):
    """The user's data cannot be used as they are. ``rows`` are the rows of the train split that it is about."""

    exit_code = 3

    def __init__(self, problem: str, hint: str = "", rows: Sequence[int] = ()) -> None:
        super().__init__(problem, hint)
        self.rows = tuple(rows)


class ModelError(WeitiaoError):
    """A model, tokenizer or adapter cannot be used as it is."""

    exit_code = 4


class MachineError(WeitiaoError):
    """The machine lacks something: disk, memory, a port, a package."""

    exit_code = 5


class Stopped(WeitiaoError):  # noqa: N818 - not an error: the run was asked to stop and is safely on disk
    """The work was asked to stop, and everything so far is saved."""

    exit_code = 75

    def __init__(self, problem: str, hint: str = "", exit_code: int = 75) -> None:
        super().__init__(problem, hint)
        self.exit_code = exit_code
