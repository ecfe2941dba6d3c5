"""What each arm of a comparison answered, on disk: an arm that has ended is never asked again.

Separate because the comparison goes on from these files alone, after whatever has ended it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weitiao.api.arms import Arm
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.stored import answers_from_json, answers_json
from weitiao.run import write_whole

_SPENT = "spent.json"


@dataclass(frozen=True)
class Draw:
    """One try of an arm: with these shots, this question, this seed."""

    name: str
    answers: Answers
    seconds: float  # for answering all items
    tokens: int = 0  # that were read for it; 0 where none are
    prepare_seconds: float = 0.0  # for learning
    run: str = ""  # the folder of its run, relative to the comparison's


@dataclass(frozen=True)
class Outcome:
    """What became of an arm. ``of`` says in what its draws differ: ``draws``, ``questions`` or ``seeds``."""

    arm: Arm
    draws: tuple[Draw, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    of: str = "draws"
    prompt: tuple[tuple[str, str], ...] = ()  # role and text of every message that the first item was asked with

    @property
    def answers(self) -> list[Answers]:
        """Those of every draw."""
        return [draw.answers for draw in self.draws]


class Outcomes:
    """The outcomes in a folder, one file for an arm and, until it has ended, one for each draw of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self._before: tuple[float, float] = tuple((_read(folder / _SPENT) or {"spent": (0.0, 0.0)})["spent"])

    def spent(self) -> tuple[float, float]:
        """Seconds of the wall and of the processor: of this process, and of those before it as far as they kept."""
        seconds, cpu_seconds = self._before
        return seconds + time.monotonic() - self._began, cpu_seconds + time.process_time()

    def _keep(self, name: str, stored: dict[str, Any]) -> None:
        write_whole(self._folder / name, json.dumps(stored, ensure_ascii=False))
        write_whole(self._folder / _SPENT, json.dumps({"spent": self.spent()}))

    def find(self, arm: Arm) -> Outcome | None:
        """The outcome of ``arm``; None while it has not ended."""
        stored = _read(self._folder / f"{arm.name}.json")
        if stored is None:
            return None
        draws = tuple(_draw(one) for one in stored["draws"])
        prompt = tuple((role, text) for role, text in stored["prompt"])
        return Outcome(arm, draws, stored["settings"], stored["of"], prompt)

    def find_draw(self, arm: str, name: str) -> Draw | None:
        """A draw that has ended, of an arm or of a point of the learning curve."""
        stored = _read(self._folder / f"{arm}.{name}.json")
        return None if stored is None else _draw(stored)

    def keep_draw(self, arm: str, draw: Draw) -> Draw:
        """Write a draw."""
        self._keep(f"{arm}.{draw.name}.json", _draw_json(draw))
        return draw

    def keep(self, outcome: Outcome) -> Outcome:
        """Write an arm's outcome; its draws need no files of their own from then on."""
        stored = {
            "settings": dict(outcome.settings),
            "of": outcome.of,
            "prompt": outcome.prompt,
            "draws": [_draw_json(draw) for draw in outcome.draws],
        }
        self._keep(f"{outcome.arm.name}.json", stored)
        for draw in outcome.draws:
            (self._folder / f"{outcome.arm.name}.{draw.name}.json").unlink(missing_ok=True)
        return outcome


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _draw_json(draw: Draw) -> dict[str, Any]:
    return {
        "name": draw.name,
        "seconds": draw.seconds,
        "tokens": draw.tokens,
        "prepare_seconds": draw.prepare_seconds,
        "run": draw.run,
        "answers": answers_json(draw.answers),
    }


def _draw(stored: Mapping[str, Any]) -> Draw:
    facts = {name: stored[name] for name in ("name", "seconds", "tokens", "prepare_seconds", "run")}
    return Draw(answers=answers_from_json(stored["answers"]), **facts)
