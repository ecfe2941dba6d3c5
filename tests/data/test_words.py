"""Every English sentence of the data part has its Chinese, with the same placeholders."""

import ast
import re
from pathlib import Path

import pytest

import weitiao.data
from weitiao.words import translations

FOLDER = Path(weitiao.data.__path__[0])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_sentence_is_translated(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t":
            assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
            english = node.args[0].value
            chinese = translations().get(english)
            assert chinese, f"no Chinese for {english!r}"
            assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", chinese))
            assert re.search(r"[\u4e00-\u9fff]", chinese)
