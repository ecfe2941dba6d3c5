"""Every sentence that a person reads exists in both languages, once, and with the same places to fill in."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import jinja2
from jinja2 import nodes

from weitiao.settings import Settings

SOURCE = Path(__file__).parents[1] / "src" / "weitiao"
LOCALES = SOURCE / "locales" / "zh"


def calls() -> Iterator[tuple[str, object]]:
    """Where each ``t(…)`` stands, in Python and in the page's templates, and what its first argument is."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name == "t" and node.args:
                    first = node.args[0]
                    yield f"{file.relative_to(SOURCE)}:{node.lineno}", getattr(first, "value", first)
    for file in sorted((*SOURCE.rglob("*.html"), *SOURCE.rglob("*.md"))):
        tree = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=True).parse(file.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                first_argument = call.args[0]
                known = first_argument.value if isinstance(first_argument, nodes.Const) else first_argument
                yield f"{file.relative_to(SOURCE)}:{call.lineno}", known


def used() -> dict[str, str]:
    """Each English sentence that is asked for, and where first."""
    found: dict[str, str] = {}
    for where, text in calls():
        if isinstance(text, str):
            found.setdefault(text, where)
    for name, field in Settings.model_fields.items():  # shown by the name of the setting, see settings/forms.py
        found.setdefault(field.description or "", f"the setting {name}")
    return found


def translated() -> dict[str, dict[str, str]]:
    """Each English sentence, and its Chinese by the file that holds it."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for file in sorted(LOCALES.glob("*.json")):
        for english, chinese in json.loads(file.read_text(encoding="utf-8")).items():
            found[english][file.name] = chinese
    return found


def places(text: str) -> list[str]:
    """The names of what is filled in."""
    return sorted(re.findall(r"\{(\w+)[^{}]*\}", text))


def test_the_first_argument_of_t_is_always_literal() -> None:
    assert [where for where, text in calls() if not isinstance(text, str)] == []


def test_every_sentence_has_its_chinese() -> None:
    known = translated()
    assert {text: where for text, where in used().items() if text not in known} == {}


def test_no_sentence_is_translated_that_nobody_says() -> None:
    said = used()
    assert {english: list(files) for english, files in translated().items() if english not in said} == {}


def test_both_languages_fill_in_the_same() -> None:
    wrong = {}
    for english, files in translated().items():
        for file, chinese in files.items():
            if places(english) != places(chinese):
                wrong[english] = (file, chinese)
    assert wrong == {}


def test_a_sentence_is_translated_the_same_everywhere() -> None:
    assert {english: files for english, files in translated().items() if len(set(files.values())) > 1} == {}


def test_no_key_stands_twice_in_a_file() -> None:
    """JSON takes the last one in silence."""
    twice = []

    def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
        names = [name for name, _ in pairs]
        twice.extend({name for name in names if names.count(name) > 1})
        return dict(pairs)

    for file in sorted(LOCALES.glob("*.json")):
        json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=once)
    assert twice == []


def test_chinese_is_chinese() -> None:
    """Sentences of several words have Han characters and no half-width full stop at their end."""
    plain = {}
    for english, files in translated().items():
        for file, chinese in files.items():
            sentence = len(re.sub(r"\{.*?\}|https?:\S+", "", english).split()) > 2
            if sentence and not any("\u4e00" <= character <= "\u9fff" for character in chinese):
                plain[english] = (file, chinese)
            if chinese.endswith(".") and not chinese.endswith(".."):
                plain[english] = (file, chinese)
    assert plain == {}
