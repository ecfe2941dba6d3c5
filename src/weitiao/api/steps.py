"""The steps of a run, and what happens between two: dev is scored, the best is kept, all is saved, a stop is obeyed.

Separate from the run around them because this is where "stopped and gone on with" must end in the same bits: a stop may
come at any moment, in the middle of scoring too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from weitiao.api.session import Session
from weitiao.api.stopping import StopRequest, how_to_resume
from weitiao.errors import DataError, SettingsError, Stopped
from weitiao.evaluation.ask import ask
from weitiao.evaluation.metrics import scores
from weitiao.evaluation.stored import Given, given_json
from weitiao.run import Events, Run, write_whole
from weitiao.training.checkpoint import Checkpoint, prune, save_checkpoint
from weitiao.training.loop import Step, train
from weitiao.training.pace import Place
from weitiao.words import t

_LOWER_IS_BETTER = ("loss", "perplexity", "bits_per_byte", "ece", "brier")
_SOURCES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Best:
    """The best dev score so far, and how many evaluations have passed since."""

    step: int = 0
    value: float | None = None
    waited: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """What the steps of a run need: where they are written down, what they are made with, and who may stop them."""

    run: Run
    session: Session
    stop: StopRequest
    events: Events


def take_steps(course: Course, checkpoint: Checkpoint | None) -> Best:
    """Every step from ``checkpoint`` on. Raises Stopped, with all saved, and DataError for a loss that is no number."""
    session = course.session
    place, best, scored = Place(), Best(), True
    if checkpoint is not None:
        place, best = Place(**checkpoint.state["place"]), Best(**checkpoint.state["best"])
        scored = checkpoint.state["scored"]
        session.masters.load_weights(checkpoint.weights())
        session.masters.load_moments(checkpoint.moments())
    if not scored:
        best = _after_step(course, place, best)
    if _tired(session, best):
        return best
    started = time.monotonic()
    for step in _steps(course, place):
        course.events.add("step", **_facts(step), seconds=round(time.monotonic() - started, 4))
        best = _after_step(course, step.place, best)
        if _tired(session, best):
            break
        started = time.monotonic()
    return best


def _steps(course: Course, place: Place) -> Iterator[Step]:
    session = course.session
    try:
        yield from train(session.engine, session.rows, session.masters, session.pace, place, session.draw)
    except DataError as error:
        bad = [int(session.rows.examples[number]) for number in error.rows[:_SOURCES_SHOWN]]
        sources = sources_of(course.run.ledger, bad)
        if not sources:
            raise
        more = "…" if len(error.rows) > _SOURCES_SHOWN else ""
        raise DataError(f"{error.problem}: {', '.join(sources)}{more}", error.hint, error.rows) from error


def sources_of(ledger: Path, rows: Sequence[int]) -> list[str]:
    """Where in the user's files these examples of the train split stand, in the order of ``rows``: ``sms.csv:118``."""
    wanted, found, number = set(rows), dict[int, str](), 0
    if not wanted or not ledger.is_file():
        return []
    with ledger.open(encoding="utf-8") as file:
        for line in file:
            if '"split": "train"' not in line:  # most others need no parsing
                continue
            entry = json.loads(line)
            if entry.get("split") != "train" or entry["outcome"] == "dropped":
                continue
            if number in wanted:
                found[number] = entry["source"]
                if len(found) == len(wanted):
                    break
            number += 1
    return [found[row] for row in rows if row in found]


def _after_step(course: Course, place: Place, best: Best) -> Best:
    """Score, save and stop as is due after the step that led to ``place``."""
    settings, stop, step = course.session.settings, course.stop, place.step
    last = step == course.session.pace.rate.steps
    scored = step % (settings.eval_steps or step) == 0 or last
    if scored:
        try:
            best = _evaluated(course, step, best)
        except Stopped:
            _save(course, place, best, scored=False)
            raise
    stopping = stop.signal is not None  # looked at once: what comes later is obeyed after the next step
    due = step % (settings.save_steps or step) == 0 or (scored and best.step == step)
    tired = _tired(course.session, best)
    if due or last or tired or stopping:
        _save(course, place, best, scored=True)
    if stopping:
        _obey(course, step)
    if tired and not last:
        course.events.add("early_stop", step=step, best_step=best.step)
    return best


def _tired(session: Session, best: Best) -> bool:
    patience = session.settings.early_stopping_patience or 0
    return best.waited >= patience > 0


def _obey(course: Course, step: int) -> None:
    course.stop.obey(t("stopped after step {step}, and saved", step=step), how_to_resume(course.run))


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


def _evaluated(course: Course, step: int, best: Best) -> Best:
    """Score the dev split. Where that holds no two items, of which no score can be had, the newest is the best.

    Raises Stopped when asked to stop meanwhile; nothing is saved then.
    """
    session = course.session
    if len(session.dev) < 2:
        return Best(step, None, 0)
    _obey(course, step)
    items = [(item.example, item.row) for item in session.dev]
    began = time.monotonic()
    answers = ask(
        session.engine,
        items,
        session.task,
        session.codec,
        session.cutoff_len,
        on_progress=lambda done, count: _obey(course, step) if done < count else None,
    )
    found = scores(answers, session.task.categories)
    metric = session.settings.metric_for_best_model or ""
    if metric not in found:
        raise SettingsError(
            t("metric_for_best_model {metric} is not defined on the dev split", metric=metric),
            t("defined are: {names}", names=", ".join(found)),
        )
    value = found[metric].value
    better = best.value is None or (value < best.value if metric in _LOWER_IS_BETTER else value > best.value)
    tie_broken = value == best.value and metric not in _LOWER_IS_BETTER  # later is trained longer
    course.events.add(
        "evaluation",
        step=step,
        scores={name: score.json() for name, score in found.items()},
        best=better or tie_broken,
    )
    if better or tie_broken:  # before its checkpoint: a run that was killed in between scores the step again
        given = Given(tuple(example.id for example, _ in items), answers, round(time.monotonic() - began, 2))
        write_whole(course.run.best_on_dev, json.dumps(given_json(given)))
    waited = 0 if better else best.waited + 1  # a tie is no improvement
    return Best(step, value, waited) if better or tie_broken else replace(best, waited=waited)


def _save(course: Course, place: Place, best: Best, scored: bool) -> None:
    """A checkpoint. One that is not ``scored`` is to be scored first when the run goes on."""
    session, folder = course.session, course.run.checkpoints
    folder.mkdir(exist_ok=True)
    course.events.force()  # first: a checkpoint that outlives a power failure finds its steps in the log
    state = {"place": asdict(place), "best": asdict(best), "scored": scored}
    save_checkpoint(folder, place.step, session.masters.weights, session.masters.moments(), state)
    prune(folder, session.settings.save_total_limit, best.step)
    course.events.add("save", step=place.step)
