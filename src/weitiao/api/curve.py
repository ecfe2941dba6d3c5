"""The learning curve of a comparison: the tuned and the small model at several numbers of rows, each part of the next.

Separate because it asks another question than the ladder: not which way is best, but what more labels would bring.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weitiao.api.arms import Arm
from weitiao.api.listener import Listener
from weitiao.api.outcomes import Draw, Outcome, Outcomes
from weitiao.api.preparation import divide, open_given
from weitiao.api.train import Known
from weitiao.api.trial import Trial
from weitiao.api.tuned_arms import RUNS, learned, small_draw, tuned_settings
from weitiao.data.partition import assigned
from weitiao.example import Example

_USUAL = (25, 50, 100, 200)
_AT_THE_END = 1_000_000  # steps; scoring dev more often would take longer than learning from so few rows
_LEAST = 16  # rows; fewer teach nothing that a test could show


@dataclass(frozen=True)
class Point:
    """The answers of one arm after learning from ``rows``."""

    arm: str
    rows: int
    draw: Draw


def curve_rows(trial: Trial) -> list[int]:
    """The numbers of rows, rising; the last is all there are. Empty where no curve is wanted or there are too few."""
    every, wanted = sum(trial.opened.partition.split_of == 0), trial.settings.curve
    if wanted == "off":
        return []
    if wanted != "auto":
        return [*sorted({int(part) for part in wanted.split(",") if int(part) < every}), int(every)]
    if every >= 2 * _USUAL[-1]:
        return [*_USUAL, int(every)]
    halves = sorted({int(every) >> step for step in range(5)})
    return halves if halves[0] >= _LEAST else [rows for rows in halves if rows >= _LEAST]


def curve_points(
    arms: list[Outcome], trial: Trial, outcomes: Outcomes, folder: Path, known: Known, listen: Listener
) -> list[Point]:
    """Every point of the first tuned and of the small arm; that of all rows is their arm's own. Raises Stopped."""
    tuned = next((one for one in arms if one.arm.family == "tuned"), None)
    small = next((one for one in arms if one.arm.name == "small"), None)
    sizes = curve_rows(trial)
    points = []
    for number, rows in enumerate(sizes, 1):
        listen("point", {"rows": rows, "number": number, "count": len(sizes)})
        whole = rows == sizes[-1]
        for one in filter(None, (small, tuned)):
            name = f"{one.arm.name}.{rows}"
            draw = one.draws[0] if whole else outcomes.find_draw("curve", name)
            if draw is None:
                draw = _draw(one.arm, name, rows, trial, folder, known, listen)
                outcomes.keep_draw("curve", draw)
            points.append(Point(one.arm.name, rows, draw))
    return points


def _draw(arm: Arm, name: str, rows: int, trial: Trial, folder: Path, known: Known, listen: Listener) -> Draw:
    if arm.family != "tuned":
        return small_draw(name, _fewer(rows, trial), trial)
    given = trial.settings
    few = {
        "max_train_samples": rows,
        "epochs": None if "epochs" in trial.reasons else given.epochs,
        "eval_steps": given.eval_steps or _AT_THE_END,
    }
    settings = tuned_settings(arm, given).model_copy(update=few)
    return learned(name, settings, folder / RUNS / f"{arm.name}-{rows}-rows", trial, known, listen)


def _fewer(rows: int, trial: Trial) -> tuple[Example, ...]:
    """The rows that a run with as many would learn from."""
    opened = divide(open_given(trial.settings), trial.settings.model_copy(update={"max_train_samples": rows}))
    learned_from = (row for row, split in assigned(opened.sources, opened.partition) if split == "train")
    return tuple(row for row in learned_from if isinstance(row, Example))
