"""``plan``: what a run would take, from the very rows and model that it would use, without a step."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from weitiao.api.listener import Listener
from weitiao.api.session import build
from weitiao.models.anatomy import parameter_count
from weitiao.settings import Settings
from weitiao.training.plan import Estimate


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would be and take."""

    settings: Settings  # nothing left open
    reasons: dict[str, str]
    estimate: Estimate
    steps: int
    rows_per_step: int
    train_rows: int
    train_tokens: int  # of one epoch
    parameters: int
    trained: int
    ledger: dict[str, int]


def plan(settings: Settings, listen: Listener = lambda kind, facts: None) -> Plan:
    """Read the data and the model, decide every setting, and estimate. Nothing is left behind."""
    with tempfile.TemporaryDirectory(prefix="weitiao-plan-") as work:
        session = build(settings, Path(work), None, listen)
        return Plan(
            settings=session.settings,
            reasons=session.reasons,
            estimate=session.planned,
            steps=session.pace.rate.steps,
            rows_per_step=session.pace.rows_per_step,
            train_rows=len(session.rows),
            train_tokens=session.prepared.train_tokens,
            parameters=parameter_count(session.loaded.model),
            trained=sum(weight.numel() for weight in session.masters.weights.values()),
            ledger=session.ledger.counts(),
        )
