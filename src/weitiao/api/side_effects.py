"""What tuning changed beside its task: the loss on general text, English and Chinese, and the tasks of earlier runs.

Separate because a run asks it twice, untuned and tuned, and neither its training nor its own test know of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from weitiao.api.answering import find_respondent
from weitiao.api.scored_set import own_test_split
from weitiao.api.session import Session
from weitiao.data.ledger import Ledger
from weitiao.errors import WeitiaoError
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.ask import ask
from weitiao.evaluation.general_text import general_texts
from weitiao.evaluation.measures import HEADLINES
from weitiao.evaluation.metrics import differences, scores
from weitiao.evaluation.stored import answers_from_json, answers_json
from weitiao.example import Example, Message, Task, make_example
from weitiao.models.heads import use_of
from weitiao.models.source import resolve
from weitiao.objectives.causal import Causal, Encoded
from weitiao.objectives.row import Row
from weitiao.run import Run, write_whole
from weitiao.settings import make_settings, parse_settings
from weitiao.words import Language, t

_PARENTS_ITEMS = 300  # asked of each earlier task


@dataclass(frozen=True)
class Asked:
    """Items of another task than the run's. ``name`` is a language, or the folder of the run that learned it."""

    name: str
    task: Task
    items: tuple[tuple[Example, Row], ...]
    cutoff_len: int


@dataclass(frozen=True)
class SideEffects:
    """What is asked beside the task, and why some of it is not."""

    general: tuple[Asked, ...]
    parents: tuple[Asked, ...]
    notes: tuple[str, ...]


NOTHING = SideEffects((), (), ())


def beside(session: Session) -> SideEffects:
    """What can be asked of the run's model before and after it learns."""
    if use_of(session.model).head != "words" or session.draw is not None:
        return NOTHING
    general = tuple(_general(session, language) for language in get_args(Language))
    parents: list[Asked] = []
    notes: list[str] = []
    folder = session.source.run
    while folder:
        run, folder = Run(folder), None
        for find in (_task_of, _came_from):
            try:
                found = find(run)
            except WeitiaoError as error:
                notes.append(t("{run} could not be asked about again: {reason}", run=run.name, reason=error.problem))
                continue
            if isinstance(found, Asked):
                parents.append(found)
            else:
                folder = found
    return SideEffects(general, tuple(parents), tuple(dict.fromkeys(notes)))


def answered_beside(session: Session, asked: SideEffects, kept: Path) -> dict[str, Answers]:
    """The model's answers now, by name; from the file ``kept`` where they were asked already."""
    if kept.is_file():
        stored = json.loads(kept.read_text(encoding="utf-8"))
        return {name: answers_from_json(answers) for name, answers in stored.items()}
    found = {
        each.name: ask(session.engine, each.items, each.task, session.codec, each.cutoff_len)
        for each in (*asked.general, *asked.parents)
    }
    write_whole(kept, json.dumps({name: answers_json(answers) for name, answers in found.items()}))
    return found


def side_effects_json(
    asked: SideEffects, before: Mapping[str, Answers], after: Mapping[str, Answers]
) -> dict[str, Any]:
    """As report.json holds it: ``{"general": {"en", "zh"}, "parents", "note"}``."""
    general = {each.name: _change("loss", each, before, after) for each in asked.general}
    parents = []
    for each in asked.parents:
        defined = scores(before[each.name], each.task.categories)
        metric = next(name for name in HEADLINES[each.task.kind] if name in defined)
        told = {"run": each.name, "task": each.task.question, "metric": metric}
        parents.append({**told, **_change(metric, each, before, after)})
    return {"general": general, "parents": parents, "note": " ".join(asked.notes)}


def _change(metric: str, asked: Asked, before: Mapping[str, Answers], after: Mapping[str, Answers]) -> dict[str, Any]:
    pair, categories = (before[asked.name], after[asked.name]), asked.task.categories
    first, second = (scores(answers, categories)[metric].json() for answers in pair)
    return {"before": first, "after": second, "difference": differences(*pair, categories)[metric].json()}


def _general(session: Session, language: Language) -> Asked:
    examples = [make_example((Message("document", text),), None, language) for text in general_texts(language)]
    rows = Causal().encode(examples, session.codec)
    items = [(example, row.row) for example, row in zip(examples, rows, strict=True) if isinstance(row, Encoded)]
    return Asked(language, Task("continue"), tuple(items), session.cutoff_len)


def _came_from(run: Run) -> Path | None:
    """The run that ``run`` was tuned from; None where it was a model of others."""
    return resolve(parse_settings([str(run.settings)]).settings.model).run


def _task_of(run: Run) -> Asked:
    settings = make_settings({"model": str(run.folder), "eval_max_samples": _PARENTS_ITEMS})
    respondent = find_respondent(settings)
    respondent.check_answers(respondent.task.kind if respondent.task else "reply")
    with Ledger() as ledger:
        found = own_test_split(respondent, settings, ledger)
    items = tuple((item.example, item.row) for item in found.items)
    return Asked(run.name, found.task, items, respondent.cutoff_len)
