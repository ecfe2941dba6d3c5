"""A command's function called with the words of the command line, by typer; its complaints in our own form.

Separate because typer is imported only when such a command runs, and what differs between its versions stays here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import typer

from weitiao.data.visible import visible
from weitiao.errors import SettingsError
from weitiao.words import t

# typer carries click or depends on it, by version; either way BadParameter < UsageError < ClickException
_ClickError: type[Any] = typer.BadParameter.__mro__[2]
_EXTRA = re.compile(r"Got unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", re.DOTALL)


def parsed(name: str, function: Callable[..., object]) -> Any:
    """Typer's command object for ``function``; its ``params`` are what ``--help`` lists."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    application.command(name, add_help_option=False)(function)
    return typer.main.get_command(application)


def call(name: str, function: Callable[..., object], arguments: list[str]) -> int:
    """Call ``function`` with ``arguments``. Returns the exit code; raises SettingsError for what does not fit."""
    command = parsed(name, function)
    try:
        # not command.main, which makes exit codes of its own of a closed pipe and an interrupt
        with command.make_context(f"weitiao {name}", arguments) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except _ClickError as error:
        raise _usage(name, error) from error
    return 0


def _usage(name: str, error: Any) -> SettingsError:
    """Recognised by class name, because the class itself has another home in each version of typer."""
    hint = t("weitiao {name} --help tells what it takes", name=name)
    match type(error).__name__:
        case "NoSuchOption":
            near = [option for option in error.possibilities or () if option.startswith("--")]
            hint = t("did you mean {names}?", names=near[0]) if near else hint
            return SettingsError(
                t("weitiao {name} has no flag {flag}", name=name, flag=visible(error.option_name, 60)), hint
            )
        case "MissingParameter":
            parameter = error.param.opts[0] if error.param.opts[0].startswith("-") else error.param.name.upper()
            return SettingsError(t("{name} is missing", name=parameter), hint)
        case "BadParameter" if error.param is not None:
            flag = error.param.opts[0]
            return SettingsError(
                t("{flag} has a wrong value: {reason}", flag=flag, reason=visible(error.message, 200)), hint
            )
    if extra := _EXTRA.match(error.format_message()):
        return SettingsError(t("unexpected {word}", word=visible(extra[1], 100)), hint)
    return SettingsError(visible(error.format_message(), 300), hint)
