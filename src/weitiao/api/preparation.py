"""From settings to rows: the user's data opened, partitioned and encoded, every row in the ledger, and the mask proved.

Separate because ``check``, ``plan`` and ``train`` must see the same rows; what check shows is what train learns.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from weitiao.codec import Encoding
from weitiao.data.dataset import Dataset, Hints, open_dataset
from weitiao.data.dataset_info import INFO_NAME
from weitiao.data.files import missing, near_names
from weitiao.data.ledger import Dropped, Entry, Ledger, Outcome, Problem
from weitiao.data.partition import SPLITS, Partition, Sources, assigned, partition
from weitiao.data.samples import SAMPLES, fetch
from weitiao.errors import DataError, ModelError, SettingsError
from weitiao.example import Example, Task, content_key, names_of
from weitiao.lineage import digest_json
from weitiao.objectives.causal import Encoded
from weitiao.objectives.form import Form, rows_of, scored_row, shown, token_labels
from weitiao.objectives.mark import OVERLAPPING, UNEVEN
from weitiao.objectives.row import Row
from weitiao.settings import Settings
from weitiao.training.rows import RowWriter
from weitiao.words import t

MOST_ITEMS = 5000  # of a split that is scored; an interval is about one point wide there
_CHUNK = 1024  # examples that are tokenized at a time, on all cores
_LENGTHS = 100_000
_SHOWN = 8  # rows kept for the mask proof
_TEMPLATE_FAULTS = ("no_end", "double_bos")
_T = TypeVar("_T")
Watch = Callable[[Iterator[tuple[Example | Dropped, str]]], Iterator[tuple[Example | Dropped, str]]]


@dataclass(frozen=True, slots=True)
class Item:
    """One example of a split that is scored, with its row."""

    example: Example
    row: Row


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the mask proof: what is learned of it, token by token."""

    source: str
    encoding: Encoding
    labels: tuple[str, ...] = ()  # of each token, where tokens are labelled; "" where none is asked


@dataclass(frozen=True)
class Opened:
    """The user's data, opened and divided, before any model is known."""

    sources: Sources
    partition: Partition

    @property
    def task(self) -> Task:
        """What is asked of every example."""
        return self.partition.task

    @property
    def read_as(self) -> tuple[str, ...]:
        """What each source was found to be, in sentences that name the flags which overrule."""
        return tuple(guess for dataset, _ in self.sources.given for guess in dataset.layout.guesses)

    def problems(self) -> tuple[Problem, ...]:
        """What the readers accepted although it is not as it should be, and what the division found."""
        notes = tuple(note for dataset, _ in self.sources.given for note in dataset.notes)
        return (*notes, *self.partition.problems)

    def digest(self) -> str:
        """One digest over all sources."""
        return digest_json([dataset.digest() for dataset, _ in self.sources.given])


@dataclass
class Prepared:
    """Rows of the train split are written out; the scored splits are kept, at most MOST_ITEMS of each."""

    dev: list[Item] = field(default_factory=list)
    test: list[Item] = field(default_factory=list)
    train_rows: int = 0
    train_tokens: int = 0
    train_asked: int = 0  # positions with a target
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {split: Counter() for split in SPLITS})
    lengths: list[int] = field(default_factory=list)  # tokens of the first hundred thousand rows
    control_tokens: int = 0  # written out in the users' texts, and read as plain text
    control_tokens_in: str = ""  # the source of the first row that has some
    shown: list[Shown] = field(default_factory=list)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)  # code to how often and where first

    def problems(self) -> Iterator[Problem]:
        """What of the labels is not learned as it stands in the data."""
        if UNEVEN in self.notes:
            count, where = self.notes[UNEVEN]
            message = t(
                "marks that begin or end inside a word or a token of this model: {count}; all of it is learned as "
                "marked, so such a mark is never found exactly",
                count=count,
            )
            yield Problem("uneven_span", where, message)
        if OVERLAPPING in self.notes:
            count, where = self.notes[OVERLAPPING]
            message = t(
                "marks that lie in or across another one: {count}; the outermost is learned and measured, the others "
                "are left out",
                count=count,
            )
            yield Problem("overlapping_span", where, message)


def open_sources(settings: Settings) -> Opened:
    """Open and divide the data that ``settings`` names."""
    return divide(open_given(settings), settings)


def open_given(settings: Settings) -> Sources:
    """Open the data that ``settings`` names, and find out what they are."""
    hints = Hints(
        format=settings.format,
        kind=settings.kind,
        text_column=settings.text_column,
        label_column=settings.label_column,
        prompt_column=settings.prompt_column,
        reply_column=settings.reply_column,
        question=settings.question,
        header=settings.header,
        documents=settings.documents,
    )
    main = open_named(settings.data, hints)
    same = replace(hints, format=None, kind=main.layout.kind)
    dev = open_named(settings.dev, same) if settings.dev else None
    test = open_named(settings.test, same) if settings.test else None
    return Sources(main, dev, test)


def divide(sources: Sources, settings: Settings) -> Opened:
    """Read all rows once, and give each its split."""
    divided = partition(
        sources,
        settings.val_size,
        settings.test_size,
        settings.seed if settings.split_seed is None else settings.split_seed,
        settings.question,
        settings.max_samples,
        settings.max_train_samples,
    )
    return Opened(sources, divided)


def open_named(name: str, hints: Hints) -> Dataset:
    """The data set called ``name``: a sample, a file or a folder."""
    path = Path(name).expanduser()
    if name in SAMPLES and not path.exists():
        if SAMPLES[name].kind != "data":
            raise SettingsError(t("{name} is a model, not data", name=name), t("pass it as --model"))
        path = fetch(name)
    try:
        return open_dataset(path, hints)
    except DataError:
        samples = [sample.name for sample in SAMPLES.values() if sample.kind == "data"]
        named_otherwise = path.name != name or os.path.lexists(path) or (path.parent / INFO_NAME).is_file()
        if named_otherwise or not near_names(name, samples):
            raise
        raise missing(path, samples) from None


def prepare(opened: Opened, form: Form, ledger: Ledger, writer: RowWriter | None = None) -> Prepared:
    """Encode every row once, in reading order, and enter each in ``ledger``. Raises when the mask proof fails."""
    prepared = Prepared()
    encode_rows(prepared, opened, form, ledger, writer)
    prove(prepared, ledger, form.cutoff_len)
    return prepared


def encode_rows(
    prepared: Prepared, opened: Opened, form: Form, ledger: Ledger, writer: RowWriter | None = None
) -> None:
    """Fill ``prepared`` and ``ledger``. ModelError, which names the row, where the template fails; both then hold what
    came before it."""
    kept: dict[str, Smallest[Item]] = {"dev": Smallest(MOST_ITEMS), "test": Smallest(MOST_ITEMS)}
    with ExitStack() as stack:
        if writer is not None:
            stack.enter_context(writer)
        chunks = _chunks(usable_rows(opened, ledger), _CHUNK)
        for chunk, results in _ahead(lambda some: rows_of(some, opened.task, form), chunks):
            for (example, split), result in zip(chunk, results, strict=True):
                if isinstance(result, Dropped):
                    ledger.add(Entry(example.source, "dropped", result.reason, result.detail, example.id, split))
                    continue
                _enter(prepared, ledger, example, split, result)
                if split == "train" and len(prepared.shown) < _SHOWN:
                    labels = token_labels(result, opened.task, form)
                    prepared.shown.append(Shown(example.source, shown(example, result, form), labels))
                if split == "train":
                    if writer is not None:
                        writer.add(result.row)
                else:
                    kept[split].add(content_key(example), Item(example, scored_row(example, result.row, form)))
    prepared.dev, prepared.test = kept["dev"].things(), kept["test"].things()


def naming_row(work: Callable[[Sequence[Example]], _T], examples: Sequence[Example]) -> _T:
    """``work(examples)``; where the template refuses one of them, the ModelError names its row."""
    try:
        return work(examples)
    except ModelError:
        for example in examples:  # again one by one
            try:
                work([example])
            except ModelError as error:
                raise ModelError(f"{example.source}: {error.problem}", error.hint) from error
        raise


def _enter(prepared: Prepared, ledger: Ledger, example: Example, split: str, result: Encoded) -> None:
    length = len(result.encoding.tokens)
    if result.encoding.control_tokens:
        prepared.control_tokens += result.encoding.control_tokens
        prepared.control_tokens_in = prepared.control_tokens_in or example.source
    for code in result.notes:
        count, where = prepared.notes.get(code, (0, example.source))
        prepared.notes[code] = count + 1, where
    if len(prepared.lengths) < _LENGTHS:
        prepared.lengths.append(length)
    prepared.counts[split].update(names_of(example.label) or ("",))
    if split == "train":
        prepared.train_rows += 1
        prepared.train_tokens += length
        prepared.train_asked += result.row.asked
    outcome, reason = ("truncated", "shortened") if result.shortened else ("used", "")
    ledger.add(Entry(example.source, outcome, reason, result.shortened, example.id, split))  # type: ignore[arg-type]


def usable_rows(opened: Opened, ledger: Ledger, watch: Watch = iter) -> Iterator[tuple[Example, str]]:
    """The examples that have a split and an answer; all others go into the ledger with their reason.

    ``watch`` lets somebody else see every row on the way, so that the file is read once for both.
    """
    for number, (item, split) in enumerate(watch(assigned(opened.sources, opened.partition))):
        if isinstance(item, Dropped):
            ledger.add(Entry(item.source, "dropped", item.reason, item.detail))
        elif not split:
            reason, detail = opened.partition.dropped[number]
            ledger.add(Entry(item.source, "dropped", reason, detail, item.id))
        else:
            yield item, split


def _ahead(
    work: Callable[[Sequence[Example]], Sequence[Encoded | Dropped]], chunks: Iterable[Sequence[tuple[Example, str]]]
) -> Iterator[tuple[Sequence[tuple[Example, str]], Sequence[Encoded | Dropped]]]:
    """Each chunk with what ``work`` makes of it, while the next one is tokenized in a thread of its own."""
    waiting: tuple[Sequence[tuple[Example, str]], Future[Sequence[Encoded | Dropped]]] | None = None
    with ThreadPoolExecutor(1) as pool:
        for chunk in chunks:
            examples = [example for example, _ in chunk]
            begun = pool.submit(copy_context().run, naming_row, work, examples)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = chunk, begun
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def _chunks(examples: Iterable[tuple[Example, str]], size: int) -> Iterator[Sequence[tuple[Example, str]]]:
    iterator = iter(examples)
    while chunk := list(islice(iterator, size)):
        yield chunk


def prove(prepared: Prepared, ledger: Ledger, cutoff_len: int) -> None:
    """Refuse to train on rows that teach nothing, or that a template has spoilt."""
    counts, reasons = ledger.counts(), ledger.reasons()
    spoilt = [entry for entry in ledger.shown() if entry.reason in _TEMPLATE_FAULTS]
    if spoilt:
        raise ModelError(
            t(
                "{count} rows are spoilt by the chat template, first {where}: {reason}",
                count=sum(reasons.get(fault, 0) for fault in _TEMPLATE_FAULTS),
                where=spoilt[0].source,
                reason=spoilt[0].detail,
            ),
            t("pass --template FILE, or --template plain or chatml; weitiao check shows the tokens"),
        )
    lost = reasons.get("too_long", 0)
    if lost * 2 > counts["used"] + counts["truncated"] + lost:
        raise DataError(
            t(
                "{count} rows are longer than {limit} tokens: over half of what can be used",
                count=lost,
                limit=cutoff_len,
            ),
            t("raise cutoff_len, or cut the texts into parts"),
        )
    if prepared.train_rows == 0:
        raise DataError(t("no row is left to learn from"), t("weitiao check shows why each row was dropped"))


def scored_items(examples: Sequence[Example], task: Task, form: Form, ledger: Ledger) -> Iterator[Item]:
    """The test items that ``examples`` become; what does not fit is in ``ledger`` alone."""
    results = naming_row(lambda some: rows_of(some, task, form), examples)
    for example, result in zip(examples, results, strict=True):
        if isinstance(result, Dropped):
            ledger.add(Entry(example.source, "dropped", result.reason, result.detail, example.id, "test"))
            continue
        outcome: Outcome = "truncated" if result.shortened else "used"
        reason = "shortened" if result.shortened else ""
        ledger.add(Entry(example.source, outcome, reason, result.shortened, example.id, "test"))
        yield Item(example, scored_row(example, result.row, form))


class Smallest(Generic[_T]):
    """The things with the smallest keys, of any number: a sample that does not depend on the file's order."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[int, int, _T]] = []
        self._seen = 0

    def add(self, key: int, thing: _T) -> None:
        """Consider one more."""
        self._seen += 1
        entry = (-key, -self._seen, thing)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def things(self) -> list[_T]:
        """In reading order."""
        return [thing for _, _, thing in sorted(self._heap, key=lambda entry: -entry[1])]
