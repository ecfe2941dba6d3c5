"""``evaluate``: how good a run or a model is on test items, every score with its interval.

On its run's own test split the scores are those of the run's report: the same items, asked in the same way.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from weitiao import __version__
from weitiao.api.answering import Respondent, find_respondent, load_engine
from weitiao.api.kept_answers import Asked, Asking, kept_answers
from weitiao.api.listener import Listener
from weitiao.api.preparation import MOST_ITEMS
from weitiao.api.reporting import write_report
from weitiao.api.scored_set import ScoredSet, every_row, own_test_split
from weitiao.data.ledger import Ledger
from weitiao.data.samples import SAMPLES
from weitiao.errors import SettingsError
from weitiao.evaluation.answers import Answers, confidences, select
from weitiao.evaluation.marked import shown_answers
from weitiao.evaluation.metrics import Score, details, scores
from weitiao.evaluation.spans import same_spans
from weitiao.example import names_of, told
from weitiao.models.anatomy import Model, parameter_count
from weitiao.run import Run, locked
from weitiao.settings import Settings
from weitiao.training import machine
from weitiao.words import language, t

Rows = Literal["all", "test"]

_GENERATED = 32  # replies that are written out unless the settings say how many
_SLICES = ("short", "middle", "long")
_LOCK = ".lock"
_PAGES = ("report.html", "card.md", "report.json")
_UNFINISHED = frozenset((_LOCK, "ledger.jsonl", *_PAGES, *(f".{page}.unfinished" for page in _PAGES)))


@dataclass(frozen=True)
class Slice:
    """Some of the items: those whose text has ``shortest`` to ``longest`` characters."""

    name: str
    shortest: int
    longest: int
    scores: Mapping[str, Score]


@dataclass(frozen=True)
class Evaluation:
    """What was measured. ``report`` is what report.json holds."""

    scores: Mapping[str, Score]
    slices: tuple[Slice, ...]
    report: Mapping[str, Any]
    folder: Path | None

    def json(self) -> dict[str, Any]:
        """``{"scores", "slices"}`` as ``weitiao evaluate --json`` prints them."""
        by_length = {
            part.name: {"from": part.shortest, "to": part.longest, "scores": _json(part.scores)} for part in self.slices
        }
        return {"scores": _json(self.scores), "slices": {"length": by_length} if by_length else {}}


def evaluate(
    settings: Settings,
    rows: Rows = "all",
    slices: bool = False,
    listen: Listener = lambda kind, facts: None,
) -> Evaluation:
    """Score ``settings.model``, a run or a model, on ``settings.data``, or without any on the run's own test split.

    ``rows`` says which rows of the data are asked: all, or those that training would keep for the test. With
    ``slices`` the scores of short, middling and long texts are told apart. ``settings.output_dir`` gets the report.
    Stopped or killed, the same call goes on with the answers that it has. Raises Stopped when asked to stop, and
    SettingsError, DataError, ModelError, MachineError.
    """
    started = time.monotonic()
    respondent = find_respondent(settings)
    if not settings.data and respondent.run is None:
        raise SettingsError(
            t("{model} is not a run, so it has no test split of its own", model=settings.model),
            t("name the data to score: --data FILE"),
        )
    with _new_folder(settings.output_dir) as folder, Ledger(folder / "ledger.jsonl" if folder else None) as ledger:
        own = not settings.data or rows == "test"
        scored = (own_test_split if own else every_row)(respondent, settings, ledger)
        _announce(scored, ledger, listen)
        engine = load_engine(respondent, settings, listen)
        with kept_answers(engine, _asking(respondent, settings, scored), listen) as asked:
            answers = asked.answers
            found = scores(answers, scored.task.categories)
            report = {
                **_frame(respondent, engine.model),
                "task": told(scored.task),
                "data": _data_facts(scored, ledger),
                "after": {"scores": _json(found), "details": details(answers, scored.task.categories)},
                "items": _items(scored, answers),
                "cost": _cost(time.monotonic() - started, asked, scored),
            }
            if folder is not None:
                write_report(Run(folder), report, settings.lang or language())
    return Evaluation(found, _by_length(scored, answers) if slices else (), report, folder)


def _announce(scored: ScoredSet, ledger: Ledger, listen: Listener) -> None:
    listen("data", {"read_as": list(scored.read_as)})
    listen("rows", {**ledger.counts(), "reasons": ledger.reasons()})
    for problem in scored.problems:
        listen("problem", asdict(problem))


@contextmanager
def _new_folder(name: str | None) -> Iterator[Path | None]:
    """A new folder for the report; it is gone again when the evaluation fails. What a killed one left is as new."""
    if name is None:
        yield None
        return
    folder = Path(name)
    before = _left_there(folder)
    with locked(Run(folder)):
        if "report.json" in _left_there(folder) - before:  # another evaluation has ended in it meanwhile
            raise _not_empty(folder)
        try:
            yield folder
            (folder / _LOCK).unlink()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _left_there(folder: Path) -> set[str]:
    """What a killed evaluation has left, by its lock. Raises SettingsError when something else lies there."""
    present = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if present and not (_LOCK in present and present <= _UNFINISHED):
        raise _not_empty(folder)
    return present


def _not_empty(folder: Path) -> SettingsError:
    return SettingsError(
        t("output_dir {folder} is not empty", folder=folder), t("name a new folder; nothing is overwritten")
    )


def _asking(respondent: Respondent, settings: Settings, scored: ScoredSet) -> Asking:
    generated = respondent.setting(settings, "generate_max_samples")
    most = generated
    if most is None:
        most = MOST_ITEMS if scored.task.kind == "mark" else _GENERATED
    return Asking(respondent, scored, most, respondent.setting(settings, "max_new_tokens"))


def _by_length(scored: ScoredSet, answers: Answers) -> tuple[Slice, ...]:
    """Three parts of about the same size; texts of one length stay together, so a part may be empty and is left out."""
    lengths = np.array([len(item.example.text) for item in scored.items])
    borders = np.quantile(lengths, [1 / 3, 2 / 3], method="lower")
    part_of = np.searchsorted(borders, lengths, side="left")
    found = []
    for number, name in enumerate(_SLICES):
        inside = part_of == number
        if inside.any():
            part = scores(select(answers, inside), scored.task.categories)
            found.append(Slice(name, int(lengths[inside].min()), int(lengths[inside].max()), part))
    return tuple(found)


def _frame(respondent: Respondent, model: Model) -> dict[str, Any]:
    """Who was measured, when and by what."""
    own, run = respondent.own, respondent.run
    base = own.model if own else respondent.source.name
    sample = SAMPLES.get(base)
    lineage = json.loads(run.lineage.read_text(encoding="utf-8")) if run else {"base": respondent.source.digest}
    return {
        "version": 1,
        "run": run.name if run else "",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "weitiao": __version__,
        "model": {
            "name": base,
            "license": sample.licence if sample else "",
            "parameters": parameter_count(model),
            "method": own.method if own else "",
            "precision": respondent.precision,
        },
        "lineage": lineage,
    }


def _data_facts(scored: ScoredSet, ledger: Ledger) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for item in scored.items:
        counts.update(names_of(item.example.label) or ("",))
    return {
        "path": scored.data,
        "digest": scored.digest,
        "read_as": list(scored.read_as),
        "ledger": ledger.counts(),
        "reasons": ledger.reasons(),
        "shown": [asdict(entry) for entry in ledger.shown()],
        "counts": {"test": dict(sorted(counts.items()))},
        "problems": [asdict(problem) for problem in scored.problems],
    }


def _items(scored: ScoredSet, answers: Answers) -> list[dict[str, Any]]:
    """Each item with its answer, at most 5,000; of texts only those that were written out."""
    certain = confidences(answers)
    sure = None if certain is None else np.round(certain, 4)
    return [
        {
            "source": item.example.source,
            "text": item.example.text,
            **shown_answers(
                item.example.text, answers.kind, {"gold": answers.gold[number], "after": answers.predicted[number]}
            ),
            "after_confidence": None if sure is None else float(sure[number]),
            "change": _judged(answers, number),
        }
        for number, item in enumerate(scored.items[:MOST_ITEMS])
        if answers.kind == "classify" or answers.generated[number]  # marks of a head count as written out
    ]


def _judged(answers: Answers, number: int) -> str:
    gold, predicted = answers.gold[number], answers.predicted[number]
    if answers.kind == "mark":
        return "right" if same_spans(gold, predicted) else "wrong"
    if answers.kind != "classify":
        return ""
    return "right" if predicted == gold else "wrong"


def _cost(seconds: float, asked: Asked, scored: ScoredSet) -> dict[str, Any]:
    """Of this process and, when it went on, of those before it."""
    seconds += asked.seconds
    tokens = sum(len(item.row.tokens) for item in scored.items)
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() + asked.cpu_seconds, 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_memory_bytes": machine.peak_memory_bytes(),
    }


def _json(named: Mapping[str, Score]) -> dict[str, Any]:
    return {name: score.json() for name, score in named.items()}
