"""What all arms of a comparison share: the examples to learn from, and the test items, frozen before any arm answers.

Separate because no arm may have a say in which items it is asked. An item is one that the tuned model can read as a
row: what does not fit is in the ledger, and no arm is asked it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from weitiao.api.chosen_head import answered, decide_head
from weitiao.api.preparation import MOST_ITEMS, Item, Opened, Smallest, open_sources, scored_items, usable_rows
from weitiao.codec import Codec, open_codec
from weitiao.data.ledger import Entry, Ledger
from weitiao.data.partition import SPLITS
from weitiao.errors import DataError, SettingsError
from weitiao.example import Example, Task, content_key
from weitiao.models.presets import preset_of
from weitiao.models.source import ModelSource, resolve
from weitiao.models.use import Use, context_of, model_config, own_use
from weitiao.objectives.form import Form
from weitiao.settings import Settings
from weitiao.settings.allowed import costs_of
from weitiao.training.defaults import context_limit
from weitiao.words import t

MOST_TO_LEARN = 100_000  # of an arm that is no run; what tunes reads all
_ITEMS = {"classify": 600}  # asked unless the settings say how many
_FEWER = 300  # where answers are written out
_ONCE_IS_ENOUGH = 2000  # rows to learn from, from which on each is learned from once
_CHUNK = 1024


@dataclass(frozen=True)
class Trial:
    """``settings`` are those of the tuned arms too: they say how many items are asked."""

    settings: Settings
    reasons: Mapping[str, str]  # of those settings that a comparison decides otherwise than a run
    source: ModelSource
    use: Use | None  # what the untuned model's own head answers
    opened: Opened
    codec: Codec
    ledger: Ledger
    train: tuple[Example, ...]
    items: tuple[Item, ...]

    @property
    def task(self) -> Task:
        """What is asked of every item."""
        return self.opened.task

    @property
    def examples(self) -> tuple[Example, ...]:
        """Those of the items."""
        return tuple(item.example for item in self.items)


def open_trial(settings: Settings, ledger_file: Path) -> Trial:
    """Read the data once, fill the ledger, and freeze the items.

    Raises SettingsError where there is nothing to compare, DataError where no item is left, ModelError.
    """
    if preset_of(settings.model):
        raise SettingsError(
            t("{model} knows nothing yet, so no other arm could use it", model=settings.model),
            t("name a model that is there, and see what a fresh one learns with weitiao train"),
        )
    source, opened = resolve(settings.model), open_sources(settings)
    if opened.task.kind == "continue":
        raise SettingsError(
            t("plain texts ask nothing that different arms could answer"),
            t("weitiao train measures them before and after, in bits per byte"),
        )
    _check_costs(settings, opened.task)
    settings, reasons = _decided(settings, opened)
    codec = open_codec(source.tokenizer_folder, settings.template)
    form = _form(settings, source, opened.task, codec)
    with Ledger(ledger_file) as ledger:
        train, items = _read(opened, form, ledger)
    items = items[: settings.eval_max_samples]
    if not items:
        raise DataError(
            t("{data} has no row that could be tested", data=settings.data),
            t("raise test_size, or give a file of its own: --test FILE; weitiao check shows why rows were dropped"),
        )
    return Trial(settings, reasons, source, own_use(source), opened, codec, ledger, tuple(train), tuple(items))


def _decided(settings: Settings, opened: Opened) -> tuple[Settings, dict[str, str]]:
    """The settings, with what keeps a comparison within minutes where nothing else was said, and why."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if settings.eval_max_samples is None:
        values["eval_max_samples"] = _ITEMS.get(opened.task.kind, _FEWER)
        reasons["eval_max_samples"] = t("every arm answers all of them")
    rows = int((opened.partition.split_of == SPLITS.index("train")).sum())
    if settings.epochs is None and settings.max_steps is None and rows >= _ONCE_IS_ENOUGH:
        values["epochs"] = 1.0
        reasons["epochs"] = t("{rows} rows to learn from, each once", rows=rows)
    return settings.model_copy(update=values), reasons


def _check_costs(settings: Settings, task: Task) -> None:
    if settings.costs is None:
        return
    if task.kind != "classify" or task.several:
        raise SettingsError(
            t("costs are given, and only a text that has one category can be answered by them"), t("leave costs out")
        )
    named = costs_of(settings.costs)
    unknown = {name for right, given in named.items() for name in (right, *given)} - set(task.categories)
    if unknown:
        raise SettingsError(
            t("costs name {names}, which is no category here", names=", ".join(sorted(unknown))),
            t("the categories are: {names}", names=", ".join(task.categories)),
        )


def _form(settings: Settings, source: ModelSource, task: Task, codec: Codec) -> Form:
    """As a run of these settings would ask."""
    chosen = decide_head(settings, source, task)
    limit = context_limit(settings, context_of(model_config(source)))
    return Form(codec, limit, settings.learn, answered(chosen.head, source))


def _read(opened: Opened, form: Form, ledger: Ledger) -> tuple[list[Example], list[Item]]:
    train, test = Smallest[Example](MOST_TO_LEARN), Smallest[Item](MOST_ITEMS)
    rows = usable_rows(opened, ledger)
    while chunk := list(islice(rows, _CHUNK)):
        for example, split in chunk:
            if split != "test":
                ledger.add(Entry(example.source, "used", "", "", example.id, split))
            if split == "train":
                train.add(content_key(example), example)
        tested = [example for example, split in chunk if split == "test"]
        for item in scored_items(tested, opened.task, form, ledger):
            test.add(content_key(item.example), item)
    return train.things(), test.things()
