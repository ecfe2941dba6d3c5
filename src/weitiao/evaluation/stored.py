"""Answers as JSON and back, so that a resumed run need not ask its questions again, nor a comparison a run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers, select


@dataclass(frozen=True)
class Given:
    """Answers to items that are named, and how long they took."""

    items: tuple[str, ...]  # ids of the examples
    answers: Answers
    seconds: float

    def to(self, items: Sequence[str]) -> Answers | None:
        """The answers to ``items``, in their order; None where one of them was not asked."""
        place = {item: number for number, item in enumerate(self.items)}
        if not all(item in place for item in items):
            return None
        return select(self.answers, np.array([place[item] for item in items], dtype=np.int64))


def given_json(given: Given) -> dict[str, Any]:
    """``given`` as JSON."""
    return {"items": list(given.items), "seconds": given.seconds, "answers": answers_json(given.answers)}


def given_from_json(stored: Mapping[str, Any]) -> Given:
    """Back from :func:`given_json`."""
    return Given(tuple(stored["items"]), answers_from_json(stored["answers"]), stored["seconds"])


def answers_json(answers: Answers) -> dict[str, Any]:
    """``answers`` as JSON; floats keep every bit."""
    return {
        "kind": answers.kind,
        "gold": list(answers.gold),
        "predicted": list(answers.predicted),
        "probabilities": None if answers.probabilities is None else answers.probabilities.tolist(),
        "loss_sum": answers.loss_sum.tolist(),
        "loss_count": answers.loss_count.tolist(),
        "byte_count": answers.byte_count.tolist(),
        "generated": answers.generated.tolist(),
        "hit_count": None if answers.hit_count is None else answers.hit_count.tolist(),
        "held": None if answers.held is None else answers.held.tolist(),
    }


def answers_from_json(stored: dict[str, Any]) -> Answers:
    """Back from :func:`answers_json`."""
    shares = stored["probabilities"]
    width = len(shares[0]) if shares else 0
    return Answers(
        kind=stored["kind"],
        gold=tuple(stored["gold"]),
        predicted=tuple(stored["predicted"]),
        probabilities=None if shares is None else np.array(shares, dtype=np.float64).reshape(len(shares), width),
        loss_sum=np.array(stored["loss_sum"], dtype=np.float64),
        loss_count=np.array(stored["loss_count"], dtype=np.int64),
        byte_count=np.array(stored["byte_count"], dtype=np.int64),
        generated=np.array(stored["generated"], dtype=np.bool_),
        hit_count=None if stored["hit_count"] is None else np.array(stored["hit_count"], dtype=np.int64),
        held=None if stored["held"] is None else np.array(stored["held"], dtype=np.bool_).reshape(len(shares), width),
    )
