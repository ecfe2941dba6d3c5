"""Files of one noun, functions of one verb: the sizes that keep it so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

from weitiao.settings import Settings, comparison_names

SOURCE = Path(__file__).parents[1] / "src" / "weitiao"
FILE_LINES = 400
FUNCTION_LINES = 60
MOST_FUNCTION_LINES = 25  # of nine in ten
PARAMETERS = 8
SETTINGS = 62
SETTINGS_OF_A_COMPARISON = 10  # beside those of a run

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> Iterator[tuple[str, str]]:
    """The name and the text of each file."""
    for file in sorted(SOURCE.rglob("*.py")):
        yield str(file.relative_to(SOURCE)), file.read_text(encoding="utf-8")


def functions() -> Iterator[tuple[str, Function]]:
    """Where each function stands, and its tree."""
    for name, text in sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function):
                yield f"{name}:{node.lineno} {node.name}", node


def lines_of(function: Function) -> int:
    """From ``def`` to the last line, without the docstring."""
    documented = ast.get_docstring(function) is not None
    docstring = function.body[0]
    return (
        (function.end_lineno or 0)
        - function.lineno
        + 1
        - ((docstring.end_lineno or 0) - docstring.lineno + 1 if documented else 0)
    )


def parameters_of(function: Function) -> int:
    """Without ``self``."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return len([argument for argument in named if argument is not None and argument.arg not in ("self", "cls")])


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    assert {name: text.count("\n") for name, text in sources() if text.count("\n") > FILE_LINES} == {}


def test_no_function_is_longer_than_sixty_lines_and_most_are_under_twenty_five() -> None:
    lengths = {where: lines_of(function) for where, function in functions()}
    assert {where: lines for where, lines in lengths.items() if lines > FUNCTION_LINES} == {}
    assert quantiles(lengths.values(), n=10)[-1] <= MOST_FUNCTION_LINES


def test_no_function_takes_more_than_eight_parameters() -> None:
    counts = {where: parameters_of(function) for where, function in functions()}
    assert {where: count for where, count in counts.items() if count > PARAMETERS} == {}


def test_there_are_about_sixty_settings_at_most() -> None:
    assert len(Settings.model_fields.keys() - comparison_names()) <= SETTINGS
    assert len(comparison_names()) <= SETTINGS_OF_A_COMPARISON
