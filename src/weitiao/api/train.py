"""``train``: from settings to a run folder with a tuned model and the evidence that it is better, or not.

The order is the promise: data are read and the mask is proved before the model is loaded; the untuned model answers the
test items before the first step; evaluations during training use dev items only, and dev chooses the best checkpoint;
the test items are answered once more, at the end.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import chdir
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from peft import PeftModel

from weitiao.api.begun_in import begun_in
from weitiao.api.listener import Listener
from weitiao.api.probe import probe, take
from weitiao.api.reporting import Judged, Spent, publish
from weitiao.api.session import Session, build, lineage_of
from weitiao.api.side_effects import NOTHING, answered_beside, beside, side_effects_json
from weitiao.api.steps import Best, Course, take_steps
from weitiao.api.stopping import StopRequest, how_to_resume
from weitiao.api.task_file import TrainedTask, write_task
from weitiao.codec import clock
from weitiao.errors import MachineError, SettingsError
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.ask import ask
from weitiao.evaluation.commonest import commonest_answers, nothing_marked
from weitiao.evaluation.marked import gold_json, in_words
from weitiao.evaluation.stored import Given, given_from_json, given_json
from weitiao.example import names_of
from weitiao.lineage import Lineage, differences, digest_json
from weitiao.methods import save_result
from weitiao.models.anatomy import parameter_count, plain
from weitiao.models.whole_folder import force
from weitiao.objectives.mark import gold_spans
from weitiao.run import Events, Run, check_unused, is_run, locked, named_by_data, rewind_events, write_whole
from weitiao.settings import Settings, parse_settings, settings_yaml
from weitiao.training import machine
from weitiao.training.activation_files import existing
from weitiao.training.checkpoint import Checkpoint, checkpoints, damaged_checkpoints, discard_after
from weitiao.words import t

_SHOWN_ANSWERS = 4


@dataclass(frozen=True)
class Known:
    """What need not be asked: what the untuned model has answered already, and, when not ``beside``, side effects."""

    before: Given | None = None
    beside: bool = True


NOTHING_KNOWN = Known()


def train(settings: Settings, listen: Listener = lambda kind, facts: None, known: Known = NOTHING_KNOWN) -> Run:
    """Tune as ``settings`` say, into a new run folder. Raises Stopped when asked to stop; the run can be resumed."""
    run = Run(_new_folder(settings))
    with locked(run), StopRequest() as stop:
        try:
            write_whole(run.given, settings_yaml(settings, {}))  # first, so that a run killed while loading can go on
            return _run(run, settings, listen, stop, known)
        except BaseException:
            if not run.lineage.is_file():  # nothing has begun: leave nothing half-written
                shutil.rmtree(run.folder, ignore_errors=True)
            raise


def resume(folder: Path, listen: Listener = lambda kind, facts: None, known: Known = NOTHING_KNOWN) -> Run:
    """Go on with an unfinished run from its last whole checkpoint, to the same bits as without the interruption.

    Raises SettingsError when the data, the settings, the tokenizer or the base have changed since.
    """
    run = Run(folder.absolute())
    if run.finished():
        raise SettingsError(t("{run} has finished", run=folder), t("see {report}", report=run.folder / "report.html"))
    given = parse_settings([str(run.given)]).settings
    with locked(run), StopRequest() as stop, chdir(begun_in(run, given)):  # where its relative paths lead
        _run(run, given, listen, stop, known)
    return Run(folder)


def _new_folder(settings: Settings) -> Path:
    if settings.output_dir is None:
        return named_by_data("runs", settings.data, f"-{settings.method}")
    folder = Path(settings.output_dir)
    if is_run(folder):
        raise SettingsError(
            t("output_dir {folder} is a run already", folder=folder),
            t("resume it with: weitiao train {folder}, or name another output_dir", folder=folder),
        )
    check_unused(folder)
    return folder


def _run(run: Run, settings: Settings, listen: Listener, stop: StopRequest, already: Known) -> Run:
    started = time.monotonic()
    run.work.mkdir(parents=True, exist_ok=True)
    known = _known_lineage(run)  # then its ledger is written, and stays as it is where resuming is refused
    moment = datetime.fromisoformat(known.moment) if known and known.moment else None
    decided = parse_settings([str(run.settings)]).settings if known else None
    if decided:  # the disk may be fuller by now, and the bits are another's
        settings = settings.model_copy(update={"keep_activations": decided.keep_activations})
    with clock.fixed_at(moment):  # on another day, too, a template writes the date on which the run began
        session = build(settings, run.work, None if known else run.ledger, listen)
    probed = _probed(run, session, decided, stop, listen)
    lineage = _lineage(session)
    checkpoint = _settle(run, session, known, lineage, listen)
    _check_disk(run, session)
    events = Events(run.events, listen)
    try:
        if probed:
            events.add("probe", **probed)
        events.add("plan", **asdict(session.planned), steps=session.pace.rate.steps, engine=session.engine.name)
        if len(session.dev) == 1:
            events.add("warning", message=t("one dev row is too few to choose by: the last checkpoint is taken"))
        before = _answers_before(run, session, already.before, stop, listen)
        asked = beside(session) if already.beside else NOTHING
        beside_before = answered_beside(session, asked, run.work / "beside-before.json")
        if not session.new_head:
            listen("untuned", {"answers": _first_answers(session, before.answers)})
        best = take_steps(Course(run, session, stop, events), checkpoint)
        after = _finish(run, session, best, stop, listen)
        changed = side_effects_json(
            asked, beside_before, answered_beside(session, asked, run.work / "beside-after.json")
        )
        spent = Spent(run, time.monotonic() - started)
        dev = json.loads(run.best_on_dev.read_text(encoding="utf-8")) if run.best_on_dev.is_file() else None
        stored = {"before": given_json(before), "after": given_json(after), "dev": dev}
        write_whole(run.answers, json.dumps(stored))
        publish(run, session, lineage, Judged(before.answers, after.answers, best.step, changed), spent)
        events.add("end", seconds=spent.seconds, best_step=best.step)
        events.force()
        shutil.rmtree(run.work, ignore_errors=True)
    finally:
        events.close()
    return run


def _known_lineage(run: Run) -> Lineage | None:
    """What the run is made of; None before it has begun."""
    if not run.lineage.is_file():
        return None
    return Lineage.from_json(json.loads(run.lineage.read_text(encoding="utf-8")))


def _probed(
    run: Run, session: Session, decided: Settings | None, stop: StopRequest, listen: Listener
) -> dict[str, Any] | None:
    """Let the run take the learning rate that a probe finds, once: what it found; of a run that goes on, nothing."""
    if not session.settings.probe_learning_rate:
        return None
    if decided:
        take(session, decided.learning_rate or 0.0)
        return None
    _check_disk(run, session)
    started = time.monotonic()
    tried = [asdict(each) for each in probe(session, stop, listen)]
    seconds = round(time.monotonic() - started, 2)
    return {"tried": tried, "taken": session.pace.rate.peak, "seconds": seconds}


def _lineage(session: Session) -> Lineage:
    template = session.codec.template
    moment = template.moment.isoformat() if template.dated else None
    return replace(lineage_of(session), template=digest_json(template.source), moment=moment)


def _settle(run: Run, session: Session, known: Lineage | None, lineage: Lineage, listen: Listener) -> Checkpoint | None:
    """Write down what the run is made of, or check that it is still made of the same; the checkpoint to go on from."""
    if known is not None:
        _check_unchanged(run, session, known, lineage)
        checkpoint = _last_consistent(run, listen)
        step = checkpoint.step if checkpoint else 0
        discard_after(run.checkpoints, step)
        rewind_events(run.events, step, scored=checkpoint is None or checkpoint.state["scored"])
        listen("resume", {"step": step})
        return checkpoint
    write_whole(run.settings, settings_yaml(session.settings, session.reasons))
    precision, template = session.settings.precision, session.codec.template_name
    write_task(run, TrainedTask(session.task, session.cutoff_len, precision, template))
    force(run.ledger)  # it is not written again
    write_whole(run.lineage, json.dumps(lineage.json(), indent=1))  # last: from here on the run has begun
    return None


def _check_unchanged(run: Run, session: Session, known: Lineage, lineage: Lineage) -> None:
    """Raise SettingsError that names what has changed since the run began, both digests and both values."""
    changed = differences(known, lineage)
    old = parse_settings([str(run.settings)]).settings.model_dump()
    new = session.settings.model_dump()
    changed += [(name, old[name], new[name]) for name in new if old[name] != new[name]]
    if changed:
        shown = "; ".join(f"{name}: {before} → {after}" for name, before, after in changed)
        raise SettingsError(
            t("{run} cannot be resumed, something has changed: {changes}", run=run.folder, changes=shown),
            t("put it back, or start a new run; only the same inputs give the same bits"),
        )


def _last_consistent(run: Run, listen: Listener) -> Checkpoint | None:
    """The newest whole checkpoint whose best one is whole too; without its best it could not end in the same bits."""
    for damaged in damaged_checkpoints(run.checkpoints):
        listen("warning", {"message": t("checkpoint {name} is not whole; an earlier one is used", name=damaged.name)})
    whole = checkpoints(run.checkpoints)
    steps = {0, *(found.step for found in whole)}
    return next((found for found in whole if found.state["best"]["step"] in steps), None)


def _check_disk(run: Run, session: Session) -> None:
    """Raise MachineError when the run's disk, or that of the kept activations, cannot hold what will be written."""
    needed, kept = _disk_needed(session) - _bytes_in(run.checkpoints), session.keeping.missing_bytes
    folder = existing(session.keeping.where or run.folder)
    if folder.stat().st_dev == run.folder.stat().st_dev:
        machine.check_disk(run.folder, needed + kept)
    else:
        machine.check_disk(run.folder, needed)
        machine.check_disk(folder, kept)


def _disk_needed(session: Session) -> int:
    """Checkpoints that may exist at once (float32 weights, and twice that for the optimizer), and the result."""
    trained = sum(weight.numel() for weight in session.masters.weights.values()) * 4
    each = 5 if session.settings.method == "adalora" else 3  # weights, moments, and what AdaLoRA weighs
    copies = session.settings.save_total_limit + 2  # the best one, and one that is being written
    whole = parameter_count(session.model) * machine.dtype_of(session.settings.precision).itemsize
    result = 2 * trained if isinstance(session.model, PeftModel) else whole
    return trained * each * copies + result + (100 << 20)


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _answers_before(run: Run, session: Session, known: Given | None, stop: StopRequest, listen: Listener) -> Given:
    """The untuned model's answers to the test items; kept, so that a resumed run does not ask again.

    A head that was just drawn answers by chance: in its place stand the answers that need no model.
    """
    items = tuple(item.example.id for item in session.test)
    if session.new_head:
        return Given(items, _without_a_model(session), 0.0)
    kept = run.work / "before.json"
    if kept.is_file():
        return given_from_json(json.loads(kept.read_text(encoding="utf-8")))
    found = known.to(items) if known else None
    given = Given(items, found, known.seconds) if known and found else _ask_test(run, session, "before", stop, listen)
    write_whole(kept, json.dumps(given_json(given)))
    return given


def _without_a_model(session: Session) -> Answers:
    if session.task.kind == "mark":
        return nothing_marked([gold_json(gold_spans(item.example), item.example.text) for item in session.test])
    gold = [names_of(item.example.label) for item in session.test]
    return commonest_answers(gold, session.task, session.prepared.counts["train"], session.prepared.train_rows)


def _first_answers(session: Session, before: Answers) -> list[dict[str, str]]:
    """What the model said to the first test items, for a person to see."""
    said = zip(session.test[:_SHOWN_ANSWERS], before.predicted, before.gold, strict=False)
    read = in_words if session.task.kind == "mark" else str
    return [
        {"text": item.example.text, "answer": read(answer), "wanted": read(gold)}
        for item, answer, gold in said
        if answer
    ]


def _ask_test(run: Run, session: Session, when: str, stop: StopRequest, listen: Listener) -> Given:
    began = time.monotonic()

    def progress(done: int, count: int) -> None:
        stop.obey(t("stopped while the test items were answered"), how_to_resume(run))
        listen("scoring", {"when": when, "done": done, "count": count})

    answers = ask(
        session.engine,
        [(item.example, item.row) for item in session.test],
        session.task,
        session.codec,
        session.cutoff_len,
        session.settings.generate_max_samples or 0,
        session.settings.max_new_tokens,
        progress,
    )
    return Given(tuple(item.example.id for item in session.test), answers, round(time.monotonic() - began, 2))


def _finish(run: Run, session: Session, best: Best, stop: StopRequest, listen: Listener) -> Given:
    """Take the best checkpoint's weights, answer the test items with them, and write the result."""
    chosen = next((found for found in checkpoints(run.checkpoints) if found.step == best.step), None)
    if chosen is None:
        raise MachineError(t("the best checkpoint, of step {step}, is not whole", step=best.step), how_to_resume(run))
    session.masters.load_weights(chosen.weights())
    after = _ask_test(run, session, "after", stop, listen)
    tokenizer, model = session.loaded.tokenizer, session.model
    tokenizer.chat_template = session.codec.template.source
    if plain(model).can_generate():
        plain(model).generation_config.eos_token_id = sorted(session.codec.stop_ids) or None
    dtype = machine.dtype_of(session.settings.precision)
    save_result(model, tokenizer, run.model, session.masters.weights, session.source.folder, dtype)
    return after
