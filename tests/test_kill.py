"""Fifty kills at random instants, resumed until each run has finished: the same bits as a run that nobody touched.

Children are forked from this warmed process, else they would die while importing and never progress. Their time to
live is drawn in processor time, so that a busy machine changes nothing: ITIMER_PROF sends SIGPROF, whose default action
ends the process as SIGKILL would, in the middle of a system call too; a handler would wait for one to return.
"""

from __future__ import annotations

import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults import in_child
from tiny_training import last_weights, result_bytes, step_losses, tiny_settings
from weitiao.api.train import resume, train
from weitiao.run import Run, is_run
from weitiao.settings import Settings
from weitiao.training.checkpoint import damaged_checkpoints, latest_checkpoint

KILLS = 50


@dataclass
class Figures:
    """What the loop met."""

    kills: int = 0
    finished: int = 0
    mismatches: int = 0
    half_written: int = 0  # kills that left an unfinished checkpoint behind
    torn: int = 0  # checkpoints that looked whole and were not
    killed_after_step: Counter[int] = field(default_factory=Counter)


@pytest.mark.slow
def test_fifty_kills_end_in_the_same_bits(tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"method": "full", "save_steps": 1, "max_steps": 20, "eval_steps": 10, "learning_rate": 1e-3}
    begun = time.monotonic()
    straight = train(tiny_settings(tiny_llama, tmp_path, "straight", **changes))
    whole_life = _processor_seconds(lambda: train(tiny_settings(tiny_llama, tmp_path, "measured", **changes)))
    draw = random.Random(20261124)
    figures = Figures()
    while figures.kills < KILLS or (not figures.half_written and figures.kills < 4 * KILLS):
        settings = tiny_settings(tiny_llama, tmp_path, f"run-{figures.finished}", **changes)
        _kill_until_finished(settings, whole_life, draw, figures)
        run = Run(Path(str(settings.output_dir)))
        figures.finished += 1
        figures.mismatches += (last_weights(run), result_bytes(run), step_losses(run)) != (
            last_weights(straight), result_bytes(straight), step_losses(straight)
        )  # fmt: skip
    with capsys.disabled():
        print(
            f"\n{figures.kills} kills, {figures.finished} runs finished, {figures.half_written} half-written "
            f"checkpoints met, {figures.torn} torn, {figures.mismatches} mismatches, "
            f"killed after steps {dict(sorted(figures.killed_after_step.items()))}, {time.monotonic() - begun:.0f} s"
        )
    assert figures.mismatches == 0
    assert figures.torn == 0
    assert figures.half_written > 0
    assert len(figures.killed_after_step) > 5  # all over the run, and not only while it loads


def _kill_until_finished(settings: Settings, whole_life: float, draw: random.Random, figures: Figures) -> None:
    run = Run(Path(str(settings.output_dir)))
    while True:
        status = _mortal_child(settings, draw.uniform(0.01, whole_life))
        if status == 0:
            return
        assert status == -signal.SIGPROF, f"a child ended with {status}"
        figures.kills += 1
        damaged = damaged_checkpoints(run.checkpoints)
        figures.half_written += any(folder.name.startswith(".") for folder in damaged)
        figures.torn += any(folder.name.isdigit() for folder in damaged)
        newest = latest_checkpoint(run.checkpoints)
        figures.killed_after_step[newest.step if newest else 0] += 1
        if run.finished():  # killed between its last word and its end
            return


def _mortal_child(settings: Settings, seconds: float) -> int:
    """Train or resume in a child that lives at most ``seconds`` of processor time. How it ended."""

    def live() -> None:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        folder = Path(str(settings.output_dir))
        if is_run(folder):
            resume(folder)
        else:
            train(settings)

    return in_child(live)


def _processor_seconds(work: Callable[[], object]) -> float:
    """Of ``work``, in a child as warm as those to come."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert in_child(work) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
