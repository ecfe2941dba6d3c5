"""The items that an evaluation asks: a run's own test split, or all rows of another file.

Separate because which rows are asked decides what a score means; who answers and what is measured have no say in it.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from weitiao.api.answering import Respondent
from weitiao.api.begun_in import begun_in, with_paths_in
from weitiao.api.learned_rows import learned_rows
from weitiao.api.preparation import MOST_ITEMS, Item, open_named, open_sources, scored_items
from weitiao.data.dataset import Dataset, Hints
from weitiao.data.ledger import Dropped, Entry, Ledger, Problem
from weitiao.data.partition import Sources, assigned, partition
from weitiao.errors import DataError
from weitiao.example import Categories, Category, Example, Kind, Reply, Spans, Task, content_key, names_of
from weitiao.lineage import Lineage
from weitiao.objectives.form import Form
from weitiao.run import Run
from weitiao.settings import Settings
from weitiao.words import t

_CHUNK = 1024  # examples that are tokenized at a time, on all cores
_COLUMNS = ("text_column", "label_column", "prompt_column", "reply_column")
_Columns = dict[str, str | None]


@dataclass(frozen=True)
class ScoredSet:
    """Items in reading order, and what is known of the data that they come from."""

    data: str  # as the user, or the run's settings, name it
    digest: str
    read_as: tuple[str, ...]
    task: Task
    items: list[Item]
    problems: tuple[Problem, ...]


def own_test_split(respondent: Respondent, settings: Settings, ledger: Ledger) -> ScoredSet:
    """The test split that training would make of ``settings.data``: without any, the run's own, the very same items.

    Raises DataError when the run's data have changed since.
    """
    divided = respondent.own or settings
    if respondent.own and settings.data:
        divided = divided.model_copy(update={"data": settings.data, "dev": None, "test": None, **_named(settings)})
    elif respondent.run:
        divided = with_paths_in(begun_in(respondent.run, divided), divided)
    opened = open_sources(divided)
    digest = opened.digest()
    if respondent.run and not settings.data:
        _check_same_data(respondent.run, digest)
    task = _task_for(respondent, settings, opened.task)
    rows = (row for row, split in assigned(opened.sources, opened.partition) if split == "test")
    items = _items(rows, task, respondent.form(settings), ledger, MOST_ITEMS)
    kept = items[: respondent.setting(settings, "eval_max_samples")]
    problems = tuple(problem for problem in opened.problems() if problem.where == "test")
    name = settings.data or (respondent.own or settings).data
    return _scored(ScoredSet(name, digest, opened.read_as, task, kept, problems))


def every_row(respondent: Respondent, settings: Settings, ledger: Ledger) -> ScoredSet:
    """All rows of ``settings.data``, each as often as it stands there; of more than 5,000, those that a hash chooses.

    Raises DataError for a category that the run does not know.
    """
    dataset = open_for(respondent, settings, needs_reply=True)
    task = _task_for(respondent, settings, task_in(dataset, respondent))
    items = _items(dataset, task, respondent.form(settings), ledger, settings.eval_max_samples or MOST_ITEMS)
    usable = ledger.counts()["used"] + ledger.counts()["truncated"]
    problems = [*dataset.notes, *_repeated(items), *learned_rows(respondent.run, [item.example for item in items])]
    if usable > len(items):
        message = t("{count} of {all} rows are scored, chosen by a hash of their text", count=len(items), all=usable)
        problems.append(Problem("sampled", "", message))
    return _scored(ScoredSet(settings.data, dataset.digest(), dataset.layout.guesses, task, items, tuple(problems)))


def task_in(dataset: Dataset, respondent: Respondent) -> Task:
    """What the data ask: the run's own task where the kind is the same, else what is read off all their rows."""
    if respondent.task and respondent.task.kind == dataset.layout.kind:
        return respondent.task
    respondent.check_answers(dataset.layout.kind)
    if dataset.layout.kind in ("reply", "continue"):
        return Task(dataset.layout.kind)
    return partition(Sources(dataset), 0.0, 0.0).task


def open_for(respondent: Respondent, settings: Settings, needs_reply: bool) -> Dataset:
    """``settings.data``, read as the run's own data were: kind and columns, where the user names no others."""
    kind = settings.kind or (respondent.task.kind if respondent.task else None)
    own = _named(respondent.own) if respondent.own else {}
    if any(own.values()) and not any(_named(settings).values()):
        found = _with_columns(own, settings, kind, needs_reply)
        if found is not None:
            return found
    return open_named(settings.data, _hints(_named(settings), settings, kind, needs_reply))


def _with_columns(own: _Columns, settings: Settings, kind: Kind | None, needs_reply: bool) -> Dataset | None:
    """The data by the columns of the run's own; None where it has others, which are then looked for and said."""
    try:
        return open_named(settings.data, _hints(own, settings, kind, needs_reply))
    except DataError:
        return None


def _hints(columns: _Columns, settings: Settings, kind: Kind | None, needs_reply: bool) -> Hints:
    text, label, prompt, reply = (columns[name] for name in _COLUMNS)
    asked = (settings.question, settings.header, settings.documents)
    return Hints(settings.format, kind, text, label, prompt, reply, *asked, needs_reply=needs_reply)


def _named(settings: Settings) -> _Columns:
    """The columns that the settings name."""
    return {name: getattr(settings, name) for name in _COLUMNS}


def _task_for(respondent: Respondent, settings: Settings, found: Task) -> Task:
    """What is asked: the run's own task, unless the data are of another kind; with the user's question."""
    same = respondent.task is not None and respondent.task.kind == found.kind
    if not same:
        respondent.check_answers(found.kind)
    task = respondent.task if respondent.task is not None and same else found
    return replace(task, question=settings.question) if settings.question else task


def _check_same_data(run: Run, digest: str) -> None:
    known = Lineage.from_json(json.loads(run.lineage.read_text(encoding="utf-8"))).data
    if known != digest:
        raise DataError(
            t(
                "the data of {run} have changed since it was trained: {old} → {new}",
                run=run.folder,
                old=known,
                new=digest,
            ),
            t("put them back, or name the data to score: --data FILE"),
        )


def _items(rows: Iterable[Example | Dropped], task: Task, form: Form, ledger: Ledger, most: int) -> list[Item]:
    """At most ``most`` items, those with the smallest keys, in reading order; every row goes into ``ledger``."""
    encoded = enumerate(_encoded(rows, task, form, ledger))
    kept = heapq.nsmallest(most, encoded, key=lambda numbered: (content_key(numbered[1].example), numbered[0]))
    return [item for _, item in sorted(kept, key=lambda numbered: numbered[0])]


def _encoded(rows: Iterable[Example | Dropped], task: Task, form: Form, ledger: Ledger) -> Iterator[Item]:
    iterator = (row for row in rows if _has_answer(row, task, ledger))
    while chunk := list(islice(iterator, _CHUNK)):
        examples = [row for row in chunk if isinstance(row, Example)]
        yield from scored_items(examples, task, form, ledger)


def _has_answer(row: Example | Dropped, task: Task, ledger: Ledger) -> bool:
    """Whether ``row`` says what would be right; if not, the ledger says why. DataError for a category of others."""
    if isinstance(row, Dropped):
        ledger.add(Entry(row.source, "dropped", row.reason, row.detail))
        return False
    if task.kind == "continue" or (task.kind == "reply" and isinstance(row.label, Reply)):
        return True
    single = isinstance(row.label, Categories) and (task.several or len(row.label.names) == 1)
    if single or isinstance(row.label, Category | Spans):
        named = [span.name for span in row.label.spans] if isinstance(row.label, Spans) else names_of(row.label)
        unknown = next((name for name in named if name not in task.categories), None)
        if unknown is not None:
            raise DataError(
                t("{source} is labelled “{label}”, which the model cannot answer", source=row.source, label=unknown),
                t(
                    "it answers: {names}; rename the label, or name the right --label-column",
                    names=_few(task.categories),
                ),
            )
        return True
    if row.label is None:
        ledger.add(Entry(row.source, "dropped", "no_label", t("has no label"), row.id))
    else:
        detail = t("has several categories at once, and the model answers with one")
        ledger.add(Entry(row.source, "dropped", "unsupported_label", detail, row.id))
    return False


def _scored(found: ScoredSet) -> ScoredSet:
    if not found.items:
        raise DataError(
            t("{data} has no row that could be scored", data=found.data),
            t("weitiao check shows why each row was dropped"),
        )
    return found


def _repeated(items: list[Item]) -> Iterator[Problem]:
    seen: dict[int, str] = {}
    again = [
        item for item in items if seen.setdefault(content_key(item.example), item.example.source) != item.example.source
    ]
    if again:
        message = t(
            "{count} rows repeat the text of an earlier one; each counts, so intervals are too narrow", count=len(again)
        )
        yield Problem("duplicate", again[0].example.source, message)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join([*names[:20], *(["…"] if len(names) > 20 else [])])
