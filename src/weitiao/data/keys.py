"""What the first pass keeps of each row: 16 bytes where rows have categories, 23 where replies; 33 at the very most.

Separate because reading rows into columns, and mixing their keys into stable random numbers, is needed by every
decision about them and depends on none. Columns come in blocks of BLOCK_ROWS rows, the last of fewer: a column that
grew as a whole would be copied again and again, and lie in memory twice.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from weitiao.data.ledger import Dropped
from weitiao.example import (
    Categories,
    Category,
    Example,
    Kind,
    Label,
    Reply,
    Spans,
    content_key,
)

USED, UNREADABLE, NO_LABEL, NO_REPLY = range(4)
BLOCK_ROWS = 1 << 16
_PART_ROWS = 1 << 18
_MOST_PARTS = 64
_SHOWN_EXAMPLES = 1000
_SHOWN_CHARACTERS = 500
_ANSWERS: Mapping[Kind, tuple[type, ...]] = {
    "continue": (object,), "reply": (Reply,), "classify": (Category, Categories), "mark": (Spans,),
}  # fmt: skip
_SIGNED = (np.int8, np.int16, np.int32, np.int64)
_UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)

Integers = npt.NDArray[np.integer[Any]]  # of the smallest type that holds the values of their block


@dataclass(frozen=True, slots=True)
class Block:
    """What decides about some consecutive rows."""

    content: npt.NDArray[np.uint64]  # content_key
    label: Integers  # what should come out; equal means the same answer
    status: npt.NDArray[np.int8]  # USED, UNREADABLE, NO_LABEL, NO_REPLY


@dataclass(frozen=True, slots=True)
class Told:
    """What a person is told of some consecutive rows."""

    label_set: Integers  # into labels, -1 where there is none
    file: Integers  # into files
    line: Integers  # -1 where the source names no line


@dataclass(frozen=True, slots=True)
class Places:
    """Where each row comes from, and its categories. ``labels`` holds each distinct set of category names once."""

    blocks: Sequence[Told]
    files: Sequence[str]
    labels: Sequence[tuple[str, ...]]

    def place(self, row: int) -> str:
        """The row's source, as the example says it: ``sms.csv:118``."""
        block, index = self.blocks[row // BLOCK_ROWS], row % BLOCK_ROWS
        name = self.files[block.file[index]]
        return name if block.line[index] < 0 else f"{name}:{block.line[index]}"

    def label_names(self, row: int) -> str:
        """The categories of a row, for people."""
        return ", ".join(self.labels[self.blocks[row // BLOCK_ROWS].label_set[row % BLOCK_ROWS]])

    def tally(self, groups: npt.NDArray[np.int8], count: int) -> npt.NDArray[np.int64]:
        """Rows of each of ``count`` groups (``groups`` names each row's, or is negative) with each set of labels.

        ``[group, 1 + label set]``; the first column is for rows without any.
        """
        width = len(self.labels) + 1
        tally = np.zeros(count * width, np.int64)
        for number, block in enumerate(self.blocks):
            group = groups[number * BLOCK_ROWS :][: len(block.label_set)].astype(np.int64)
            cells = group * width + block.label_set + 1
            tally += np.bincount(cells[group >= 0], minlength=len(tally))
        return tally.reshape(count, width)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, ascending, with every other row of their contents."""

    rows: npt.NDArray[np.int64]
    content: npt.NDArray[np.uint64]
    label: Integers


@dataclass(frozen=True, slots=True)
class Keys:
    """The columns of all rows read, all sources one after the other."""

    blocks: Sequence[Block]
    places: Places
    rows: tuple[int, ...]  # how many rows each source had
    han_share: float  # of the letters of the first examples: whether they are Chinese

    def status(self) -> npt.NDArray[np.int8]:
        """The status of every row."""
        return np.concatenate([np.zeros(0, np.int8), *(block.status for block in self.blocks)])

    def parts(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Part]:
        """The ``wanted`` rows in one part or more, by ranges of their content: what sorts a part needs little memory.

        Decisions that rest on equal contents can be made for each part alone.
        """
        count = min(_MOST_PARTS, 1 + int(np.count_nonzero(wanted)) // _PART_ROWS)
        for number in range(count):
            yield self._part(wanted, number * 2**64 // count, (number + 1) * 2**64 // count - 1)

    def drawn(
        self, wanted: npt.NDArray[np.bool_], seed: int, purpose: str
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]]:
        """The ``wanted`` rows in reading order, some at a time, with what :func:`mix` makes of their content."""
        for number, block in enumerate(self.blocks):
            inside = np.flatnonzero(wanted[number * BLOCK_ROWS :][: len(block.status)])
            yield number * BLOCK_ROWS + inside, mix(block.content[inside], seed, purpose)

    def _part(self, wanted: npt.NDArray[np.bool_], first: int, last: int) -> Part:
        rows, content = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        label: list[Integers] = [np.zeros(0, np.uint8)]
        for number, block in enumerate(self.blocks):
            here = wanted[number * BLOCK_ROWS :][: len(block.status)]
            inside = np.flatnonzero(here & (block.content >= first) & (block.content <= last))
            rows.append(number * BLOCK_ROWS + inside)
            content.append(block.content[inside])
            label.append(block.label[inside])
        return Part(np.concatenate(rows), np.concatenate(content), np.concatenate(label))


def read_keys(
    sources: Sequence[Iterable[Example | Dropped]], kind: Kind, on_labels: Callable[[int], None] = lambda count: None
) -> Keys:
    """Read every source once, keeping only the columns. ``on_labels`` is told of every new category, and may raise."""
    columns = _Columns(kind, on_labels)
    rows = []
    for source in sources:
        count = 0
        for count, item in enumerate(source, 1):  # noqa: B007 - the count of the last one
            columns.add(item)
        rows.append(count)
    return columns.keys(tuple(rows))


def mix(keys: npt.NDArray[np.uint64], seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """A well-mixed number for each key, that depends on nothing but the key, the seed and the purpose (SplitMix64)."""
    salt = hashlib.blake2b(f"{seed}\x1f{purpose}".encode(), digest_size=8).digest()
    mixed = keys ^ np.uint64(int.from_bytes(salt, "big"))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class _Columns:
    """The columns while they grow: arrays of machine numbers, for a list of ten million Python integers is 400 MB."""

    def __init__(self, kind: Kind, on_labels: Callable[[int], None]) -> None:
        self.answers = _ANSWERS[kind]
        self.lacking = NO_REPLY if kind == "reply" else NO_LABEL
        self.on_labels = on_labels
        self.content, self.label, self.status = array("Q"), array("Q"), array("b")
        self.label_set, self.file, self.line = array("i"), array("i"), array("q")
        self.blocks: list[Block] = []
        self.told: list[Told] = []
        self.files: dict[str, int] = {}
        self.labels: dict[tuple[str, ...], int] = {}
        self.names: set[str] = set()
        self.han = self.letters = self.shown = 0

    def add(self, item: Example | Dropped) -> None:
        if len(self.status) == BLOCK_ROWS:
            self._close_block()
        status, content, label, label_set = UNREADABLE, 0, 0, -1
        if isinstance(item, Example):
            status, content = USED if isinstance(item.label, self.answers) else self.lacking, content_key(item)
            if status == USED and item.label is not None:
                label_set = self._label_set(item.label)
                label = _label_key(item, label_set)
            if self.shown < _SHOWN_EXAMPLES:
                self._look_at(item.text[:_SHOWN_CHARACTERS])
        name, line = _split_source(item.source)
        self.status.append(status)
        self.content.append(content)
        self.label.append(label)
        self.label_set.append(label_set)
        self.file.append(self.files.setdefault(name, len(self.files)))
        self.line.append(line)

    def keys(self, rows: tuple[int, ...]) -> Keys:
        if self.status:
            self._close_block()
        places = Places(tuple(self.told), tuple(self.files), tuple(self.labels))
        return Keys(tuple(self.blocks), places, rows, self.han / max(1, self.letters))

    def _close_block(self) -> None:
        self.blocks.append(Block(np.array(self.content), _narrow(self.label), np.array(self.status)))
        self.told.append(Told(_narrow(self.label_set), _narrow(self.file), _narrow(self.line)))
        for column in (self.content, self.label, self.status, self.label_set, self.file, self.line):
            del column[:]

    def _label_set(self, label: Label) -> int:
        names = _names(label)
        if names is None:
            return -1
        if names not in self.labels:
            self.labels[names] = len(self.labels)
            self.names.update(names)
            self.on_labels(len(self.names))
        return self.labels[names]

    def _look_at(self, text: str) -> None:
        self.shown += 1
        self.han += sum("\u4e00" <= character <= "\u9fff" for character in text)
        self.letters += sum(character.isalpha() for character in text)


def _narrow(column: "array[int]") -> Integers:
    """A copy in the smallest type that holds every value."""
    values = np.array(column)
    low, high = int(values.min()), int(values.max())
    types = _SIGNED if low < 0 else _UNSIGNED
    return values.astype(next(each for each in types if np.iinfo(each).min <= low and high <= np.iinfo(each).max))


def _names(label: Label) -> tuple[str, ...] | None:
    """The categories or span types in a label, sorted; None where the label is a reply."""
    match label:
        case Category(name):
            return (name,)
        case Categories(names):
            return tuple(sorted(set(names)))
        case Spans(spans):
            return tuple(sorted({span.name for span in spans}))
        case Reply():
            return None


def _label_key(example: Example, label_set: int) -> int:
    label = example.label
    if isinstance(label, Reply):
        content = label.text
    elif isinstance(label, Spans):
        # What is marked, not where: texts that differ only in white space or case have other offsets.
        text = example.text
        content = repr([(" ".join(text[each.start : each.end].casefold().split()), each.name) for each in label.spans])
    else:
        return label_set
    digest = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _split_source(source: str) -> tuple[str, int]:
    name, separator, line = source.rpartition(":")
    if separator and line.isascii() and line.isdigit() and (line == "0" or line[0] != "0"):
        return name, int(line)
    return source, -1
