"""The architecture, executed: imports go downwards only, and what must be quick or light imports nothing heavy."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "weitiao"
LAYERS = (
    ("__main__",),
    ("cli", "web"),
    ("api",),
    ("serving", "evaluation"),
    ("run",),
    ("training",),
    ("methods",),
    ("models",),
    ("objectives",),
    ("codec",),
    ("labels", "knowledge", "data"),
    ("settings", "lineage"),
    ("example", "terminal"),
    ("words", "process"),
    ("errors", "__init__"),
)
"""Top first. A part imports from those below it, and none from beside it."""

RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
HEAVY = ("torch", "transformers", "peft")
LIGHT = (
    "data",
    "codec",
    "objectives",
    "settings",
    "lineage",
    "example",
    "words",
    "errors",
    "terminal",
    "process",
    "cli",
)


def modules() -> Iterator[tuple[Path, str, str]]:
    """Each file, its part, and its dotted name."""
    for file in sorted(SOURCE.rglob("*.py")):
        names = file.relative_to(SOURCE).with_suffix("").parts
        yield file, names[0], ".".join(("weitiao", *(name for name in names if name != "__init__")))


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the dotted name of every import, those inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            if node.module == "weitiao":
                yield from ((node.lineno, f"weitiao.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def test_every_part_has_a_layer() -> None:
    assert {part for _, part, _ in modules()} <= set(RANK)


def test_imports_go_downwards_only() -> None:
    wrong = []
    for file, part, _ in modules():
        for line, name in imported(file):
            if name.split(".")[0] != "weitiao":
                continue
            other = [*name.split("."), "__init__"][1]
            other = other if other in RANK else "__init__"
            if other != part and RANK[other] <= RANK[part]:
                wrong.append(f"{file.relative_to(SOURCE)}:{line} imports {name}")
    assert wrong == []


def test_the_first_level_of_commands_is_imported_by_nobody() -> None:
    """Only the web and the commands know the api; nobody knows them."""
    known = {name for file, part, _ in modules() if part not in ("cli", "__main__") for _, name in imported(file)}
    assert not any(name.startswith(("weitiao.cli", "weitiao.web")) for name in known)


def _heavy_after(*names: str) -> list[str]:
    """Which heavy packages are loaded when a fresh Python has imported ``names``."""
    code = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
    code += f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_what_needs_no_torch_imports_none() -> None:
    light = [name for _, part, name in modules() if part in LIGHT]
    light += ["weitiao.evaluation.metrics", "weitiao.evaluation.statistics", "weitiao.evaluation.report"]
    light += ["weitiao.evaluation.ladder"]
    light += ["weitiao.models.files", "weitiao.models.source", "weitiao.run"]
    light.remove("weitiao.settings.__main__")
    assert _heavy_after(*light) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_is_instant_and_imports_no_torch(arguments: list[str]) -> None:
    code = "import sys\nfrom weitiao.cli import main\ncode = main(sys.argv[1:])\n"
    code += f"sys.exit(code or 9 * any(name in sys.modules for name in {HEAVY!r}))"
    limit = 0.5 if len(arguments) == 1 else 1.5  # seconds of processor time; a command's own help shows every setting
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if min(spent) < limit:
            break
    assert min(spent) < limit, spent
