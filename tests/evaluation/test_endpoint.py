"""A server as an arm, asked over real HTTP: what it is sent, how it may fail, and what is kept of its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from chat_server import Answer, Server, said, serving
from weitiao.errors import MachineError, ModelError, SettingsError, WeitiaoError
from weitiao.evaluation import chat_request
from weitiao.evaluation.chat_request import KEY, ChatEndpoint, chat_endpoint
from weitiao.evaluation.endpoint import category_named, endpoint_answers
from weitiao.evaluation.metrics import details, scores
from weitiao.example import Category, Example, Label, Message, Reply, Shots, Span, Spans, Task, make_example

TASK = Task("classify", "Spam?", ("ham", "spam"))
SECRET = "sk-test-0123456789abcdef"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setattr(chat_request, "_FIRST_PAUSE_SECONDS", 0.01)
    with serving() as state:
        yield state


def at(server: Server) -> ChatEndpoint:
    return chat_endpoint(server.url, "some-model", 16)


def example(text: str, label: Label | None = None) -> Example:
    return make_example((Message("document", text),), label, "here")


ITEMS = [example(f"message {number}", Category("spam" if number % 3 == 0 else "ham")) for number in range(12)]


def right(body: dict[str, Any], number: int) -> Answer:
    """The right answer to one of ``ITEMS``, after its number."""
    number = int(body["messages"][-1]["content"].rsplit(maxsplit=1)[-1])
    return said("Spam." if number % 3 == 0 else "ham", usage={"prompt_tokens": 10 + number, "completion_tokens": 2})


def test_every_item_is_asked_once_and_answered_in_order(server: Server, tmp_path: Path) -> None:
    server.answer = right
    told: list[tuple[int, int]] = []
    found = endpoint_answers(at(server), ITEMS, TASK, tmp_path / "kept.jsonl", lambda *now: told.append(now))
    assert found.answers.predicted == found.answers.gold
    assert found.replies[:2] == ("Spam.", "ham")
    assert (found.prompt_tokens, found.completion_tokens) == (sum(range(10, 22)), 24)
    assert found.seconds > 0
    assert told == [(done, 12) for done in range(1, 13)]
    assert len(server.bodies) == 12
    assert set(server.paths) == {"/v1/chat/completions"}
    assert scores(found.answers, TASK.categories)["accuracy"].value == 1.0


def test_it_is_asked_greedily_with_the_prompt_of_the_other_arms(server: Server, tmp_path: Path) -> None:
    shots = Shots(common=(example("win a prize", Category("spam")),))
    task = Task("classify", "Spam?", ("ham", "spam"), shots=shots)
    endpoint_answers(at(server), ITEMS[:1], task, tmp_path / "kept.jsonl")
    (body,) = server.bodies
    assert body["messages"][0]["role"] == "system"
    assert body["messages"][1:] == [
        {"role": "user", "content": "Spam?\n\nwin a prize"},
        {"role": "assistant", "content": "spam"},
        {"role": "user", "content": "Spam?\n\nmessage 0"},
    ]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 16, "some-model")


def test_it_waits_as_long_as_it_is_told_and_then_asks_again(server: Server, tmp_path: Path) -> None:
    soon = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)
    failures: list[Answer] = [
        (429, {"Retry-After": "0"}, b"slow down"),
        (429, {"Retry-After": soon}, b""),
        (503, {"Retry-After": "soon"}, b"{}"),
        (500, {}, b"oops"),
    ]
    server.answer = lambda body, number: failures[number] if number < len(failures) else said("ham")
    found = endpoint_answers(at(server), ITEMS[1:2], TASK, tmp_path / "kept.jsonl")
    assert found.answers.predicted == ("ham",)
    assert len(server.bodies) == 5


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("7", 7, 7), ("0", 0, 0), (None, None, None), ("soon", None, None), ("-1", None, None)],
)
def test_retry_after_in_seconds(value: str | None, least: float | None, most: float | None) -> None:
    assert chat_request._retry_after(value) == least == most


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    seconds = chat_request._retry_after(later)
    assert seconds is not None and 25 < seconds <= 30


def test_a_server_that_wants_too_long_a_pause_ends_it_at_once(server: Server, tmp_path: Path) -> None:
    server.answer = lambda body, number: (429, {"Retry-After": "86400"}, b'{"error": {"message": "quota used up"}}')
    with pytest.raises(MachineError, match="quota used up"):
        endpoint_answers(at(server), ITEMS[:1], TASK, tmp_path / "kept.jsonl")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": 3}}]}', b"\xff\xfe", b"null"],
)
def test_malformed_answers_are_asked_again_and_in_the_end_an_error(
    server: Server, tmp_path: Path, content: bytes
) -> None:
    server.answer = lambda body, number: (200, {}, content) if number < 2 else said("ham")
    assert endpoint_answers(at(server), ITEMS[:1], TASK, tmp_path / "kept.jsonl").replies == ("ham",)
    server.answer = lambda body, number: (200, {}, content)
    with pytest.raises(MachineError, match="not that of a chat"):
        endpoint_answers(at(server), ITEMS[1:2], TASK, tmp_path / "kept.jsonl")


@pytest.mark.parametrize(
    ("code", "hint"), [(400, "leave the arm out"), (401, KEY), (403, KEY), (404, "endpoint_model")]
)
def test_a_refusal_is_said_at_once(server: Server, tmp_path: Path, code: int, hint: str) -> None:
    server.answer = lambda body, number: (code, {}, b'{"error": {"message": "no such thing"}}')
    with pytest.raises(ModelError, match="no such thing") as caught:
        endpoint_answers(at(server), ITEMS[:1], TASK, tmp_path / "kept.jsonl")
    assert hint in caught.value.hint
    assert len(server.bodies) == 1


def test_a_redirect_is_not_followed(server: Server, tmp_path: Path) -> None:
    server.answer = lambda body, number: (307, {"Location": f"{server.url}/elsewhere"}, b"")
    with pytest.raises(ModelError, match="307"):
        endpoint_answers(at(server), ITEMS[:1], TASK, tmp_path / "kept.jsonl")
    assert len(server.bodies) == 1


def test_nobody_at_the_address_is_a_problem_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_request, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(MachineError, match=r"127\.0\.0\.1:9"):
        endpoint_answers(chat_endpoint("http://127.0.0.1:9", "m", 8), ITEMS[:1], TASK, tmp_path / "kept.jsonl")


def test_an_answer_that_is_no_category_is_unusable_and_wrong(server: Server, tmp_path: Path) -> None:
    texts = ["SPAM", "I think it is spam", None, " ham\n"]
    server.answer = lambda body, number: said(texts[int(body["messages"][-1]["content"][-1])])
    found = endpoint_answers(at(server), ITEMS[:4], TASK, tmp_path / "kept.jsonl").answers
    assert found.predicted == ("spam", "", "", "ham")
    assert found.probabilities is None
    assert details(found, TASK.categories)["unusable"] == [2, 0]
    assert scores(found, TASK.categories)["accuracy"].value == 0.25


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        ("垃圾", "垃圾"),
        ("“垃圾”。", "垃圾"),
        ("ＳＰＡＭ", "Spam"),
        ("**spam**", "Spam"),
        ("A", "A"),
        ("a", "a"),
        ("b", ""),
        ("", ""),
    ],
)
def test_which_category_an_answer_names(reply: str, name: str) -> None:
    assert category_named(reply, ("垃圾", "Spam", "A", "a")) == name


def test_two_categories_that_differ_by_case_alone_are_not_mixed_up() -> None:
    assert category_named('"a"', ("A", "a")) == ""


def test_marks_and_replies_are_read_from_what_it_wrote(server: Server, tmp_path: Path) -> None:
    marked = example("Ada went to Paris", Spans((Span(0, 3, "person"),)))
    server.answer = lambda body, number: said("person: Ada\nperson: Nobody")
    found = endpoint_answers(at(server), [marked], Task("mark", "Who?", ("person",)), tmp_path / "marks.jsonl").answers
    spans = json.loads(found.predicted[0])
    assert (spans[0]["start"], spans[0]["end"], spans[1]["text"]) == (0, 3, "Nobody")
    asked = make_example((Message("user", "Hello?"),), Reply("Hi."), "here")
    replied = endpoint_answers(at(server), [asked], Task("reply"), tmp_path / "replies.jsonl").answers
    assert replied.predicted == ("person: Ada\nperson: Nobody",)
    assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Hello?"}]


def test_what_was_answered_before_an_interruption_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    server.answer = right

    def stop(done: int, of: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        endpoint_answers(at(server), ITEMS, TASK, kept, stop)
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 5
    with kept.open("ab") as file:
        file.write(b'{"request": "cut off in the mid')
    before = len(server.bodies)
    resumed = endpoint_answers(at(server), ITEMS, TASK, kept)
    assert len(server.bodies) - before == 7
    whole = endpoint_answers(at(server), ITEMS, TASK, tmp_path / "another.jsonl")
    assert resumed.answers.predicted == whole.answers.predicted == whole.answers.gold
    assert resumed.prompt_tokens == whole.prompt_tokens
    before = len(server.bodies)
    assert endpoint_answers(at(server), ITEMS, TASK, kept).replies == whole.replies
    assert len(server.bodies) == before


def test_an_error_keeps_the_answers_before_it(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    server.answer = lambda body, number: right(body, number) if number < 6 else (400, {}, b"no more")
    with pytest.raises(ModelError, match="no more"):
        endpoint_answers(at(server), ITEMS, TASK, kept)
    server.answer = right
    before, there = len(server.bodies), len(kept.read_bytes().splitlines())
    found = endpoint_answers(at(server), ITEMS, TASK, kept)
    assert there > 0
    assert len(server.bodies) - before == 12 - there
    assert found.answers.predicted == found.answers.gold


def test_another_model_question_or_server_is_asked_anew(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    endpoint_answers(at(server), ITEMS[:1], TASK, kept)
    endpoint_answers(chat_endpoint(server.url, "other", 16), ITEMS[:1], TASK, kept)
    endpoint_answers(at(server), ITEMS[:1], Task("classify", "Is it spam?", ("ham", "spam")), kept)
    assert len(server.bodies) == 3


def test_no_more_than_four_questions_are_on_their_way_at_a_time(server: Server, tmp_path: Path) -> None:
    now, most, lock, gate = 0, 0, threading.Lock(), threading.Event()

    def slow(body: dict[str, Any], number: int) -> Answer:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        gate.wait(0.02)
        with lock:
            now -= 1
        return said("ham")

    server.answer = slow
    endpoint_answers(at(server), ITEMS, TASK, tmp_path / "kept.jsonl")
    assert 1 < most <= 4


def test_the_key_goes_into_one_header_and_nowhere_else(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, capfd: Any
) -> None:
    monkeypatch.setenv(KEY, f" {SECRET}\n")
    server.answer = right
    found = endpoint_answers(at(server), ITEMS, TASK, tmp_path / "kept.jsonl")
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    errors: list[WeitiaoError] = []
    echo = json.dumps({"error": {"message": f"bad key {SECRET}"}}).encode()
    for code, content in ((401, echo), (500, echo), (200, SECRET.encode())):
        server.answer = lambda body, number, answer=(code, {}, content): answer  # type: ignore[misc]
        with pytest.raises(WeitiaoError) as caught:
            endpoint_answers(at(server), [example(f"{code}")], TASK, tmp_path / "kept.jsonl")
        errors.append(caught.value)
    written = "".join(file.read_text(encoding="utf-8") for file in tmp_path.rglob("*") if file.is_file())
    shown = f"{written} {caplog.text} {capfd.readouterr()} {found} {at(server)} {server.bodies} {errors!r}"
    assert SECRET not in shown + "".join(f"{error.problem} {error.hint}" for error in errors)
    assert "…" in errors[0].problem


def test_without_a_key_none_is_sent(server: Server, tmp_path: Path) -> None:
    endpoint_answers(at(server), ITEMS[:1], TASK, tmp_path / "kept.jsonl")
    assert "Authorization" not in server.headers[0]


def test_a_key_with_a_line_break_inside_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, f"{SECRET}\nX-Other: 1")
    with pytest.raises(SettingsError) as caught:
        chat_endpoint("https://example.org", "m", 8)
    assert SECRET not in f"{caught.value.problem} {caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/", "http://localhost:8000/v1/chat/completions"),
        ("https://example.org/v1/", "https://example.org/v1/chat/completions"),
        ("https://example.org/api/v3", "https://example.org/api/v3/chat/completions"),
        ("https://example.org/v1/chat/completions", "https://example.org/v1/chat/completions"),
        ("https://example.org/x?api-version=1", "https://example.org/x/chat/completions?api-version=1"),
    ],
)
def test_a_server_its_v1_and_the_whole_address_are_understood(url: str, whole: str) -> None:
    assert chat_endpoint(url, "m", 8).url == whole


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://example.org", "http://", "file:///etc/passwd", "http://[x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="no address"):
        chat_endpoint(url, "m", 8)


@pytest.mark.parametrize("url", ["https://me:pw@example.org", "https://example.org/v1?api-key=abc"])
def test_an_address_that_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="report"):
        chat_endpoint(url, "m", 8)


def test_a_key_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chat_endpoint("http://example.org", "m", 8)
    monkeypatch.setenv(KEY, SECRET)
    with pytest.raises(SettingsError, match=r"example\.org without encryption"):
        chat_endpoint("http://example.org", "m", 8)
