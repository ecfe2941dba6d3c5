"""Which learning rate suits a run: three are tried for a few steps each, from the same start, and dev items choose.

Separate from the training that follows, which it leaves no trace in: what learns is put back to the bit. The trials go
through the same loop over the rows that the run begins with; the test split is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from weitiao.api.listener import Listener
from weitiao.api.session import Session
from weitiao.api.stopping import StopRequest
from weitiao.api.workload import TRIED_ITEMS, TRIED_RATES, tried_steps
from weitiao.errors import DataError, SettingsError
from weitiao.evaluation.ask import ask
from weitiao.evaluation.metrics import scores
from weitiao.evaluation.statistics import Score
from weitiao.training.loop import train
from weitiao.training.optimizer import Rate
from weitiao.training.pace import Pace, Place
from weitiao.words import t


@dataclass(frozen=True, slots=True)
class Tried:
    """One rate, and the dev loss that its few steps led to; None where the loss was no number any more."""

    rate: float
    loss: Score | None


def probe(session: Session, stop: StopRequest, listen: Listener) -> list[Tried]:
    """Try the rates, let the run take the best, and tell what each led to.

    Raises SettingsError without two dev items to choose by, and DataError where no rate leads to a number.
    """
    if len(session.dev) < 2:
        raise SettingsError(
            t("probe_learning_rate chooses by the dev split, which has fewer than two rows"),
            t("raise val_size, or give learning_rate and leave the probe out"),
        )
    start = {name: weight.clone() for name, weight in session.masters.weights.items()}
    rates = [min(session.pace.rate.peak * factor, 1.0) for factor in TRIED_RATES]
    tried = []
    try:
        for number, rate in enumerate(rates):
            stop.obey(t("stopped while learning rates were tried; nothing had begun"), t("start it again"))
            listen("trying", {"rate": rate, "done": number, "count": len(rates)})
            session.masters.begin_again(start)
            tried.append(_try(session, rate))
    finally:
        session.masters.begin_again(start)
    losses = {each.rate: each.loss.value for each in tried if each.loss}
    if not losses:
        raise DataError(
            t("of the learning rates {rates} none leads to a number", rates=", ".join(f"{rate:g}" for rate in rates)),
            t("lower learning_rate, or use precision: fp32"),
        )
    take(session, min(losses, key=losses.__getitem__))
    return tried


def take(session: Session, rate: float) -> None:
    """Let the run train at ``rate``, which was the best of those tried."""
    session.reasons["learning_rate"] = t(
        "the best of {count} that were tried for {steps} steps each, by the dev loss",
        count=len(TRIED_RATES),
        steps=tried_steps(session.pace),
    )
    session.settings = session.settings.model_copy(update={"learning_rate": rate})
    session.pace = replace(session.pace, rate=replace(session.pace.rate, peak=rate))


def _try(session: Session, peak: float) -> Tried:
    try:
        for _ in train(
            session.engine, session.rows, session.masters, _in_small(session.pace, peak), Place(), session.draw
        ):
            pass
    except DataError:  # a loss that is no number: too high a rate
        return Tried(peak, None)
    items = [(item.example, item.row) for item in session.dev[:TRIED_ITEMS]]
    answers = ask(session.engine, items, session.task, session.codec, session.cutoff_len)
    return Tried(peak, scores(answers, session.task.categories).get("loss"))


def _in_small(pace: Pace, peak: float) -> Pace:
    """The whole run's rise and fall of the rate, in a few steps."""
    steps, run = tried_steps(pace), pace.rate
    return replace(pace, rate=Rate(peak, steps, -(-run.warmup_steps * steps // run.steps), run.schedule))
