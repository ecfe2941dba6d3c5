"""The command line: which commands there are, and how one is run.

``weitiao --help`` must be instant: this file imports no command, and a command imports what is heavy in its function.

A command is a module with two functions. ``describe()`` is its help text in the current language. ``command`` does the
work. Its parameters are typer's, ``Annotated[str, typer.Argument(help=t("…"))]``, under ``from __future__ import
annotations``, so that ``t`` is called when the language is known; or, where :attr:`Command.takes_settings`, it takes
the list of its arguments, for :func:`weitiao.settings.parse_settings`. It puts out through
:func:`weitiao.cli.output.output`, and raises what goes wrong.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from importlib import import_module

from weitiao.cli.failure import guarded
from weitiao.cli.output import Output, output, set_output
from weitiao.errors import SettingsError
from weitiao.process import settle
from weitiao.words import Language, set_language, t


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, its one line in ``weitiao --help``, and whether it takes the settings of a run."""

    module: str
    summary: Callable[[], str]
    takes_settings: bool = False
    word: str = "[FILE.yaml]"  # what a command that takes settings takes beside them


COMMANDS: dict[str, Command] = {
    "samples": Command("weitiao.cli.samples", lambda: t("starter models and data sets: list them, or fetch one")),
    "check": Command(
        "weitiao.cli.check", lambda: t("what your data are, and what would be learned of them"), True, "DATA"
    ),
    "tokenizer": Command(
        "weitiao.cli.tokenizer", lambda: t("make a tokenizer of your texts, for a fresh model"), True, "DATA"
    ),
    "plan": Command("weitiao.cli.plan", lambda: t("memory and time of a run, before its first step"), True),
    "train": Command(
        "weitiao.cli.train", lambda: t("tune a model on your data, or go on with a run"), True, "[FILE.yaml|RUN]"
    ),
    "evaluate": Command("weitiao.cli.evaluate", lambda: t("score a run or a model, with intervals"), True, "RUN|MODEL"),
    "compare": Command(
        "weitiao.cli.compare",
        lambda: t("should I tune? every way of doing the task, on the same items"),
        True,
        "[FILE.yaml|COMPARISON]",
    ),
    "predict": Command(
        "weitiao.cli.predict", lambda: t("labels or replies for every row of a file"), True, "RUN|MODEL"
    ),
    "chat": Command("weitiao.cli.chat", lambda: t("talk to a run or a model in the terminal"), True, "RUN|MODEL"),
    "runs": Command("weitiao.cli.runs", lambda: t("the runs in a folder, and which came from which")),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Whatever goes wrong is shown, nothing is raised."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return copy_context().run(lambda: guarded(arguments, lambda: _run(arguments)))


def _run(arguments: list[str]) -> int:
    common = _take_common(arguments)
    if common.language:
        set_language(common.language)
    set_output(Output(json=common.json))
    match common.rest:
        case [] | ["--help" | "-h" | "help"]:
            return _help()
        case ["--version"]:
            return _version()
        case ["help", name, *_]:
            return _run_command(name, ["--help"], common)
        case [name, *rest]:
            return _run_command(name, rest, common)
    return 0


@dataclass(frozen=True, slots=True)
class _Common:
    """What every command takes, wherever it stands, and the other arguments."""

    json: bool
    language: Language | None
    rest: list[str]


def _take_common(arguments: list[str]) -> _Common:
    json, language, rest = False, None, []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += [word, *words]
            break
        if word == "--json":
            json = True
        elif word == "--lang" or word.startswith("--lang="):
            language = _language(word, words)
        else:
            rest.append(word)
    return _Common(json, language, rest)


def _language(word: str, words: list[str]) -> Language:
    value = word.partition("=")[2] if "=" in word else words.pop(0) if words else ""
    match value:
        case "en" | "zh":
            return value
    raise SettingsError(t("--lang is {value}, but it must be en or zh", value=value or "''"), t("write --lang zh"))


def _run_command(name: str, arguments: list[str], common: _Common) -> int:
    command = COMMANDS.get(name)
    if command is None:
        raise _unknown(name)
    module = import_module(command.module)
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--help" in before_dashes or "-h" in before_dashes:
        from weitiao.cli.help_text import command_help

        Output().show(command_help(name, module, command.word if command.takes_settings else None))
        return 0
    if command.takes_settings:
        settle()
        # the language is a setting of the run too, and a flag must win over its file
        module.command([*arguments, f"--lang={common.language}"] if common.language else arguments)
        return 0
    from weitiao.cli.parameters import call

    return call(name, module.command, arguments)


def _help() -> int:
    from weitiao.cli.help_text import overview

    Output().show(overview({name: command.summary() for name, command in COMMANDS.items()}))
    return 0


def _version() -> int:
    from weitiao import __version__

    output().show(f"weitiao {__version__}")
    output().result({"version": __version__})
    return 0


def _unknown(name: str) -> SettingsError:
    from weitiao.data.visible import visible

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = t("did you mean weitiao {name}?", name=near[0]) if near else t("weitiao --help lists the commands")
    return SettingsError(t("there is no command {name}", name=visible(name, 60)), hint)
