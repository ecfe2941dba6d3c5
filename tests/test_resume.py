"""Stop it at any step, resume, same bits; and nothing that has changed is resumed.

The ablation gives this its teeth: each piece of a checkpoint's state, dropped alone, must change what comes out.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from transformers import AutoTokenizer

import tiny
from faults import in_child
from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api.evaluate import evaluate
from weitiao.api.steps import Best
from weitiao.api.train import resume, train
from weitiao.cli import main
from weitiao.codec import clock, open_codec
from weitiao.errors import SettingsError, Stopped
from weitiao.example import Message
from weitiao.run import Run, is_run, locked, read_events
from weitiao.settings import make_settings
from weitiao.training import defaults, exact
from weitiao.training.chance import seed_for
from weitiao.training.checkpoint import Checkpoint, checkpoints, save_checkpoint

Listener = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """All that must be the same, bit for bit."""

    weights: bytes  # of the last checkpoint
    moments: bytes
    state: str
    result: bytes
    losses: list[tuple[int, float, float]]
    evaluations: list[tuple[int, float, bool]]
    after: str  # scores of the test items


def outcome(run: Run) -> Outcome:
    last = sorted(folder for folder in run.checkpoints.iterdir() if folder.name.isdigit())[-1]
    evaluations = [event for event in read_events(run.events) if event["kind"] == "evaluation"]
    report = json.loads(run.report.read_text())
    return Outcome(
        last_weights(run),
        (last / "optimizer.safetensors").read_bytes(),
        (last / "state.json").read_text(),
        result_bytes(run),
        step_losses(run),
        [(event["step"], event["scores"]["loss"]["value"], event["best"]) for event in evaluations],
        json.dumps([report["after"], report["before"], report["items"]], sort_keys=True),
    )


def stopping_at(step: int, number: int = signal.SIGTERM) -> Listener:
    """A listener that sends this process a signal in the middle of ``step``'s turn."""

    def listen(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == step:
            os.kill(os.getpid(), number)

    return listen


class Crash(Exception):  # noqa: N818 - it is one
    """Not foreseen by anybody."""


def crashing_at(kind: str, step: int) -> Listener:
    def listen(told: str, facts: dict[str, Any]) -> None:
        if told == kind and facts.get("step") == step:
            raise Crash

    return listen


def no_more_than(run: Run, step: int) -> None:
    assert [number for number, _, _ in step_losses(run)] == list(range(1, step + 1))


CASES: dict[str, dict[str, Any]] = {
    "LoRA with dropout": {},
    "LoRA behind a shared prefix, bf16": {"lora_dropout": 0.0, "precision": "bf16"},
    "LoRA, packed, bf16, with dropout": {"packing": True, "precision": "bf16"},
    "full, packed": {"method": "full", "packing": True},
    "full, bf16, accumulated": {
        "method": "full", "precision": "bf16", "batch_size": 2, "gradient_accumulation_steps": 4, "learning_rate": 1e-3,
    },
    "top layers, weight decay": {"method": "top_layers", "top_layers": 1, "weight_decay": 0.1, "warmup_steps": 3},
    "early stopping": {"early_stopping_patience": 2, "lr_scheduler_type": "constant", "max_steps": 20},
    "AdaLoRA": {"method": "adalora", "max_steps": 10},
    "PiSSA, bf16": {"method": "pissa", "lora_dropout": 0.0, "precision": "bf16"},
    "LoRA+": {"method": "loraplus"},
    "prefix": {"method": "prefix", "virtual_tokens": 5},
    "P-tuning, bf16": {"method": "p_tuning", "virtual_tokens": 5, "precision": "bf16"},
    "no dev split": {"val_size": 0.0, "save_steps": 2},
}  # fmt: skip


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
def test_stopped_and_resumed_is_straight_through(tiny_llama: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Stopped by a signal after step 3, crashed in step 5 and again after its last save."""
    straight = train(tiny_settings(tiny_llama, tmp_path, "straight", **changes))
    with pytest.raises(Stopped) as stopped:
        train(tiny_settings(tiny_llama, tmp_path, "run", **changes), stopping_at(3))
    run = Run(tmp_path / "run")
    assert stopped.value.exit_code == 75
    assert "step 3" in stopped.value.problem and str(run.folder) in stopped.value.hint
    assert checkpoints(run.checkpoints)[0].step == 3
    with pytest.raises(Crash):
        resume(run.folder, crashing_at("step", 5))
    with pytest.raises(Crash):
        resume(run.folder, crashing_at("save", len(step_losses(straight))))
    resume(run.folder)
    assert outcome(run) == outcome(straight)
    assert not run.work.exists()


def test_stopped_after_every_single_step_is_straight_through(tiny_llama: Path, tmp_path: Path) -> None:
    straight = train(tiny_settings(tiny_llama, tmp_path, "straight"))
    run = Run(tmp_path / "run")
    for step in range(1, 9):
        with pytest.raises(Stopped):
            if step == 1:
                train(tiny_settings(tiny_llama, tmp_path), stopping_at(1))
            else:
                resume(run.folder, stopping_at(step))
        no_more_than(run, step)
    resume(run.folder)
    assert outcome(run) == outcome(straight)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tiny_llama: Path, tmp_path: Path) -> None:
    first, second, other = (
        outcome(train(tiny_settings(tiny_llama, tmp_path, name, seed=seed)))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == second
    assert first.weights != other.weights


def test_replies_are_resumed_to_the_same_bits_too(tiny_llama: Path, tmp_path: Path) -> None:
    data = tiny.tiny_instructions(tmp_path / "instructions.jsonl")
    shared: dict[str, Any] = {"data": data, "val_size": 0.4, "batch_size": 2, "max_new_tokens": 4}
    straight = train(tiny_settings(tiny_llama, tmp_path, "straight", **shared))
    with pytest.raises(Stopped):
        train(tiny_settings(tiny_llama, tmp_path, "run", **shared), stopping_at(5))
    assert outcome(resume(tmp_path / "run")) == outcome(straight)
    assert len(outcome(straight).evaluations) == 4


def test_one_dev_row_is_too_few_to_choose_by_and_the_last_checkpoint_is_taken(tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "dev.csv").write_text("text,label\nWin a prize today,spam\n")
    told: list[str] = []

    def listen(kind: str, facts: dict[str, Any]) -> None:
        told.extend([facts["message"]] if kind == "warning" else [])

    run = train(tiny_settings(tiny_llama, tmp_path, dev=tmp_path / "dev.csv"), listen)
    assert len(told) == 1 and "one dev row" in told[0]
    assert outcome(run).evaluations == []
    assert json.loads(outcome(run).state)["best"] == {"step": 8, "value": None, "waited": 0}


def test_every_step_and_evaluation_stands_once_in_the_log(tiny_llama: Path, tmp_path: Path) -> None:
    """Also those of which the log knew, and the checkpoint did not."""
    with pytest.raises(Crash):
        train(tiny_settings(tiny_llama, tmp_path), crashing_at("step", 5))
    run = Run(tmp_path / "run")
    assert checkpoints(run.checkpoints)[0].step == 3
    no_more_than(run, 5)
    with run.events.open("a") as file:
        file.write('{"kind": "step", "step": 6, "lo')  # torn
    resume(run.folder)
    no_more_than(run, 8)
    evaluations = [event["step"] for event in read_events(run.events) if event["kind"] == "evaluation"]
    assert evaluations == [2, 4, 6, 8]
    counted = Counter(event["kind"] for event in read_events(run.events))
    assert counted["end"] == 1


# --- on another day ---

DATED = (  # as Llama 3.2 writes the day into the system prompt
    "{{ '<|im_start|>system\nToday: ' + strftime_now('%d %b %Y') + '<|im_end|>\n' }}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Calendar(datetime):
    """The clock, which can be set."""

    today_is = datetime(2026, 11, 24, 9, 30)

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.today_is


@pytest.fixture
def dated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Changes of settings for a template that asks for the date."""
    monkeypatch.setattr(clock, "datetime", Calendar)
    monkeypatch.setattr(Calendar, "today_is", datetime(2026, 11, 24, 9, 30))
    (tmp_path / "dated.jinja").write_text(DATED, encoding="utf-8")
    return {"template": tmp_path / "dated.jinja"}


def test_on_another_day_a_run_goes_on_with_the_date_of_its_beginning(
    tiny_llama: Path, tmp_path: Path, dated: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(tiny_settings(tiny_llama, tmp_path, "straight", **dated))
    with pytest.raises(Stopped):
        train(tiny_settings(tiny_llama, tmp_path, **dated), stopping_at(3))
    monkeypatch.setattr(Calendar, "today_is", datetime(2026, 12, 31, 23, 59))
    run = resume(tmp_path / "run")
    assert outcome(run) == outcome(straight)
    assert json.loads(run.lineage.read_text())["moment"] == "2026-11-24T09:30:00"
    other = train(tiny_settings(tiny_llama, tmp_path, "other", **dated))
    assert outcome(other).losses != outcome(straight).losses


def test_a_result_is_asked_with_the_date_that_it_was_trained_with(
    tiny_llama: Path, tmp_path: Path, dated: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny_settings(tiny_llama, tmp_path, **dated))
    report = json.loads(run.report.read_text())
    monkeypatch.setattr(Calendar, "today_is", datetime(2027, 1, 1))
    scored = evaluate(make_settings({"model": str(run.folder)}))
    assert scored.report["after"]["scores"] == report["after"]["scores"]
    kept = open_codec(run.model)
    question = Message("user", "你好")
    assert "Today: 24 Nov 2026" in kept.template.render([question])
    tokens = AutoTokenizer.from_pretrained(run.model).apply_chat_template(
        [{"role": "user", "content": "你好"}], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert tokens == kept.encode_prompts([[question]])[0].tolist(), "served by others, too"


def test_a_template_that_asks_for_no_date_binds_a_run_to_none(tiny_llama: Path, tmp_path: Path) -> None:
    run = train(tiny_settings(tiny_llama, tmp_path))
    assert json.loads(run.lineage.read_text())["moment"] is None


# --- the ablation ---


@pytest.fixture(scope="module")
def halfway(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Outcome]]:
    """A run stopped after step 5 of 14, in its second epoch, best at 2, waited once; and its straight outcome."""
    folder = tmp_path_factory.mktemp("halfway")
    changes: dict[str, Any] = {"max_steps": 14, "early_stopping_patience": 3, "learning_rate": 1e-2}
    straight = outcome(train(tiny_settings(tiny_llama, folder, "straight", **changes)))
    with pytest.raises(Stopped):
        train(tiny_settings(tiny_llama, folder, "run", **changes), stopping_at(5))
    found = checkpoints(folder / "run" / "checkpoints")[0]
    assert found.state["place"] == {"step": 5, "epoch": 1, "within": 2}
    assert (found.state["best"]["step"], found.state["best"]["waited"]) == (2, 1)
    assert straight.losses[-1][0] == 8  # stopped early
    yield folder / "run", straight


@dataclass
class Saved:
    """A checkpoint's content, to be changed."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    place: dict[str, int]
    best: dict[str, Any]
    earlier: Checkpoint


def _zero(saved: Saved, part: str) -> None:
    saved.moments |= {name: moment * 0 for name, moment in saved.moments.items() if name.startswith(part)}


ABLATIONS: dict[str, Callable[[Saved], object]] = {
    "the optimizer's state": lambda saved: saved.moments.clear(),
    "AdamW's first moments": lambda saved: _zero(saved, "first/"),
    "AdamW's second moments": lambda saved: _zero(saved, "second/"),
    "AdamW's count of steps": lambda saved: _zero(saved, "steps/"),
    "the weights": lambda saved: saved.weights.update(saved.earlier.weights()),
    "the bits of the weights below bf16": lambda saved: saved.weights.update(
        {name: weight.bfloat16().float() for name, weight in saved.weights.items()}
    ),
    "the step": lambda saved: saved.place.update(step=0),
    "the epoch": lambda saved: saved.place.update(epoch=0),
    "the position in the data": lambda saved: saved.place.update(within=0),
    "the best step": lambda saved: saved.best.update(asdict(Best())),
    "the best score": lambda saved: saved.best.update(value=99.0),
    "how often was waited": lambda saved: saved.best.update(waited=0),
}


def _resumed_with(halfway: Path, copy: Path, change: Callable[[Saved], object]) -> Run:
    shutil.copytree(halfway, copy, ignore=shutil.ignore_patterns(".lock"))
    run = Run(copy)
    (run.folder / "given.yaml").write_text((halfway / "given.yaml").read_text())
    newest, earlier = checkpoints(run.checkpoints)[0], checkpoints(run.checkpoints)[-1]
    saved = Saved(newest.weights(), newest.moments(), dict(newest.state["place"]), dict(newest.state["best"]), earlier)
    change(saved)
    state = {"place": saved.place, "best": saved.best, "scored": newest.state["scored"]}
    save_checkpoint(run.checkpoints, newest.step, saved.weights, saved.moments, state)
    return resume(run.folder)


def test_a_checkpoint_written_again_as_it_was_changes_nothing(halfway: tuple[Path, Outcome], tmp_path: Path) -> None:
    """The control of the ablation."""
    run = _resumed_with(halfway[0], tmp_path / "run", lambda saved: None)
    assert outcome(run) == halfway[1]


@pytest.mark.parametrize("drop", ABLATIONS.values(), ids=ABLATIONS.keys())
def test_every_piece_of_the_state_is_needed(
    halfway: tuple[Path, Outcome], tmp_path: Path, drop: Callable[[Saved], object]
) -> None:
    changed, straight = outcome(_resumed_with(halfway[0], tmp_path / "run", drop)), halfway[1]
    assert (changed.weights, changed.result, changed.losses) != (straight.weights, straight.result, straight.losses)


def test_the_seed_of_dropout_is_needed(
    halfway: tuple[Path, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(seed: int, purpose: str, *indices: int) -> int:
        return seed_for(seed + (purpose == "dropout"), purpose, *indices)

    monkeypatch.setattr(exact, "seed_for", moved)
    changed, straight = outcome(_resumed_with(halfway[0], tmp_path / "run", lambda saved: None)), halfway[1]
    assert changed.weights != straight.weights


# --- what is refused ---


def _with_other_data(folder: Path) -> None:
    with (folder / "rows.csv").open("a", encoding="utf-8") as file:
        file.write("One more message,ham\n")


def _with_other_tokenizer(folder: Path) -> None:
    file = folder / "model" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def _with_other_base(folder: Path) -> None:
    shutil.rmtree(folder / "model")
    tiny.tiny_model("llama", folder / "model", seed=9)


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "run" / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    return edit


def _with_other_template(folder: Path) -> None:
    file = folder / "mine.jinja"
    file.write_text("Hello! " + file.read_text(encoding="utf-8"), encoding="utf-8")


RATE = _edit("given.yaml", "learning_rate: 0.01", "learning_rate: 0.02")
DECAY = _edit("settings.yaml", "weight_decay: 0.0", "weight_decay: 0.3")
ALPHA = _edit("settings.yaml", "lora_alpha: 8.0", "lora_alpha: 9.0")
CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "the data": ("data: ", _with_other_data),
    "the tokenizer": ("tokenizer: ", _with_other_tokenizer),
    "the base model": ("base: ", _with_other_base),
    "the file of the template": ("template: ", _with_other_template),
    "a setting that was given": ("learning_rate: 0.01 → 0.02", RATE),
    "a setting that was written out": ("weight_decay: 0.3 → 0.0", DECAY),
    "a setting that was derived": ("lora_alpha: 9.0 → 8.0", ALPHA),
}


@pytest.mark.parametrize(("named", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_what_has_changed_is_refused_by_name_and_nothing_is_touched(
    tmp_path: Path, named: str, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny.tiny_model("llama", tmp_path / "model")
    (tmp_path / "mine.jinja").write_text(tiny.CHAT_TEMPLATE, encoding="utf-8")
    with pytest.raises(Stopped):
        train(tiny_settings(model, tmp_path, template=tmp_path / "mine.jinja"), stopping_at(3))
    run = Run(tmp_path / "run")
    digests = json.loads(run.lineage.read_text())
    change(tmp_path)
    before = _files(run)
    assert main(["train", str(run.folder)]) == 2
    said = capsys.readouterr().err
    assert "has changed" in said and named in said and "→" in said
    field = named.split(":")[0]
    assert field not in digests or digests[field] in said  # the old one; the new one stands behind the arrow
    assert _files(run) == before


def _files(run: Run) -> dict[str, bytes]:
    """All but the lock and what is made anew each time."""
    found = [file for file in run.folder.rglob("*") if file.is_file() and run.work not in file.parents]
    return {str(file): file.read_bytes() for file in found if file.name != ".lock"}


def test_a_default_that_another_version_derives_differently_is_refused(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(tiny_llama, tmp_path)
    open_rate = settings.model_copy(update={"learning_rate": None})
    with pytest.raises(Stopped):
        train(open_rate, stopping_at(3))
    monkeypatch.setattr(defaults, "_learning_rate", lambda settings, facts: (7e-4, "a better idea"))
    with pytest.raises(SettingsError, match=r"learning_rate: [0-9.e-]+ → 0\.0007"):
        resume(tmp_path / "run")


def test_a_finished_run_is_not_resumed(tiny_llama: Path, tmp_path: Path) -> None:
    run = train(tiny_settings(tiny_llama, tmp_path))
    with pytest.raises(SettingsError, match="has finished") as caught:
        resume(run.folder)
    assert caught.value.exit_code == 2 and "report.html" in caught.value.hint


def test_a_new_run_never_writes_into_what_is_there(tiny_llama: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_llama, tmp_path)
    run = train(settings)
    with pytest.raises(SettingsError, match="is a run already") as caught:
        train(settings)
    assert f"weitiao train {run.folder}" in caught.value.hint
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        train(tiny_settings(tiny_llama, tmp_path, "mine"))
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_run_that_cannot_begin_leaves_nothing_behind(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        train(tiny_settings(tiny_llama, tmp_path, lora_rank=4000))
    assert not (tmp_path / "run").exists()


# --- one process ---


def _forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = int(work() or 0)  # type: ignore[call-overload]
        finally:
            os._exit(code)
    return pid


def _until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def _steps_logged(run: Run) -> int:
    return len(step_losses(run)) if run.events.exists() else 0


def _asleep_at(step: int) -> Listener:
    def listen(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == step:
            time.sleep(60)

    return listen


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_from_outside_finishes_the_step_and_saves(
    tiny_llama: Path, tmp_path: Path, number: int, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command line itself, in a process of its own."""
    settings = tiny_settings(tiny_llama, tmp_path, max_steps=3000, eval_steps=3000, save_steps=3000)
    run = Run(tmp_path / "run")
    arguments = [f"{name}={value}" for name, value in settings.model_dump(exclude_defaults=True).items()]
    pid = _forked(lambda: main(["train", *arguments]))
    _until(lambda: _steps_logged(run) >= 3)
    os.kill(pid, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    said = capfd.readouterr().err
    saved = checkpoints(run.checkpoints)[0].step
    no_more_than(run, saved)
    assert f"stopped after step {saved}, and saved" in said
    assert f"weitiao train {run.folder}" in said


def test_a_second_signal_ends_at_once(tiny_llama: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    pid = _forked(lambda: train(tiny_settings(tiny_llama, tmp_path), _asleep_at(4)))
    _until(lambda: _steps_logged(run) >= 4)
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.1)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)  # the first one waits for the step
    begun = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 75
    assert time.monotonic() - begun < 5
    resume(run.folder)
    assert outcome(run) == outcome(train(tiny_settings(tiny_llama, tmp_path, "straight")))


def test_a_second_process_on_a_run_is_refused_while_the_first_lives(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "run")
    pid = _forked(lambda: train(tiny_settings(tiny_llama, tmp_path), _asleep_at(4)))
    _until(lambda: _steps_logged(run) >= 4)
    events = run.events.read_bytes()
    assert main(["train", str(run.folder)]) == 2
    assert f"another process ({pid})" in capsys.readouterr().err
    assert run.events.read_bytes() == events
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert main(["train", str(run.folder)]) == 0  # the system has freed the lock
    no_more_than(run, 8)


def test_a_process_that_comes_second_never_deletes_what_the_first_has_begun(tiny_llama: Path, tmp_path: Path) -> None:
    """Both found the folder free; the first is still reading its data when the second learns that it is too late."""
    settings = tiny_settings(tiny_llama, tmp_path)
    with locked(Run(tmp_path / "run")), pytest.raises(SettingsError, match="another process"):
        train(settings)
    assert (tmp_path / "run" / ".lock").is_file()


@pytest.mark.parametrize("moment", ["data", "rows", "scoring"])
def test_killed_before_the_first_step_it_is_resumed_all_the_same(tiny_llama: Path, tmp_path: Path, moment: str) -> None:
    def die(kind: str, _: dict[str, Any]) -> None:
        if kind == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    run = Run(tmp_path / "run")
    assert in_child(lambda: train(tiny_settings(tiny_llama, tmp_path), die)) == -signal.SIGKILL
    assert is_run(run.folder)
    resume(run.folder)
    no_more_than(run, 8)
