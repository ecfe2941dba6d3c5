"""The page of all commands, made from their own help: ``python -m weitiao.cli.reference docs/reference`` writes it.

Separate because only the documentation needs it; a test compares the committed pages with this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from importlib import import_module
from pathlib import Path

from weitiao.cli import COMMANDS
from weitiao.cli.help_text import command_help, listed_settings, overview
from weitiao.words import Language, set_language, t

PAGES: dict[Language, str] = {"en": "commands.md", "zh": "commands.zh-CN.md"}
"""The file name of the page in each language."""

_COLUMNS = 100


def commands_reference(language: Language) -> str:
    """The Markdown page ``docs/reference/commands.md`` in ``language``; the same on every terminal."""

    def page() -> str:
        set_language(language)
        with _columns(_COLUMNS):
            return _page(language)

    return copy_context().run(page)


def write_reference(folder: Path) -> None:
    """Write the page in both languages into ``folder``."""
    for language, name in PAGES.items():
        (folder / name).write_text(commands_reference(language), encoding="utf-8")


def _page(language: Language) -> str:
    switch = "English | [中文](commands.zh-CN.md)" if language == "en" else "[English](commands.md) | 中文"
    summaries = {name: command.summary() for name, command in COMMANDS.items()}
    lines = [f"# {t('Commands')}", "", switch, ""]
    lines += [t("Made from the commands' own help by `python -m weitiao.cli.reference docs/reference`."), ""]
    lines += ["```text", overview(summaries), "```", ""]
    for name in COMMANDS:
        lines += [f"## weitiao {name}", "", "```text", _help(name), "```", ""]
    return "\n".join(lines)


def _help(name: str) -> str:
    """The command's help, without the settings of a run, which have a page of their own."""
    command = COMMANDS[name]
    module = import_module(command.module)
    text = command_help(name, module, command.word if command.takes_settings else None)
    listed = listed_settings(name, module, _COLUMNS)
    return text.replace(listed, t("The settings stand in docs/reference/settings.md."))


@contextmanager
def _columns(count: int) -> Iterator[None]:
    """A terminal of ``count`` columns, as :func:`shutil.get_terminal_size` is told of it."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
