"""What shapes a run's steps, and where training stands among them."""

from __future__ import annotations

from dataclasses import dataclass

from weitiao.training.optimizer import Rate


@dataclass(frozen=True, slots=True)
class Place:
    """Where training stands: after ``step`` steps in all, before step ``within`` of ``epoch``."""

    step: int = 0
    epoch: int = 0
    within: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """What shapes the steps. The last three change nothing but speed."""

    rows_per_step: int
    rate: Rate
    max_grad_norm: float
    seed: int
    capacity: int  # tokens of one forward pass
    packing: bool
    share_prefix: bool = True  # the off switch; a model with dropout never does
