"""The help texts, in the current language: of all commands, and of one.

Separate from typer's own help, which speaks English only and knows nothing of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weitiao.cli.output import terminal_columns
from weitiao.terminal import padded, width, wrapped
from weitiao.words import t


def overview(summaries: Mapping[str, str]) -> str:
    """What ``weitiao --help`` shows: every command with its line."""
    common = t("Every command takes --json (one JSON object on stdout), --lang en|zh and --help.")
    return "\n".join(
        [
            t("Weitiao (微调) adapts a language model to your task, and proves that it did."),
            "",
            t("usage: weitiao COMMAND …"),
            "",
            t("commands:"),
            *_definitions(summaries),
            "",
            *wrapped(common, terminal_columns()),
        ]
    )


def command_help(name: str, module: Any, word: str | None) -> str:
    """What ``weitiao NAME --help`` shows. ``word`` is what a command takes beside settings; None if it takes none.

    The description may have several paragraphs, with lines kept as they are. ``module.USED`` names the settings that
    the command reads, where these are not all that a run has.
    """
    lines = [] if word else _parameters(name, module.command)
    usage = t("usage: weitiao {name} {word} [--SETTING VALUE …]", name=name, word=word) if word else lines.pop(0)
    text = [usage, "", *(line for part in module.describe().split("\n") for line in _paragraph(part)), *lines]
    if word:
        text += ["", listed_settings(name, module, terminal_columns())]
    return "\n".join([*text, "", t("also:"), *_definitions(_common())])


def listed_settings(name: str, module: Any, columns: int) -> str:
    """The settings that the command reads: a comparison reads those of a run and its own, other commands no such."""
    from weitiao.settings.forms import comparison_names, forms
    from weitiao.settings.reference import settings_help

    every = forms().keys()
    return settings_help(columns, vars(module).get("USED", every if name == "compare" else every - comparison_names()))


def _parameters(name: str, function: Callable[..., object]) -> list[str]:
    """The usage line, then the arguments and flags that typer reads off the function."""
    from weitiao.cli.parameters import parsed

    parameters: list[Any] = parsed(name, function).params
    arguments = {_argument(each): each.help or "" for each in parameters if each.param_type_name == "argument"}
    flags = {_flag(each): each.help or "" for each in parameters if each.param_type_name == "option"}
    lines = [" ".join(["weitiao", name, *arguments])]
    lines[0] = t("usage: {words}", words=f"{lines[0]} […]" if flags else lines[0])
    lines += ["", t("arguments:"), *_definitions(arguments)] if arguments else []
    return lines + (["", t("flags:"), *_definitions(flags)] if flags else [])


def _argument(parameter: Any) -> str:
    word = (parameter.metavar or parameter.name).upper()
    word = f"{word} …" if parameter.nargs != 1 else word
    return word if parameter.required else f"[{word}]"


def _flag(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {(parameter.metavar or parameter.name).upper()}"


def _common() -> dict[str, str]:
    return {
        "--json": t("one JSON object on stdout, everything else on stderr"),
        "--lang en|zh": t("the language of all texts"),
        "--help": t("this text"),
    }


def _definitions(meanings: Mapping[str, str]) -> list[str]:
    """Names with their meanings beside them."""
    left = max((width(name) for name in meanings), default=0) + 4
    lines = []
    for name, meaning in meanings.items():
        first, *others = wrapped(meaning, terminal_columns() - left) or [""]
        lines.append(f"  {padded(name, left - 2)}{first}".rstrip())
        lines += [" " * left + other for other in others]
    return lines


def _paragraph(text: str) -> list[str]:
    """Wrapped, but for lines that are set in, which are examples."""
    return [text] if text.startswith(" ") or not text else wrapped(text, terminal_columns())
