"""The arms that learn: runs of their own inside the comparison, and the small models beside them.

Separate because what has learned is kept as a run or made again in seconds, whichever is less.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from weitiao.api.arms import Arm, encoder_at_hand
from weitiao.api.listener import Listener
from weitiao.api.outcomes import Draw, Outcome, Outcomes
from weitiao.api.train import Known, resume, train
from weitiao.api.trial import Trial
from weitiao.errors import DataError
from weitiao.evaluation.small_model import answers as small_answers
from weitiao.evaluation.small_model import small_model
from weitiao.evaluation.stored import given_from_json
from weitiao.example import Example
from weitiao.run import Run, is_run
from weitiao.settings import Settings
from weitiao.words import t

RUNS = "runs"


def tuned_outcome(arm: Arm, trial: Trial, outcomes: Outcomes, folder: Path, known: Known, listen: Listener) -> Outcome:
    """The model tuned by the arm's method, with each seed, on all rows of the train split."""
    draws = []
    for seed in range(trial.settings.tuned_seeds):
        name = str(seed + 1)
        draw = outcomes.find_draw(arm.name, name)
        if draw is None:
            settings = tuned_settings(arm, trial.settings, seed)
            run = folder / RUNS / (arm.name if seed == 0 else f"{arm.name}-seed-{seed + 1}")
            draw = outcomes.keep_draw(arm.name, learned(name, settings, run, trial, known, listen))
        draws.append(draw)
    return Outcome(arm, tuple(draws), {"method": arm.method, "seeds": len(draws)}, "seeds")


def tuned_settings(arm: Arm, settings: Settings, seed: int = 0) -> Settings:
    """Those of a run of ``arm``. Another seed orders and draws otherwise, and divides the rows in the same way."""
    split_seed = settings.seed if settings.split_seed is None else settings.split_seed
    return settings.model_copy(update={"method": arm.method, "seed": settings.seed + seed, "split_seed": split_seed})


def learned(name: str, settings: Settings, folder: Path, trial: Trial, known: Known, listen: Listener) -> Draw:
    """What a run in ``folder`` answers: one that has ended, one that goes on, or a new one."""
    run = Run(folder)
    if not run.finished():
        if is_run(folder):
            resume(folder, listen, known)
        else:
            train(settings.model_copy(update={"output_dir": str(folder)}), listen, known)
    stored = json.loads(run.answers.read_text(encoding="utf-8"))
    after = given_from_json(stored["after"])
    answers = after.to([example.id for example in trial.examples])
    if answers is None:
        raise DataError(
            t("{run} was not asked all items of the comparison", run=folder), t("delete the folder, and compare again")
        )
    cost = json.loads(run.report.read_text(encoding="utf-8"))["cost"]
    tokens = sum(len(item.row.tokens) for item in trial.items)
    relative = str(folder.relative_to(folder.parents[1]))
    return Draw(name, answers, after.seconds, tokens, _training_seconds(cost), relative)


def small_outcome(arm: Arm, trial: Trial) -> Outcome:
    """A model of word and letter counts, or of sentence vectors."""
    if arm.name == "embedding":
        encoder = encoder_at_hand(trial.settings)
        return Outcome(arm, (_embedded(encoder, trial),), {"encoder": encoder})
    return Outcome(arm, (small_draw("1", trial.train, trial),), {"rows": len(trial.train)})


def small_draw(name: str, train: tuple[Example, ...], trial: Trial) -> Draw:
    """The small model of ``train``."""
    began = time.monotonic()
    model = small_model(train, trial.task)
    fitted = time.monotonic()
    answers = small_answers(model, trial.examples, trial.task)
    return Draw(name, answers, round(time.monotonic() - fitted, 3), 0, round(fitted - began, 3))


def _embedded(encoder: str, trial: Trial) -> Draw:
    from weitiao.evaluation.embedding import embedding_answers

    found = embedding_answers(encoder, trial.train, trial.examples, trial.task)
    return Draw("1", found.answers, round(found.answer_seconds, 3), found.tokens, round(found.prepare_seconds, 3))


def _training_seconds(cost: dict[str, Any]) -> float:
    """Of the steps alone, those of all processes that the run had."""
    return round(cost["tokens"] / cost["tokens_per_second"], 2) if cost["tokens_per_second"] else 0.0
