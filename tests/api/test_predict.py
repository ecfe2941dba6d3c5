"""Predictions are those of training, one for each row that was read, and a killed process goes on to the same bytes."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from faults import die_at_forced_write
from tiny_chats import CHATML
from weitiao.api import predict as module
from weitiao.api.growing_file import growing_file, journal_path
from weitiao.api.predict import Predictions, default_output, predict
from weitiao.errors import DataError, ModelError, SettingsError, Stopped
from weitiao.models.generate import Sampling
from weitiao.settings import make_settings
from weitiao.words import Language, set_language


def ask(model: Path, data: Path, output: Path | None = None, **others: Any) -> Predictions:
    return predict(make_settings({"model": model, "data": data, **others}), output)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def data(tiny_run: Path, tmp_path: Path) -> Path:
    """The thirty rows again, in a folder of the test's own."""
    return tiny.tiny_rows(tmp_path / "rows.csv")


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCORED_TOGETHER", 4)
    monkeypatch.setattr(module, "WRITTEN_TOGETHER", 2)


def test_a_prediction_is_what_training_measured(tiny_run: Path, data: Path) -> None:
    found = ask(tiny_run, data)
    assert found.path == data.with_name("rows.predictions.csv")
    predicted = {row["text"]: row for row in rows_of(found.path)}
    items = json.loads((tiny_run / "report.json").read_text(encoding="utf-8"))["items"]
    assert len(items) > 5
    for item in items:
        row = predicted[item["text"]]
        assert row["prediction"] == item["after"]
        assert float(row["confidence"]) == pytest.approx(item["after_confidence"], abs=6e-5)


def test_every_row_has_its_line_and_is_counted(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    long = "Please send me the report before the meeting tomorrow. " * 80
    data.write_text(f"text,label\nCall now,spam\n,ham\nSee you,\n{long},ham\n=1+1,\n", encoding="utf-8")
    found = ask(tiny_run, data)
    rows = rows_of(found.path)
    assert [row["source"] for row in rows] == [f"new.csv:{line}" for line in range(2, 7)]
    assert found.ledger == {"read": 5, "used": 3, "truncated": 1, "dropped": 1}
    assert found.reasons == {"empty_text": 1, "shortened": 1}
    assert rows[1]["problem"].startswith("empty_text") and not rows[1]["prediction"]
    assert "its end is left out" in rows[3]["problem"] and rows[3]["prediction"]
    assert rows[4]["text"] == "'=1+1"
    assert sum(found.predicted.values()) == 4
    for row in rows[2:]:
        shares = [float(row["probability/ham"]), float(row["probability/spam"])]
        assert sum(shares) == pytest.approx(1, abs=2e-6)
        assert max(shares) == float(row["confidence"])
        assert row["prediction"] == ("ham", "spam")[shares[1] > shares[0]]


@pytest.mark.parametrize("content", ["text\na b\nc d\n", "id,body\n1,a longer text\n2,another text\n"])
def test_the_data_need_no_label(content: str, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(content, encoding="utf-8")
    assert ask(tiny_run, tmp_path / "new.csv").ledger["used"] == 2


def test_the_labels_change_nothing(tiny_run: Path, data: Path, tmp_path: Path) -> None:
    first = rows_of(ask(tiny_run, data).path)
    turned = tmp_path / "turned.csv"
    text = data.read_text(encoding="utf-8")
    turned.write_text(text.replace(",spam", ",SPAM!").replace(",ham", ",spam"), encoding="utf-8")
    second = rows_of(ask(tiny_run, turned).path)
    assert [row["confidence"] for row in first] == [row["confidence"] for row in second]


def test_killed_anywhere_and_gone_on_with_the_bytes_are_the_same(
    tiny_run: Path, data: Path, tmp_path: Path, _small_chunks: None
) -> None:
    """A child kills itself at a forced write; the next one goes on and kills itself at a later one, to the end."""
    whole = ask(tiny_run, data, tmp_path / "whole.csv").path.read_bytes()
    path = tmp_path / "killed.csv"
    kills, instant = 0, 2
    while not path.exists() or journal_path(path).exists() or not kills:
        child = os.fork()
        if child == 0:
            try:
                die_at_forced_write(instant)
                ask(tiny_run, data, path)
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        instant += 3
    assert kills >= 3
    assert path.read_bytes() == whole


def test_stopped_it_says_how_to_go_on_and_goes_on(
    tiny_run: Path, data: Path, tmp_path: Path, _small_chunks: None
) -> None:
    whole = ask(tiny_run, data, tmp_path / "whole.csv").path.read_bytes()
    path = tmp_path / "stopped.csv"
    settings = make_settings({"model": tiny_run, "data": data})

    def stop(kind: str, facts: dict[str, Any]) -> None:
        if facts.get("rows") == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match="stopped after 8 rows") as caught:
        predict(settings, path, listen=stop)
    assert caught.value.exit_code == 75
    assert whole.startswith(path.read_bytes())
    assert len(rows_of(path)) == 8
    found = predict(settings, path)
    assert (found.went_on_after, found.ledger["read"]) == (8, 30)
    assert path.read_bytes() == whole


def begun(tiny_run: Path, data: Path, path: Path) -> None:
    """Leave ``path`` unfinished after the first chunk."""

    def fail(kind: str, facts: dict[str, Any]) -> None:
        if kind == "predicted":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(make_settings({"model": tiny_run, "data": data}), path, listen=fail)


@pytest.mark.parametrize("what", ["data", "model", "settings"])
def test_going_on_with_something_else_is_refused_by_name(
    what: str, tiny_run: Path, tiny_child: Path, data: Path, tmp_path: Path, _small_chunks: None
) -> None:
    path = tmp_path / "out.csv"
    begun(tiny_run, data, path)
    before = path.read_bytes()
    others = {"question": "Is it spam?"} if what == "settings" else {}
    if what == "data":
        data.write_text(data.read_text(encoding="utf-8") + "one more,ham\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=f"begun with something else: {what}$"):
        ask(tiny_child if what == "model" else tiny_run, data, path, **others)
    assert path.read_bytes() == before


def test_nothing_is_written_over(tiny_run: Path, data: Path) -> None:
    ask(tiny_run, data)
    with pytest.raises(SettingsError, match="exists already"):
        ask(tiny_run, data)


@pytest.mark.parametrize("output", ["rows.csv", "folder/inside.csv"])
def test_the_data_are_never_the_output(output: str, tiny_run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rows.csv").write_bytes(data.read_bytes())
    before = data.read_bytes()
    with pytest.raises(SettingsError, match="is the data, or lies inside"):
        ask(tiny_run, data if output == "rows.csv" else tmp_path / "folder", tmp_path / output)
    assert data.read_bytes() == before


def test_of_many_rows_the_first_may_be_asked_for(tiny_run: Path, data: Path) -> None:
    assert ask(tiny_run, data, max_samples=7).ledger["read"] == 7


def test_memory_does_not_grow_with_the_file(tiny_run: Path, tmp_path: Path, _small_chunks: None) -> None:
    """Rows are taken from the reader only as they are answered."""
    data = tmp_path / "many.jsonl"
    data.write_text("".join(json.dumps({"text": f"text {n}"}) + "\n" for n in range(5000)), encoding="utf-8")
    seen: list[int] = []

    def stop(kind: str, facts: dict[str, Any]) -> None:
        if kind == "predicted":
            seen.append(facts["rows"])
            if len(seen) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(make_settings({"model": tiny_run, "data": data, "kind": "classify"}), tmp_path / "out.csv", listen=stop)
    assert seen == [4, 8, 12]


def test_replies_are_written_with_the_sampling_asked_for(tiny_llama: Path, tmp_path: Path, _small_chunks: None) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    settings = make_settings({"model": tiny_llama, "data": data})
    replies: dict[str, list[str]] = {}
    for name, sampling in {
        "greedy": Sampling(max_new_tokens=4),
        "warm": Sampling(temperature=1.0, max_new_tokens=4),
        "again": Sampling(temperature=1.0, max_new_tokens=4),
        "other seed": Sampling(temperature=1.0, max_new_tokens=4, seed=1),
    }.items():
        found = predict(settings, tmp_path / f"{name}.jsonl", sampling)
        lines = [json.loads(line) for line in found.path.read_text(encoding="utf-8").splitlines()]
        assert all(set(line) == {"source", "text", "prediction"} for line in lines)
        replies[name] = [line["prediction"] for line in lines]
    assert len(replies["greedy"]) == 12
    assert replies["warm"] == replies["again"]
    assert replies["warm"] != replies["greedy"]
    assert replies["warm"] != replies["other seed"]


def test_prompts_without_a_reply_are_answered(tiny_llama: Path, tmp_path: Path) -> None:
    data = tmp_path / "prompts.jsonl"
    turns = [{"role": "user" if n % 2 == 0 else "assistant", "content": "word " * 60} for n in range(21)]
    lines = [{"messages": [{"role": "user", "content": "hi"}]}, {"messages": turns}]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    settings = make_settings({"model": tiny_llama, "data": data})
    found = predict(settings, tmp_path / "out.jsonl", Sampling(max_new_tokens=4))
    assert found.ledger == {"read": 2, "used": 1, "truncated": 1, "dropped": 0}
    told = [json.loads(line) for line in found.path.read_text(encoding="utf-8").splitlines()]
    assert "turns are left out" in told[1]["problem"]


def test_a_reply_must_leave_room_for_the_question(tiny_llama: Path, tmp_path: Path) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    with pytest.raises(SettingsError, match=f"context has {tiny.CONTEXT} tokens"):
        predict(make_settings({"model": tiny_llama, "data": data}), None, Sampling(max_new_tokens=tiny.CONTEXT))


def test_an_untuned_model_takes_its_categories_from_the_labels(tiny_llama: Path, data: Path, tmp_path: Path) -> None:
    assert set(ask(tiny_llama, data).predicted) <= {"ham", "spam"}
    unlabelled = tmp_path / "new.csv"
    unlabelled.write_text("text\na b\nc d\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="knows no categories") as caught:
        ask(tiny_llama, unlabelled, kind="classify")
    assert "weitiao train" in caught.value.hint
    with pytest.raises(SettingsError, match="nothing to predict"):
        ask(tiny_llama, unlabelled)


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (lambda run, data: ask(run, data.with_name("row.csv")), DataError, "there is no file"),
        (lambda run, data: ask(run.with_name("parnet"), data), ModelError, "there is no model"),
        (lambda run, data: ask(run, data, data.with_suffix(".xlsx")), SettingsError, r"written as \.csv or \.jsonl"),
        (lambda run, data: ask(run, data, data.parent / "no" / "out.csv"), SettingsError, "cannot be a file"),
        (lambda run, data: ask(run, data, text_column="txt"), DataError, "txt"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    change: Callable[[Path, Path], object], error: type[Exception], problem: str, tiny_run: Path, data: Path
) -> None:
    with pytest.raises(error, match=problem):
        change(tiny_run, data)
    assert [file.name for file in data.parent.iterdir()] == ["rows.csv"]


REFUSING = CHATML.replace(
    "{% for", "{% if 'Nor this' in messages[-1].content %}{{ raise_exception('no') }}{% endif %}{% for", 1
)


@pytest.mark.parametrize(
    ("kind", "lang", "problem"),
    [
        ("classify", "en", r"^new\.csv:4: the chat template failed: no$"),
        ("reply", "en", r"^new\.csv:4: the chat template failed: no$"),
        ("classify", "zh", r"^new\.csv:4: .*no$"),
    ],
)
def test_a_row_that_the_template_refuses_is_named(
    kind: str, lang: Language, problem: str, tiny_run: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    template, data = tmp_path / "chat.jinja", tmp_path / "new.csv"
    template.write_text(REFUSING, encoding="utf-8")
    data.write_text("prompt\nNever seen\nand this\nNor this\nmore\n", encoding="utf-8")
    set_language(lang)
    columns = {"kind": kind, "prompt_column" if kind == "reply" else "text_column": "prompt"}
    with pytest.raises(ModelError, match=problem):
        ask(tiny_run if kind == "classify" else tiny_llama, data, template=template, **columns)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["chat.jinja", "new.csv"], "nothing was answered yet"


def test_after_a_mended_template_the_same_output_is_begun_anew(tiny_run: Path, tmp_path: Path) -> None:
    """Where a killed process has left an output without a row, nothing is lost by beginning it with something else."""
    data, path = tmp_path / "new.csv", tmp_path / "out.csv"
    data.write_text("text\nNever seen\n", encoding="utf-8")
    with growing_file(path, {"data": "1", "model": "2", "settings": "3"}):
        pass
    assert journal_path(path).exists()
    assert ask(tiny_run, data, path).ledger["used"] == 1


def test_the_output_lies_beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.b.jsonl.gz").touch()
    (tmp_path / "folder.d").mkdir()
    assert default_output(str(tmp_path / "a.b.jsonl.gz")) == tmp_path / "a.b.predictions.csv"
    assert default_output(str(tmp_path / "folder.d")) == tmp_path / "folder.d.predictions.csv"
    assert default_output("sms-spam") == Path("sms-spam.predictions.csv")
