"""An evaluation that was stopped or killed goes on to the same bits, and never with answers to something else."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from faults import die_at_forced_write, in_child
from weitiao.api import kept_answers as module
from weitiao.api.answering import find_respondent, load_engine
from weitiao.api.evaluate import Evaluation, evaluate
from weitiao.api.kept_answers import Asking, kept_answers
from weitiao.api.scored_set import every_row
from weitiao.data.ledger import Ledger
from weitiao.errors import MachineError, SettingsError, Stopped
from weitiao.evaluation import ask as ask_module
from weitiao.evaluation.ask import ask
from weitiao.evaluation.stored import answers_json
from weitiao.settings import Settings, make_settings

Heard = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept answers, in a home of the test's own."""
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "evaluations"


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_module, "SCORED_TOGETHER", 4)
    monkeypatch.setattr(ask_module, "WRITTEN_TOGETHER", 2)


@pytest.fixture
def classify(tiny_run: Path) -> Settings:
    """A run on all of its thirty rows."""
    return make_settings({"model": tiny_run, "data": tiny_run.parent.parent / "rows.csv"})


@pytest.fixture
def reply(tiny_llama: Path, tmp_path: Path) -> Settings:
    """A model on twelve instructions, of which five are written out."""
    values = {"model": tiny_llama, "data": tiny.tiny_instructions(tmp_path / "instructions.jsonl")}
    return make_settings({**values, "generate_max_samples": 5, "max_new_tokens": 4})


def measured(found: Evaluation) -> dict[str, Any]:
    """All of the report that must be the same, whatever came between."""
    return {name: value for name, value in found.report.items() if name not in ("created", "cost")}


def heard_in(settings: Settings) -> tuple[Evaluation, Heard]:
    heard: Heard = []
    return evaluate(settings, listen=lambda kind, facts: heard.append((kind, facts))), heard


def interrupted(settings: Settings, how: Callable[[], object], after: int = 8) -> None:
    """Evaluate until ``after`` rows are scored, then do ``how``."""

    def listen(kind: str, facts: dict[str, Any]) -> None:
        if kind == "scoring" and facts["done"] == after:
            how()

    evaluate(settings, listen=listen)


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wordy(path: Path, count: int) -> Path:
    """``count`` rows with replies, of many lengths."""
    words = " ".join(tiny.SENTENCES).split()
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            prompt = f"{number} " + " ".join(words[number % 50 :][: number % 37])
            row = {"prompt": prompt, "reply": words[number % 60], "label": ("spam", "ham", "垃圾")[number % 3]}
            file.write(json.dumps(row) + "\n")
    return path


def companies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Fills with what the model is asked together: a tiny model's bits rarely tell, a large one's do."""
    together: list[tuple[str, list[str]]] = []

    def watch(name: str, place: int, shown: Callable[[Any], str]) -> None:
        real = getattr(ask_module, name)

        def watched(*given: Any, **named: Any) -> Any:
            together.append((name, [shown(one) for one in given[place]]))
            return real(*given, **named)

        monkeypatch.setattr(ask_module, name, watched)

    watch("category_log_probabilities", 1, lambda example: str(example.id))
    watch("row_losses", 1, lambda row: str(row.example))
    watch("generate", 2, lambda prompt: str(prompt.tolist()))
    return together


@pytest.mark.parametrize("kind", ["reply", "classify", "continue"])
def test_asked_in_parts_the_answers_are_those_of_the_whole(
    kind: str, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wordy(tmp_path / "rows.jsonl", 300)
    columns = {"reply": {}, "continue": {"text_column": "prompt"}, "classify": {"label_column": "label"}}[kind]
    settings = make_settings({"model": tiny_llama, "data": data, "kind": kind, "precision": "fp32", **columns})
    respondent = find_respondent(settings)
    scored = every_row(respondent, settings, Ledger())
    engine = load_engine(respondent, settings, lambda kind, facts: None)
    items = [(item.example, item.row) for item in scored.items]
    assert len(items) == 300
    together = companies(monkeypatch)
    whole = ask(engine, items, scored.task, respondent.codec, respondent.cutoff_len, 40, 4)
    wanted = list(together)
    together.clear()
    with kept_answers(engine, Asking(respondent, scored, 40, 4), lambda kind, facts: None) as asked:
        assert answers_json(asked.answers) == answers_json(whole)
    # The losses of what is written out are calculated once more, and not taken.
    assert [one for one in together if one in wanted] == wanted
    assert len(together) - len(wanted) == (3 if kind == "reply" else 0)
    assert int(whole.generated.sum()) == (40 if kind == "reply" else 0)


@pytest.mark.parametrize("kind", ["classify", "reply"])
def test_killed_anywhere_and_gone_on_with_the_report_is_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, kept: Path, _small_parts: None
) -> None:
    """A child dies at a forced write; the next goes on and dies at a later one, until one ends."""
    settings: Settings = request.getfixturevalue(kind)
    whole = measured(evaluate(settings))
    settings = settings.model_copy(update={"output_dir": str(tmp_path / "out")})
    kills, instant, code = 0, 3, 1
    while code:
        code = in_child(partial(_dying_at, instant, settings))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        instant += 3
    assert kills >= 3
    written = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {name: written[name] for name in whole} == json.loads(json.dumps(whole))
    assert list(kept.iterdir()) == []
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "card.md",
        "ledger.jsonl",
        "report.html",
        "report.json",
    ]


def _dying_at(instant: int, settings: Settings) -> None:
    die_at_forced_write(instant)
    evaluate(settings)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_stopped_it_says_how_to_go_on_and_goes_on(
    number: int, code: int, classify: Settings, tmp_path: Path, kept: Path, _small_parts: None
) -> None:
    whole = measured(evaluate(classify))
    assert list(kept.iterdir()) == []
    settings = classify.model_copy(update={"output_dir": str(tmp_path / "out")})
    with pytest.raises(Stopped, match="stopped after 8 rows, and saved") as caught:
        interrupted(settings, lambda: os.kill(os.getpid(), number))
    assert (caught.value.exit_code, caught.value.hint) == (code, "give the same command again to go on")
    assert not (tmp_path / "out").exists()
    found, heard = heard_in(settings)
    assert ("kept", {"done": 8, "count": 30}) in heard
    assert [facts["done"] for kind, facts in heard if kind == "scoring"] == [12, 16, 20, 24, 28, 30]
    assert measured(found) == whole
    assert list(kept.iterdir()) == []


def test_only_the_rest_is_asked_and_the_time_before_is_counted(
    reply: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch, _small_parts: None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(reply, interrupt, after=12)
    (journal,) = kept.glob("*.unfinished.json")
    told = json.loads(journal.read_text(encoding="utf-8"))
    assert 0 < told["place"]["seconds"] < 100
    journal.write_text(json.dumps({**told, "place": {"seconds": 1000.0, "cpu_seconds": 500.0}}), encoding="utf-8")
    asked: list[int] = []

    def counted(model: Any, items: Any, *others: Any) -> Any:
        asked.append(len(items))
        return ask(model, items, *others)

    monkeypatch.setattr(module, "ask", counted)
    found = evaluate(reply)
    assert asked == [2, 2, 1], "the twelve losses were kept, the five replies were not written yet"
    assert found.scores["loss"].count == 12
    assert found.scores["chrf"].count == 5
    assert 1000 < found.report["cost"]["seconds"] < 1100
    assert found.report["cost"]["cpu_seconds"] > 500


def test_a_stop_does_not_wait_for_replies_that_are_being_written(
    reply: Settings, monkeypatch: pytest.MonkeyPatch, _small_parts: None
) -> None:
    whole = measured(evaluate(reply))

    def stopping(model: Any, items: Any, task: Any, codec: Any, *others: Any) -> Any:
        _, generated, _, on_progress = others
        if generated:
            os.kill(os.getpid(), signal.SIGTERM)
            on_progress(0, 1)
            raise AssertionError("it went on")
        assert on_progress is None, "a score is kept before a stop is obeyed"
        return ask(model, items, task, codec, *others)

    with monkeypatch.context() as patch, pytest.raises(Stopped, match="stopped after 12 rows"):
        patch.setattr(module, "ask", stopping)
        evaluate(reply)
    found, heard = heard_in(reply)
    assert ("kept", {"done": 12, "count": 12}) in heard
    assert measured(found) == whole


@pytest.mark.parametrize("what", ["model", "label", "text", "question", "cutoff_len", "precision", "threads"])
def test_answers_to_something_else_are_never_taken(
    what: str,
    tiny_run: Path,
    tiny_child: Path,
    tmp_path: Path,
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    _small_parts: None,
) -> None:
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    values: dict[str, object] = {"model": tiny_run, "data": data}
    with pytest.raises(KeyboardInterrupt):
        interrupted(make_settings(values), interrupt)
    (left,) = [file for file in kept.iterdir() if file.suffix == ".jsonl"]
    before = left.read_bytes()
    if what in ("label", "text"):
        old, new = ("now,spam", "now,ham") if what == "label" else ("today?,ham", "today,ham")
        text = data.read_text(encoding="utf-8")
        assert old in text
        data.write_text(text.replace(old, new), encoding="utf-8")
    others = {"question": "Is it spam?", "cutoff_len": 100, "precision": "bf16", "model": tiny_child}
    with monkeypatch.context() as patch:
        if what == "threads":
            patch.setattr(torch, "get_num_threads", lambda: 7)
        _, heard = heard_in(make_settings({**values, **({what: others[what]} if what in others else {})}))
    assert not any(kind == "kept" for kind, _ in heard)
    assert left.read_bytes() == before
    tiny.tiny_rows(data)
    _, heard = heard_in(make_settings(values))
    assert any(kind == "kept" for kind, _ in heard), "it is still there for its own evaluation"


def test_a_folder_that_a_killed_evaluation_left_is_taken_again(classify: Settings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = classify.model_copy(update={"output_dir": str(out)})
    assert in_child(lambda: interrupted(settings, kill, after=30)) == -signal.SIGKILL
    assert (out / "ledger.jsonl").exists() and not (out / "report.json").exists()
    found, heard = heard_in(settings)
    assert ("kept", {"done": 30, "count": 30}) in heard
    assert found.scores["accuracy"].count == 30
    with pytest.raises(SettingsError, match="not empty"):
        evaluate(settings)
    assert (out / "report.json").exists()


@pytest.mark.parametrize("name", ["mine.txt", "ledger.jsonl"])
def test_a_folder_that_is_not_of_an_evaluation_is_left_alone(name: str, classify: Settings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match="not empty"):
        evaluate(classify.model_copy(update={"output_dir": str(out)}))
    assert [(file.name, file.read_text(encoding="utf-8")) for file in out.iterdir()] == [(name, "mine")]


def test_two_processes_never_do_the_same_evaluation(classify: Settings, tmp_path: Path, _small_parts: None) -> None:
    def again() -> None:
        with pytest.raises(SettingsError, match="another process"):
            evaluate(classify)
        with pytest.raises(SettingsError, match="another process"):
            evaluate(classify.model_copy(update={"output_dir": str(tmp_path / "out"), "max_samples": 7}))

    interrupted(classify.model_copy(update={"output_dir": str(tmp_path / "out")}), again)
    assert (tmp_path / "out" / "report.json").exists()


def test_what_nobody_went_on_with_is_forgotten_after_a_month(
    classify: Settings, tiny_child: Path, kept: Path, _small_parts: None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(classify, interrupt)
    left = sorted(kept.iterdir())
    assert len(left) == 2
    for file in left:
        os.utime(file, (time.time() - 29 * 86400,) * 2)
    evaluate(classify.model_copy(update={"model": str(tiny_child)}))
    assert sorted(kept.iterdir()) == left
    for file in left:
        os.utime(file, (time.time() - 31 * 86400,) * 2)
    evaluate(classify.model_copy(update={"model": str(tiny_child)}))
    assert list(kept.iterdir()) == []


def test_a_home_that_cannot_be_written_is_one_clear_error(
    classify: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "file"))
    with pytest.raises(MachineError, match="evaluations cannot be written") as caught:
        evaluate(classify)
    assert "WEITIAO_HOME" in caught.value.hint
