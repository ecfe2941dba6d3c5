"""No code runs from any file that is loaded: nothing here reads a pickle or trusts a model's own code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "weitiao"
MODULES = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
CALLS = ("torch.load", "torch.jit.load", "torch.save", "torch.hub.load", "numpy.fromregex", "np.fromregex")
BUILTINS = ("eval", "exec", "compile", "__import__")
SWITCHES = ("trust_remote_code", "allow_pickle")


def trees() -> Iterator[tuple[str, ast.AST]]:
    """Each file's name and tree."""
    for file in sorted(SOURCE.rglob("*.py")):
        yield str(file.relative_to(SOURCE)), ast.parse(file.read_text(encoding="utf-8"))


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node and where it stands."""
    for name, tree in trees():
        for node in ast.walk(tree):
            yield f"{name}:{getattr(node, 'lineno', 0)}", node


def is_false(node: ast.AST) -> bool:
    """Whether the node is the word ``False``."""
    return isinstance(node, ast.Constant) and node.value is False


def test_no_module_that_unpickles_is_imported() -> None:
    found = []
    for where, node in nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{where} {name}" for name in names if name.split(".")[0] in MODULES]
    assert found == []


def test_nothing_is_loaded_by_torch_or_evaluated() -> None:
    found = []
    for where, node in nodes():
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS or called in BUILTINS:
                found.append(f"{where} {called}")
    assert found == []


def test_the_switches_that_let_code_in_are_off() -> None:
    """As keywords, and in dictionaries of keywords."""
    wrong = []
    for where, node in nodes():
        if isinstance(node, ast.keyword) and node.arg in SWITCHES and not is_false(node.value):
            wrong.append(where)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in SWITCHES and not is_false(value):
                    wrong.append(where)
    assert wrong == []
