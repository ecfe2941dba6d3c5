"""The command line of a command that takes settings, as a list of what was written.

``--learning-rate 1e-4``, ``--learning_rate=1e-4``, ``learning_rate=1e-4``, ``--packing``, ``--no-packing``; anything
else is a word: the path of a settings file, or what the command makes of it. Separate from typer because the settings
and the names of four other trainers are data, not the parameters of a function.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from weitiao.errors import SettingsError
from weitiao.settings.forms import NO, YES
from weitiao.settings.written import Written, show, spelled
from weitiao.words import t

_PAIR = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.*)", re.DOTALL)
_NEGATIVE = re.compile(r"-[0-9.]")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The settings that were written, in order, and the words that are no settings."""

    written: list[Written]
    words: list[str]


def read_flags(arguments: Sequence[str], switches: Collection[str]) -> CommandLine:
    """Take ``arguments`` apart. ``switches`` are the names that may stand alone for yes, and after ``--no-`` for no."""
    line = CommandLine([], [])
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            line.words.extend(rest)
            break
        if argument.startswith("--"):
            line.written.append(_flag(argument, rest, switches))
        elif argument.startswith("-") and len(argument) > 1:
            raise SettingsError(
                t("there is no short flag {flag}", flag=show(argument)),
                t("write the name out, like --learning-rate 1e-4"),
            )
        elif match := _PAIR.fullmatch(argument):
            line.written.append(_written(match[1], match[2], match[1]))
        else:
            line.words.append(argument)
    return line


def _flag(argument: str, rest: list[str], switches: Collection[str]) -> Written:
    """One flag with its value, which is taken from the front of ``rest`` where it has not come with ``=``."""
    said, equals, value = argument.partition("=")
    name = spelled(said)
    if equals:
        return _written(name, value, said)
    if name in switches:
        bare = not rest or rest[0].lower() not in YES | NO
        return _written(name, "true" if bare else rest.pop(0), said)
    positive = name.removeprefix("no_")
    if positive != name and positive in switches:
        return _written(positive, "false", said)
    if not rest or (rest[0].startswith("-") and not _NEGATIVE.match(rest[0])):
        raise SettingsError(
            t("{flag} needs a value", flag=show(said)), t("write {flag} VALUE or {flag}=VALUE", flag=show(said))
        )
    return _written(name, rest.pop(0), said)


def _written(name: str, value: str, said: str) -> Written:
    empty = value.strip() in ("", "null")
    return Written(name.replace("-", "_"), None if empty else value, said)
