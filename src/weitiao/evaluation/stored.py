"""Answers as JSON and back, so that a resumed run need not ask its questions again."""

from __future__ import annotations

from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers


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
