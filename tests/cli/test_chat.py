"""``weitiao chat`` streams, obeys its own commands, works through a pipe, and Ctrl-C stops the reply alone."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weitiao import cli
from weitiao.api import chat as module

ARGUMENTS = ["--max-new-tokens", "4", "--threads", "1", "--precision", "fp32"]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the command these lines on a standard input that is no terminal."""

    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return give


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Any]], None]:
    """Type these lines at a terminal; an exception is raised where a line would be read."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def give(lines: list[Any]) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal())
        left = iter(lines)

        def read(prompt: str) -> str:
            line = next(left, EOFError())
            if isinstance(line, BaseException):
                raise line
            return str(line)

        monkeypatch.setattr("builtins.input", read)

    return give


def talk(model: Path, capsys: pytest.CaptureFixture[str], *flags: str, code: int = 0) -> tuple[str, str]:
    assert cli.main(["chat", str(model), *ARGUMENTS, *flags]) == code
    told = capsys.readouterr()
    return told.out, told.err


def test_a_line_is_a_turn_and_json_tells_all(
    tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    piped("Say hello.\n\n你什么时候回家吃饭？\n")
    out, err = talk(tiny_llama, capsys, "--json")
    found = json.loads(out)
    assert found["model"] == str(tiny_llama)
    assert [turn["text"] for turn in found["turns"]] == ["Say hello.", "你什么时候回家吃饭？"]
    assert all(set(turn) == {"text", "reply", "left_out", "stopped"} for turn in found["turns"])
    piped("Say hello.\n\n你什么时候回家吃饭？\n")
    shown, _ = talk(tiny_llama, capsys)
    assert len(shown.split("\n")) >= 3
    assert err == ""


def test_the_same_seed_gives_the_same_and_a_setting_takes_effect(
    tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for seed in ("0", "0", "1"):
        piped("hello\nhello\n")
        told.append(json.loads(talk(tiny_llama, capsys, "--json", "--temperature", "1.5", "--seed", seed)[0])["turns"])
    assert told[0] == told[1] != told[2]
    piped("/set temperature 1.5\nhello\nhello\n")
    assert json.loads(talk(tiny_llama, capsys, "--json")[0])["turns"] == told[0]
    piped("/set temperature=1.5\n/set seed 1\nhello\nhello\n/quit\nhello\n")
    assert json.loads(talk(tiny_llama, capsys, "--json")[0])["turns"] == told[2]


def test_reset_and_system_begin_anew(
    tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        module, "generate", lambda model, codec, prompts, *_: [seen.append(codec.decode(prompts[0])) or "ok"]
    )
    piped("one\n/reset\ntwo\n/system Be brief.\nthree\nfour\n/etc/hosts is what?\n")
    talk(tiny_llama, capsys, "--system", "Old.", "--json")
    assert ["one" in text for text in seen] == [True, False, False, False, False]
    assert ["Old." in text for text in seen] == [True, True, False, False, False]
    assert ["Be brief." in text for text in seen] == [False, False, True, True, True]
    assert "three" in seen[3] and "/etc/hosts" in seen[4]


def test_a_run_is_asked_its_question(
    tiny_run: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        module, "generate", lambda model, codec, prompts, *_: [seen.append(codec.decode(prompts[0])) or "ham"]
    )
    piped("Call now\n")
    talk(tiny_run, capsys)
    piped("Call now\n")
    talk(tiny_run, capsys, "--raw")
    assert ["Which category" in text for text in seen] == [True, False]


def test_what_goes_wrong_in_a_pipe_ends_the_chat(
    tiny_run: Path, tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for lines, flags, model, code, problem in (
        ("/set heat 1\n", [], tiny_llama, 2, "heat is not a setting"),
        ("/set temperature\n", [], tiny_llama, 2, "/set takes a name and a value"),
        ("/rest\n", [], tiny_llama, 2, "there is no command /rest"),
        ("word " * 600 + "\n", [], tiny_llama, 3, "this turn has"),
        ("/system x\n", [], tiny_run, 2, "without a system prompt"),
        ("hello\n", ["--system", "x"], tiny_run, 2, "without a system prompt"),
        ("hello\n", ["--top-p", "2"], tiny_llama, 2, "top_p is 2"),
        ("hello\n", ["--epochs", "2"], tiny_llama, 2, "has no use for epochs"),
    ):
        piped(lines)
        _, err = talk(model, capsys, *flags, code=code)
        assert problem in err
        piped(lines)
        _, err = talk(model, capsys, *flags, "--lang", "zh", code=code)
        assert "错误：" in err and problem not in err


def test_input_that_is_not_utf8_is_one_clear_error(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("免费\n".encode("gb18030")), encoding="utf-8"))
    _, err = talk(tiny_llama, capsys, code=3)
    assert "the standard input is not UTF-8" in err


def test_in_a_terminal_a_mistake_is_said_and_the_chat_goes_on(
    tiny_llama: Path, typed: Callable[[list[Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    typed(["/set heat 1", "", KeyboardInterrupt(), "/help", "hello"])
    out, err = talk(tiny_llama, capsys)
    assert "/help lists the commands" in err
    assert "error: heat is not a setting" in err
    assert "/quit or Ctrl-D ends the chat" in err
    assert out.strip("\n")


def test_what_falls_out_of_the_context_is_said(
    tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    piped(("word " * 70 + "\n") * 4)
    _, err = talk(tiny_llama, capsys)
    assert "the oldest 2 turns are no longer read" in err


def test_a_reply_cannot_steer_the_terminal(
    tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(model: Any, codec: Any, prompts: Any, sampling: Any, on_text: Any) -> list[str]:
        for piece in ("a\x1b", "[2Jb\r", "\tc\n", "d\u202e"):
            on_text(piece)
        return [""]

    monkeypatch.setattr(module, "generate", generate)
    piped("hello\n")
    assert talk(tiny_llama, capsys)[0] == "a\\x1b[2Jb\\r    c\nd\\u202e\n"


def test_ctrl_c_stops_the_reply_and_not_the_chat(
    tiny_llama: Path, piped: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts_seen: list[str] = []

    def generate(model: Any, codec: Any, prompts: Any, sampling: Any, on_text: Any) -> list[str]:
        prompts_seen.append(codec.decode(prompts[0]))
        on_text("half a ")
        if len(prompts_seen) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        return ["half a reply"]

    monkeypatch.setattr(module, "generate", generate)
    piped("one\ntwo\n")
    turns = json.loads(talk(tiny_llama, capsys, "--json")[0])["turns"]
    assert [(turn["reply"], turn["stopped"]) for turn in turns] == [("half a ", True), ("half a reply", False)]
    assert "half a" in prompts_seen[1], "what was said stays said"


@pytest.fixture
def process(tiny_llama: Path) -> Iterator[subprocess.Popen[str]]:
    code = "import sys; from weitiao.cli import main; sys.exit(main())"
    arguments = ["chat", str(tiny_llama), "--max-new-tokens", "480", "--temperature", "5", "--threads", "1"]
    started = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield started
    started.kill()
    started.wait()


@pytest.mark.slow
def test_a_real_ctrl_c_in_a_real_reply(process: subprocess.Popen[str]) -> None:
    assert process.stdin and process.stdout
    process.stdin.write("a\n")
    process.stdin.flush()
    assert process.stdout.read(1), "the reply comes as it is written"
    process.send_signal(signal.SIGINT)
    process.stdin.write("/set max_new_tokens 3\nb\n/quit\n")
    process.stdin.flush()
    assert process.wait(timeout=60) == 0
