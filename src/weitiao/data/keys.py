"""What the first pass keeps of each row: 33 bytes in numpy columns, so that ten million rows fit in memory.

Separate because reading rows into columns, and mixing their keys into stable random numbers, is needed by every
decision about them and depends on none.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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
_SHOWN_EXAMPLES = 1000
_SHOWN_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Keys:
    """One row of each column for each row read, all sources one after the other.

    ``labels`` holds each distinct set of category names once; ``label_set`` points into it, -1 where there is none.
    """

    content: npt.NDArray[np.uint64]  # [rows] content_key
    label: npt.NDArray[np.uint64]  # [rows] hash of what should come out; equal means the same answer
    label_set: npt.NDArray[np.int32]  # [rows]
    status: npt.NDArray[np.int8]  # [rows] USED, UNREADABLE, NO_LABEL, NO_REPLY
    file: npt.NDArray[np.int32]  # [rows] into files
    line: npt.NDArray[np.int64]  # [rows] -1 where the source names no line
    files: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    rows: tuple[int, ...]  # how many rows each source had
    han_share: float  # of the letters of the first examples: whether they are Chinese

    def place(self, row: int) -> str:
        """The row's source, as the example says it: ``sms.csv:118``."""
        name = self.files[self.file[row]]
        return name if self.line[row] < 0 else f"{name}:{self.line[row]}"

    def label_names(self, row: int) -> str:
        """The categories of a row, for people."""
        return ", ".join(self.labels[self.label_set[row]])


def read_keys(
    sources: Sequence[Iterable[Example | Dropped]], kind: Kind, on_labels: Callable[[int], None] = lambda count: None
) -> Keys:
    """Read every source once, keeping only the columns. ``on_labels`` is told of every new category, and may raise."""
    columns = _Columns(kind, on_labels)
    rows = []
    for source in sources:
        before = len(columns.status)
        for item in source:
            columns.add(item)
        rows.append(len(columns.status) - before)
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
        self.kind = kind
        self.on_labels = on_labels
        self.content, self.label, self.label_set = array("Q"), array("Q"), array("i")
        self.status, self.file, self.line = array("b"), array("i"), array("q")
        self.files: dict[str, int] = {}
        self.labels: dict[tuple[str, ...], int] = {}
        self.names: set[str] = set()
        self.han = self.letters = 0

    def add(self, item: Example | Dropped) -> None:
        name, line = _split_source(item.source)
        self.file.append(self.files.setdefault(name, len(self.files)))
        self.line.append(line)
        if isinstance(item, Dropped):
            self._append(UNREADABLE, 0, 0, -1)
            return
        status = _status(item.label, self.kind)
        if status != USED or item.label is None:
            self._append(status, content_key(item), 0, -1)
        else:
            self._append(USED, content_key(item), _label_key(item), self._label_set(item.label))
        if len(self.status) <= _SHOWN_EXAMPLES:
            self._look_at(item.text[:_SHOWN_CHARACTERS])

    def keys(self, rows: tuple[int, ...]) -> Keys:
        return Keys(
            content=np.frombuffer(self.content, np.uint64),
            label=np.frombuffer(self.label, np.uint64),
            label_set=np.frombuffer(self.label_set, np.int32),
            status=np.frombuffer(self.status, np.int8),
            file=np.frombuffer(self.file, np.int32),
            line=np.frombuffer(self.line, np.int64),
            files=tuple(self.files),
            labels=tuple(self.labels),
            rows=rows,
            han_share=self.han / max(1, self.letters),
        )

    def _append(self, status: int, content: int, label: int, label_set: int) -> None:
        self.status.append(status)
        self.content.append(content)
        self.label.append(label)
        self.label_set.append(label_set)

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
        self.han += sum("\u4e00" <= character <= "\u9fff" for character in text)
        self.letters += sum(character.isalpha() for character in text)


def _status(label: Label | None, kind: Kind) -> int:
    if kind == "reply":
        return USED if isinstance(label, Reply) else NO_REPLY
    if kind == "classify":
        return USED if isinstance(label, Category | Categories) else NO_LABEL
    if kind == "mark":
        return USED if isinstance(label, Spans) else NO_LABEL
    return USED


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


def _label_key(example: Example) -> int:
    label = example.label
    if isinstance(label, Spans):
        # What is marked, not where: texts that differ only in white space or case have other offsets.
        text = example.text
        marked = [(" ".join(text[span.start : span.end].casefold().split()), span.name) for span in label.spans]
        content = repr(marked)
    elif isinstance(label, Reply):
        content = label.text
    else:
        content = repr(_names(label) if label is not None else None)
    digest = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _split_source(source: str) -> tuple[str, int]:
    name, separator, line = source.rpartition(":")
    if separator and line.isascii() and line.isdigit() and (line == "0" or line[0] != "0"):
        return name, int(line)
    return source, -1
