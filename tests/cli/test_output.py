"""Text from data and models cannot steer the terminal, and JSON is alone on stdout."""

import io
import json
import sys

import pytest

from weitiao.cli.output import Output, bold

NASTY = "a\x1b[2J\x9b31m\u202eb\ud800\x00\tc"


@pytest.mark.parametrize("stream", ["out", "err"])
def test_control_characters_are_escaped(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Output().show if stream == "out" else Output().say)(f"{NASTY}\nnext line")
    told = getattr(capsys.readouterr(), stream)
    assert told == "a\\x1b[2J\\x9b31m\\u202eb\\ud800\\x00\\tc\nnext line\n"


def test_json_keeps_every_character_and_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).result({"text": NASTY, "中文": "微调"})
    told = capsys.readouterr().out
    assert json.loads(told) == {"text": NASTY, "中文": "微调"}
    assert "微调" in told
    assert not set(told[:-1]) & {chr(code) for code in [*range(32), *range(0x7F, 0xA0)]}


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Output(json=True).result({"loss": float("nan")})


def test_with_json_nothing_else_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(json=True)
    out.show("for people")
    out.table(["a"], [["b"]])
    out.say("talk")
    out.result({"a": 1})
    told = capsys.readouterr()
    assert (told.out, told.err) == ('{"a": 1}\n', "talk\n")


def test_without_json_there_is_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({"a": 1})
    assert capsys.readouterr().out == ""


def test_a_table_stands_in_columns_in_chinese_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    Output().table(["名称", "x", "含义"], [["短信", "1", "a"], ["b", "22\x1b", "一二三四五六七八九十一二"]])
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "名称  x       含义"
    assert lines[1] == "短信  1       a"
    assert lines[2] == "b     22\\x1b  一二三四五六七八九十"
    assert lines[3] == " " * 14 + "一二"


def test_a_terminal_that_knows_no_chinese_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Output().show("微调")
    assert stream.buffer.getvalue() == b"\\u5fae\\u8c03\n"  # type: ignore[attr-defined]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert bold("x", io.StringIO()) == "x"
    assert bold("x", Terminal(), "31") == "\x1b[1;31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert bold("x", Terminal()) == "x"


def test_progress_without_a_terminal_is_a_line_for_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress() as on_progress:
        for done in range(5):
            on_progress(done, 5, "fetching x")
        on_progress(5, 5, "unpacking x")
    assert capsys.readouterr().err == "fetching x\nunpacking x\n"


def test_progress_in_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Output().progress() as on_progress:
        on_progress(500, 1000, "fetching [red]x")
    assert "fetching [red]x" in terminal.getvalue()
    assert "━" in terminal.getvalue()
