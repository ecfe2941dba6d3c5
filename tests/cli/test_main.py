"""The command line: instant help, one form of errors, exit codes that are a contract."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from weitiao import cli
from weitiao.cli.output import output
from weitiao.errors import DataError, MachineError, ModelError, SettingsError, Stopped
from weitiao.words import t, translations

RUN = [sys.executable, "-c", "import sys; from weitiao.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEITIAO_LANG", "en")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a command ``fake`` in place that calls the given function."""

    def put(command: Callable[..., Any], takes_settings: bool = True) -> None:
        module = SimpleNamespace(command=command, describe=lambda: "What it does.\n\n  weitiao fake")
        monkeypatch.setitem(sys.modules, "weitiao.cli.fake", module)  # type: ignore[arg-type]
        entry = cli.Command("weitiao.cli.fake", lambda: "a fake", takes_settings)
        monkeypatch.setitem(cli.COMMANDS, "fake", entry)

    return put


def raising(error: BaseException) -> Callable[[list[str]], None]:
    def command(arguments: list[str]) -> None:
        raise error

    return command


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    code = "import sys; from weitiao.cli import main; main(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    before = os.times().children_user + os.times().children_system
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds = os.times().children_user + os.times().children_system - before
    assert "samples" in told.stdout
    loaded = {name.split(".")[0] for name in told.stderr.split()}
    assert not loaded & {"torch", "transformers", "pydantic", "typer", "rich", "numpy", "ruamel"}
    assert seconds < 0.5


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"], ["--json", "--help"]])
def test_help_lists_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}  " in shown for name in cli.COMMANDS)


def test_help_speaks_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help", "--lang", "zh"]) == 0
    assert "用法：weitiao 命令 …" in capsys.readouterr().out
    assert t("usage: weitiao COMMAND …").startswith("usage"), "the language must not leak out of the call"


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_has_its_help_in_both_languages(
    name: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([name, "--help", "--lang", language]) == 0
    shown = capsys.readouterr().out
    assert f"weitiao {name}" in shown.split("\n")[0]
    assert ("--json" in shown) and (("显示本说明" in shown) == (language == "zh"))
    assert cli.COMMANDS[name].summary() in translations()


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingsError, 2), (DataError, 3), (ModelError, 4), (MachineError, 5)],
)
def test_an_error_is_a_problem_and_a_hint(
    error: type[SettingsError], code: int, install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(error("reviews.csv:118 has no text", "fill the column")))
    assert cli.main(["fake"]) == code
    told = capsys.readouterr()
    assert told.err == "error: reviews.csv:118 has no text\nhint: fill the column\n"
    assert told.out == ""


def test_an_error_is_said_in_chinese(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(raising(DataError("x", "y")))
    assert cli.main(["fake", "--lang=zh"]) == 3
    assert capsys.readouterr().err == "错误：x\n提示：y\n"


def test_with_json_an_error_is_an_object_too(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(raising(DataError("x", "y")))
    assert cli.main(["fake", "--json"]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out) == {"error": {"kind": "data", "problem": "x", "hint": "y", "exit_code": 3}}
    assert told.err.startswith("error: x")


def test_stopping_is_no_error(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(raising(Stopped("saved at step 40", "weitiao train runs/x")))
    assert cli.main(["fake"]) == 75
    assert capsys.readouterr().err.startswith("stopped: saved at step 40\n")


def test_an_interrupt_ends_with_130(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(raising(KeyboardInterrupt()))
    assert cli.main(["fake"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_our_own_bug_ends_with_1_and_a_file(
    install: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    install(raising(KeyError("boo\x1b[31m\ud800")))
    assert cli.main(["fake", "--seed", "1"]) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told.startswith("error: something unexpected happened: KeyError: ")
    assert "\x1b" not in told
    (file,) = tmp_path.iterdir()
    assert str(file) in told
    content = file.read_text(encoding="utf-8")
    assert "Traceback" in content
    assert "['fake', '--seed', '1']" in content


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (MemoryError(), "the memory is full"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "the disk is full (runs/x)"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "runs may not be written or read"),
        (ModuleNotFoundError("No module named 'peft'", name="peft"), "the Python package peft is missing"),
    ],
)
def test_what_the_machine_lacks_ends_with_5(
    error: Exception, problem: str, install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(error))
    assert cli.main(["fake"]) == 5
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["sampels"], "there is no command sampels", "did you mean weitiao samples?"),
        (["\x1b[2J"], "there is no command \\x1b[2J", "weitiao --help"),
        (["samples", "--lang", "fr"], "--lang is fr", "--lang zh"),
        (["samples", "--lang"], "--lang is ''", "--lang zh"),
        (["samples", "--nmae"], "weitiao samples has no flag --nmae", "weitiao samples --help"),
        (["samples", "a", "b"], "unexpected b", "weitiao samples --help"),
        (["samples", "sms-spm"], "there is no sample named sms-spm", "sms-spam"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], problem: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {problem}")
    assert hint in told


def test_parameters_of_typer_are_checked_and_explained(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def command(run: str, top: int = 3, quick: bool = False) -> None:
        output().show(f"{run} {top} {quick}")

    install(command, takes_settings=False)
    assert cli.main(["fake", "runs/x", "--top", "5", "--quick"]) == 0
    assert capsys.readouterr().out == "runs/x 5 True\n"
    assert cli.main(["fake", "--top", "5"]) == 2
    assert capsys.readouterr().err.startswith("error: RUN is missing")
    assert cli.main(["fake", "x", "--top", "many"]) == 2
    assert capsys.readouterr().err.startswith("error: --top has a wrong value: ")
    assert cli.main(["fake", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "usage: weitiao fake RUN […]" in shown
    assert "--quick, --no-quick" in shown


def test_json_and_lang_may_stand_anywhere_and_the_rest_is_the_commands(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: list[str]) -> None:
        output().say(t("interrupted"))
        output().show("for people")
        output().result({"arguments": arguments})

    install(command)
    assert cli.main(["--json", "fake", "x.yaml", "--lang", "zh", "--seed", "1", "--", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["arguments"] == ["x.yaml", "--seed", "1", "--", "--json", "--lang=zh"]
    assert told.err == "已中断\n"


def test_the_help_of_a_command_with_settings_lists_them(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(KeyError()))
    assert cli.main(["fake", "x.yaml", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: weitiao fake [FILE.yaml]")
    assert "--learning-rate NUMBER" in shown


def test_a_reader_that_leaves_is_no_error() -> None:
    shell = f'{sys.executable} -c "$CODE" samples --json | true; echo ${{PIPESTATUS[0]}}'
    code = "import sys, time; from weitiao.cli import main; time.sleep(0.2); sys.exit(main())"
    told = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=True, env={**os.environ, "CODE": code}
    )
    assert told.stdout.strip() == "141"
    assert told.stderr == ""


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("weitiao 0.")
    assert cli.main(["--version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version"}
