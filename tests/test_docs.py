"""The documents are true: links lead somewhere, commands are accepted and run, everything in the code is described."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

import tiny
from documents import ROOT, Page, commands_with_output, pages, run_console, write_files
from weitiao import errors
from weitiao.cli import COMMANDS, main
from weitiao.cli.reference import PAGES, commands_reference
from weitiao.data.dataset import open_dataset
from weitiao.data.notes import NoteKind
from weitiao.data.screening import REASONS
from weitiao.settings import Settings, parse_settings
from weitiao.words import Language, set_language, translations

ALL = pages()
ENGLISH = [page for page in ALL if not page.chinese]
SOURCES = ROOT / "src" / "weitiao"
GENERATED = ("settings", "commands")  # pages whose wording is compared with the code elsewhere
# What stands for a value in a command line, and a value of that kind.
PLACEHOLDERS = {
    **dict.fromkeys(("RUN",), "runs/first"),
    **dict.fromkeys(("FILE", "MORE", "DATA"), "messages.csv"),
    **dict.fromkeys(("MODEL",), "smollm2-135m-instruct"),
    **dict.fromkeys(("NAME",), "sms-spam"),
    **dict.fromkeys(("DIR",), "evaluations/more"),
    "NUMBER": "0",
}
# Flags of other programs, of the command line itself, and placeholders of a flag.
OTHER_FLAGS = {"--json", "--lang", "--help", "--version", "--no-deps", "--torch-backend", "--no-binary"}
OTHER_FLAGS |= {"--no-build-isolation", "--require-hashes", "--no-header", "--name", "--upgrade"}


def fences_of(page: Page, what: str) -> list[str]:
    """The text of the page's ``console run`` or ``console try`` fences."""
    return [fence.text for fence in page.fences() if fence.words[:2] == ("console", what)]


def commands_of(page: Page) -> list[list[str]]:
    """The command lines of the page with a value for each placeholder, in an order of their own."""
    return sorted([PLACEHOLDERS.get(word, word) for word in line] for line in page.command_lines())


def by_name(page: Page) -> str:
    """A page's name in the test's."""
    return page.name


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_every_page_has_its_twin_in_the_other_language(page: Page) -> None:
    assert page.twin.is_file(), f"{page.name} has no {page.twin.name}"


@pytest.mark.parametrize("page", ENGLISH, ids=by_name)
def test_both_languages_have_the_same_parts(page: Page) -> None:
    twin = Page(page.twin)
    assert [level for level, _ in page.headings()] == [level for level, _ in twin.headings()]
    assert [fence.words for fence in page.fences()] == [fence.words for fence in twin.fences()]
    assert page.prose.count("\n|") == twin.prose.count("\n|"), "the tables have different lengths"
    assert [fence.text for fence in page.fences() if fence.file] == [
        fence.text for fence in twin.fences() if fence.file
    ]
    assert list(page.command_lines()) == list(twin.command_lines())


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_every_link_leads_somewhere(page: Page) -> None:
    for link in page.links():
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in Page(target).anchors(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_a_page_links_to_pages_of_its_own_language(page: Page) -> None:
    within = [link.partition("#")[0] for link in page.links() if not re.match(r"[a-z]+:", link)]
    others = [path for path in within if path.endswith(".md") and path.endswith(".zh-CN.md") != page.chinese]
    assert [path for path in others if (page.path.parent / path).resolve() != page.twin.resolve()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    for start in ("README.md", "README.zh-CN.md"):
        seen, waiting = set[Path](), [ROOT / start]
        while waiting:
            path = waiting.pop()
            if path not in seen and path.suffix == ".md":
                seen.add(path)
                links = [link.partition("#")[0] for link in Page(path).links() if not re.match(r"[a-z]+:", link)]
                waiting += [(path.parent / link).resolve() for link in links if link]
        assert {page.name for page in ALL if page.path not in seen} == set()


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_every_sample_file_is_read_as_the_page_says(page: Page, tmp_path: Path) -> None:
    for fence in page.fences():
        if fence.file and len(fence.words) == 3:
            (tmp_path / fence.file).write_text(fence.text, encoding="utf-8")
            assert open_dataset(tmp_path / fence.file).layout.kind == fence.words[2], fence.file


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_a_translated_config_is_translated_as_the_page_says(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    set_language("zh" if page.chinese else "en")
    for fence in page.fences():
        if fence.words[1:2] == ("translated",):
            told = parse_settings([fence.words[2]]).translations
            assert [translation.sentence() for translation in told] == fence.text.splitlines()


class Reached(BaseException):
    """The command line was accepted: the work would begin."""


@pytest.fixture
def nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object, **__: object) -> None:
        raise Reached

    for name in COMMANDS:
        entries = {
            "train": ("train", "resume"),
            "compare": ("compare", "resume_comparison"),
            "chat": (),
            "runs": ("list_runs",),
            "samples": (),
            "tokenizer": ("make_tokenizer",),
        }.get(name, (name,))
        for entry in entries:
            monkeypatch.setattr(import_module(f"weitiao.api.{name}"), entry, reached)
    monkeypatch.setattr("weitiao.api.answering.find_respondent", reached)
    monkeypatch.setattr("weitiao.data.samples.fetch", reached)


@pytest.mark.usefixtures("nothing_begins")
@pytest.mark.parametrize("page", [page for page in ALL if list(page.command_lines())], ids=by_name)
def test_every_command_line_is_accepted(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    if not Path("settings.yaml").exists():
        Path("settings.yaml").write_text("model: smollm2-135m-instruct\ndata: sms-spam\n", encoding="utf-8")
    for arguments in page.command_lines():
        assert arguments[0] in COMMANDS or arguments[0].startswith("-"), f"weitiao {' '.join(arguments)}"
        if len(arguments) == 1 and arguments[0] != "runs":  # named, not shown in use
            continue
        given = [PLACEHOLDERS.get(word, word) for word in arguments]
        for folder in (word for word in given if word.startswith("runs/")):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, "given.yaml").touch()
        for folder in (word for word in given if word.startswith("comparisons/")):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, "comparison.yaml").touch()
        try:
            code = main(given)
        except Reached:
            continue
        assert code == 0, f"{page.name}: weitiao {' '.join(arguments)}"


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_every_flag_that_is_named_exists(page: Page) -> None:
    known = {f"--{name.replace('_', '-')}" for name in Settings.model_fields} | OTHER_FLAGS | own_flags()
    for code in page.inline():
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
            assert flag in known or "pip " in code, f"{page.name}: {code}"


def test_every_flag_that_a_sentence_names_exists() -> None:
    known = {f"--{name.replace('_', '-')}" for name in Settings.model_fields} | OTHER_FLAGS | own_flags()
    named = {flag for sentence in translations() for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", sentence)}
    assert named - known == set()


@pytest.mark.parametrize("page", [page for page in ALL if fences_of(page, "run")], ids=by_name)
def test_what_a_page_runs_gives_what_it_shows(page: Page, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    for text in fences_of(page, "run"):
        assert run_console(page, text, tmp_path) == text, "run: python tests/documents.py"


@pytest.mark.parametrize("page", [page for page in ENGLISH if fences_of(page, "try")], ids=by_name)
def test_a_guide_can_be_followed(
    page: Page, tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny.tiny_rows(tmp_path / "messages.csv")
    monkeypatch.chdir(tmp_path)
    small = {"smollm2-135m-instruct": str(tiny_llama), "sms-spam": "messages.csv"}
    for text in fences_of(page, "try"):
        for command, _ in commands_with_output(text):
            code = main([small.get(word, word) for word in command])
            assert code == 0, f"{command}: {capfd.readouterr().err}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_committed_page_of_commands_is_the_generated_one(language: Language) -> None:
    page = (ROOT / "docs" / "reference" / PAGES[language]).read_text(encoding="utf-8")
    assert page == commands_reference(language), "run: python -m weitiao.cli.reference docs/reference"


def test_the_readmes_list_every_command() -> None:
    for name in ("README.md", "README.zh-CN.md", "docs/reference/json.md"):
        told = " ".join(Page(ROOT / name).inline())
        assert [command for command in COMMANDS if command not in told] == [], name


def test_every_exit_code_is_described() -> None:
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    tree = ast.parse((SOURCES / "cli" / "failure.py").read_text(encoding="utf-8"))
    codes |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in (130, 141)}
    assert {0, 1, 2, 3, 4, 5, 75, 130, 141} == codes | {0}
    assert described("errors", "Exit codes") == {str(code) for code in codes | {0}}


def test_every_reason_of_the_ledger_is_described() -> None:
    positions = {"Dropped": 1, "Unfit": 0, "Entry": 2, "drop": 0}
    codes = set(literals(positions)) | set(REASONS) - {"", "unreadable"} | {"shortened"}
    assert described("errors", "Reasons in the ledger") == codes


def test_every_kind_of_problem_is_described() -> None:
    kinds = set(literals({"Problem": 0})) | set(get_args(NoteKind))
    listed = described("errors", "Kinds of problems") | {"duplicate", "contradiction", "leak"}
    assert listed == kinds | {"duplicate", "contradiction", "leak"}


def test_every_sentence_has_one_translation() -> None:
    import json

    found: dict[str, dict[str, str]] = {}
    for file in sorted((SOURCES / "locales" / "zh").glob("*.json")):
        for sentence, chinese in json.loads(file.read_text(encoding="utf-8")).items():
            found.setdefault(sentence, {})[chinese] = file.name
    assert {sentence: chinese for sentence, chinese in found.items() if len(chinese) > 1} == {}


def test_no_page_is_long() -> None:
    written = [page for page in ALL if page.path.name.split(".")[0] not in GENERATED]
    assert {page.name: len(page.text.splitlines()) for page in written if len(page.text.splitlines()) > 250} == {}


def described(page: str, title: str) -> set[str]:
    """The names in the first column of the table under the heading ``title``."""
    section = Page(ROOT / "docs" / "reference" / f"{page}.md").text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {name.strip().strip("`") for cell in cells[2:] for name in cell.split(",")}


def literals(positions: dict[str, int]) -> Iterator[str]:
    """The literal at that position in every call of such a name in the code."""
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                position = positions.get(name, len(node.args))
                given = node.args[position] if position < len(node.args) else None
                if isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value:
                    yield given.value


def own_flags() -> set[str]:
    """The flags that commands have of their own, as their help texts name them."""
    told = [import_module(command.module).describe() for command in COMMANDS.values()]
    return {flag for text in told for flag in re.findall(r"--[a-z][a-z-]*", text)}
