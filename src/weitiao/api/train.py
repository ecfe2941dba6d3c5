"""``train``: from settings to a run folder with a tuned model and the evidence that it is better, or not.

The order is the promise: data are read and the mask is proved before the model is loaded; the untuned model answers the
test items before the first step; evaluations during training use dev items only, and dev chooses the best checkpoint;
the test items are answered once more, at the end.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from weitiao.api.reporting import Spent, publish
from weitiao.api.session import Listener, Session, build, lineage_of
from weitiao.api.stopping import StopRequest
from weitiao.errors import SettingsError
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.ask import ask
from weitiao.evaluation.metrics import scores
from weitiao.evaluation.stored import answers_from_json, answers_json
from weitiao.lineage import Lineage, differences
from weitiao.methods import save_result
from weitiao.models.anatomy import plain
from weitiao.run import Events, Run, is_run, locked, new_run_folder, rewind_events, write_whole
from weitiao.settings import Settings, parse_settings, settings_yaml
from weitiao.training import machine
from weitiao.training.checkpoint import Checkpoint, checkpoints, damaged_checkpoints, prune, save_checkpoint
from weitiao.training.loop import Place, Step
from weitiao.training.loop import train as train_steps
from weitiao.words import t

_LOWER_IS_BETTER = ("loss", "perplexity", "bits_per_byte", "ece", "brier")


@dataclass(frozen=True, slots=True)
class Best:
    """The best dev score so far, and how many evaluations have passed since."""

    step: int = 0
    value: float | None = None
    waited: int = 0


def train(settings: Settings, listen: Listener = lambda kind, facts: None) -> Run:
    """Tune as ``settings`` say, into a new run folder. Raises Stopped when asked to stop; the run can be resumed."""
    run = Run(_new_folder(settings))
    try:
        with locked(run), StopRequest() as stop:
            return _run(run, settings, listen, stop)
    except BaseException:
        if not run.lineage.is_file():  # nothing has begun: leave nothing half-written
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


def resume(folder: Path, listen: Listener = lambda kind, facts: None) -> Run:
    """Go on with an unfinished run from its last whole checkpoint, to the same bits as without the interruption.

    Raises SettingsError when the data, the settings, the tokenizer or the base have changed since.
    """
    run = Run(folder)
    if run.finished():
        raise SettingsError(t("{run} has finished", run=folder), t("see {report}", report=run.folder / "report.html"))
    with locked(run), StopRequest() as stop:
        return _run(run, parse_settings([str(run.given)]).settings, listen, stop)


def _new_folder(settings: Settings) -> Path:
    if settings.output_dir is None:
        data = Path(settings.data).stem if Path(settings.data).exists() else settings.data
        return new_run_folder(Path("runs"), f"{date.today().isoformat()}-{data}-{settings.method}")
    folder = Path(settings.output_dir)
    if is_run(folder):
        raise SettingsError(
            t("output_dir {folder} is a run already", folder=folder),
            t("resume it with: weitiao train {folder}, or name another output_dir", folder=folder),
        )
    if folder.is_dir() and any(entry.name != ".lock" for entry in folder.iterdir()):
        raise SettingsError(
            t("output_dir {folder} is not empty", folder=folder), t("name a new folder; nothing is overwritten")
        )
    return folder


def _run(run: Run, settings: Settings, listen: Listener, stop: StopRequest) -> Run:
    started = time.monotonic()
    run.work.mkdir(parents=True, exist_ok=True)
    session = build(settings, run.work, run.ledger, listen)
    lineage = lineage_of(session, settings)
    checkpoint = _settle(run, session, settings, lineage, listen)
    machine.check_disk(run.folder, _disk_needed(session))
    events = Events(run.events)

    def tell(kind: str, **facts: Any) -> None:
        events.add(kind, **facts)
        listen(kind, facts)

    try:
        tell("plan", **asdict(session.planned), steps=session.pace.rate.steps)
        before = _answers_before(run, session, stop, listen)
        best = _train(run, session, checkpoint, stop, tell)
        after = _finish(run, session, best, stop, listen)
        spent = Spent(run, time.monotonic() - started)
        publish(run, session, lineage, before, after, best.step, spent)
        tell("end", seconds=spent.seconds, best_step=best.step)
    finally:
        events.close()
    return run


def _settle(run: Run, session: Session, given: Settings, lineage: Lineage, listen: Listener) -> Checkpoint | None:
    """Write down what the run is made of, or check that it is still made of the same; the checkpoint to go on from."""
    if run.lineage.is_file():
        changed = differences(Lineage.from_json(json.loads(run.lineage.read_text(encoding="utf-8"))), lineage)
        if changed:
            shown = "; ".join(f"{name}: {old} → {new}" for name, old, new in changed)
            raise SettingsError(
                t("{run} cannot be resumed, something has changed: {changes}", run=run.folder, changes=shown),
                t("put it back, or start a new run; only the same inputs give the same bits"),
            )
        for damaged in damaged_checkpoints(run.checkpoints):
            listen(
                "warning", {"message": t("checkpoint {name} is not whole; an earlier one is used", name=damaged.name)}
            )
        whole = checkpoints(run.checkpoints)
        checkpoint = whole[0] if whole else None
        rewind_events(run.events, checkpoint.step if checkpoint else 0)
        listen("resume", {"step": checkpoint.step if checkpoint else 0})
        return checkpoint
    write_whole(run.given, settings_yaml(given, {}))
    write_whole(run.settings, settings_yaml(session.settings, session.reasons))
    write_whole(run.lineage, json.dumps(lineage.json(), indent=1))
    return None


def _disk_needed(session: Session) -> int:
    """Checkpoints that may exist at once, and the result: float32 weights, and twice that for the optimizer."""
    trained = sum(weight.numel() for weight in session.masters.weights.values()) * 4
    copies = session.settings.save_total_limit + 2  # the best one, and one that is being written
    return trained * 3 * copies + trained + (100 << 20)


def _answers_before(run: Run, session: Session, stop: StopRequest, listen: Listener) -> Answers:
    """The untuned model's answers to the test items; kept, so that a resumed run does not ask again."""
    kept = run.work / "before.json"
    if kept.is_file():
        return answers_from_json(json.loads(kept.read_text(encoding="utf-8")))
    answers = _ask_test(run, session, "before", stop, listen)
    write_whole(kept, json.dumps(answers_json(answers)))
    return answers


def _ask_test(run: Run, session: Session, when: str, stop: StopRequest, listen: Listener) -> Answers:
    def progress(done: int, count: int) -> None:
        stop.obey(t("stopped while the test items were answered"), _how_to_resume(run))
        listen("scoring", {"when": when, "done": done, "count": count})

    return ask(
        session.model,
        [(item.example, item.row) for item in session.test],
        session.task,
        session.codec,
        session.cutoff_len,
        session.settings.generate_max_samples or 0,
        session.settings.max_new_tokens,
        progress,
    )


def _train(
    run: Run, session: Session, checkpoint: Checkpoint | None, stop: StopRequest, tell: Callable[..., None]
) -> Best:
    place, best = Place(), Best()
    if checkpoint is not None:
        place = Place(**checkpoint.state["place"])
        best = Best(**checkpoint.state["best"])
        session.masters.load_weights(checkpoint.weights())
        session.masters.load_moments(checkpoint.moments())
    patience = session.settings.early_stopping_patience or 0
    if best.waited >= patience > 0:
        return best
    clock = time.monotonic()
    for step in train_steps(session.model, session.rows, session.masters, session.pace, place):
        number, last = step.place.step, step.place.step == session.pace.rate.steps
        now = time.monotonic()
        tell("step", **_facts(step), seconds=round(now - clock, 4))
        clock = now
        scored = number % (session.settings.eval_steps or number) == 0 or last
        if scored:
            best = _evaluate(session, step, best, tell)
        tired = best.waited >= patience > 0
        ending = last or tired or stop.signal is not None
        if ending or (scored and best.step == number) or number % (session.settings.save_steps or number) == 0:
            _save(run, session, step.place, best, tell)
        stop.obey(t("stopped after step {step}, and saved", step=number), _how_to_resume(run))
        if tired and not last:
            tell("early_stop", step=number, best_step=best.step)
            break
        clock = time.monotonic()
    return best


def _how_to_resume(run: Run) -> str:
    return t("go on with: weitiao train {run}", run=run.folder)


def _facts(step: Step) -> dict[str, Any]:
    return {
        "step": step.place.step,
        "epoch": step.place.epoch,
        "loss": round(step.loss, 6),
        "targets": step.targets,
        "tokens": step.tokens,
        "learning_rate": step.learning_rate,
        "gradient_norm": round(step.gradient_norm, 6),
    }


def _evaluate(session: Session, step: Step, best: Best, tell: Callable[..., None]) -> Best:
    """Score the dev split. Without dev items the newest checkpoint is the best."""
    number = step.place.step
    if not session.dev:
        return Best(number, None, 0)
    items = [(item.example, item.row) for item in session.dev]
    answers = ask(session.model, items, session.task, session.codec, session.cutoff_len)
    found = {name: score.value for name, score in scores(answers, session.task.categories).items()}
    metric = session.settings.metric_for_best_model or ""
    if metric not in found:
        raise SettingsError(
            t("metric_for_best_model {metric} is not defined on the dev split", metric=metric),
            t("defined are: {names}", names=", ".join(found)),
        )
    value = found[metric]
    better = best.value is None or (value < best.value if metric in _LOWER_IS_BETTER else value > best.value)
    tie_broken = value == best.value and metric not in _LOWER_IS_BETTER  # later is trained longer
    tell("evaluation", step=number, scores=found, best=better or tie_broken)
    if better or tie_broken:
        return Best(number, value, 0)
    return replace(best, waited=best.waited + 1)


def _save(run: Run, session: Session, place: Place, best: Best, tell: Callable[..., None]) -> None:
    state = {"place": asdict(place), "best": asdict(best)}
    save_checkpoint(run.checkpoints, place.step, session.masters.weights, session.masters.moments(), state)
    prune(run.checkpoints, session.settings.save_total_limit, best.step)
    tell("save", step=place.step)


def _finish(run: Run, session: Session, best: Best, stop: StopRequest, listen: Listener) -> Answers:
    """Take the best checkpoint's weights, answer the test items with them, and write the result."""
    chosen = next(found for found in checkpoints(run.checkpoints) if found.step == best.step)
    session.masters.load_weights(chosen.weights())
    after = _ask_test(run, session, "after", stop, listen)
    tokenizer, model = session.loaded.tokenizer, session.model
    tokenizer.chat_template = session.codec.template.source
    plain(model).generation_config.eos_token_id = sorted(session.codec.stop_ids) or None
    dtype = machine.dtype_of(session.settings.precision)
    save_result(model, tokenizer, run.model, session.masters.weights, session.source.folder, dtype)
    return after
