"""A data set: a file or folder as a stream of examples that can be walked again and again.

Separate because everything above wants examples only: which format, shape and task they come from is settled here,
once, when the data set is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from weitiao.data import files as data_files
from weitiao.data.files import File
from weitiao.data.folders import locate
from weitiao.data.layout import Hints, Layout, find_shape, make_layout
from weitiao.data.ledger import Dropped, Problem
from weitiao.data.notes import Notes
from weitiao.data.reading import Reading, ReadingHints, find_reading, read_records
from weitiao.data.record import Record
from weitiao.data.shapes import Shape, make_converter
from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.example import Example
from weitiao.words import t

__all__ = ["Dataset", "Hints", "Layout", "open_dataset"]

LOOKED_AT_RECORDS = 1000
COMPARED_IDS = 200_000
_NAMED_FAILURES = 5
# Not the file's fault: these rows were set aside on purpose
_NO_FAILURE = frozenset(("rejected",))


class Dataset:
    """Examples of one file or folder, streamed; each walk reads the files again and must find them unchanged.

    ``notes`` says what was accepted although it is not as it should be; a whole walk completes its counts.
    """

    def __init__(
        self, path: Path, files: Sequence[File], reading: Reading, shape: Shape, layout: Layout, notes: Notes
    ) -> None:
        self.path = path
        self.layout = layout
        self.notes: list[Problem] = notes.problems()
        self._files = tuple(files)
        self._reading = reading
        self._shape = shape
        self._found_on_opening = notes

    def __iter__(self) -> Iterator[Example | Dropped]:
        """Every row as an example or as dropped. DataError at a broken file, or at the end when most is unusable."""
        notes, failures, ids = Notes(), _Failures(visible(self.path.name)), _Ids()
        convert = make_converter(self._shape, notes)
        try:
            for record in read_records(self._files, self._reading, notes):
                if isinstance(record, Record):
                    ids.compare(record, notes)
                    item = convert(record)
                else:
                    item = record
                failures.count_in(item)
                yield item
        except DataError:
            for file in self._files:
                data_files.check_unchanged(file)
            raise
        failures.refuse_if_most()
        notes.merge(self._found_on_opening)
        self.notes = notes.problems()

    def digest(self) -> str:
        """sha256 (hex) over the bytes of the files. DataError when one changed since the data set was opened."""
        return data_files.digest(self._files)


def open_dataset(path: Path, hints: Hints = Hints()) -> Dataset:  # noqa: B008 - frozen, without state
    """Find out what the data at ``path`` are, by looking at the first thousand records. Raises DataError."""
    notes = Notes()
    located = locate(path, notes)
    asked = ReadingHints(hints.format, hints.header, hints.documents or located.documents, hints.columns())
    reading = find_reading(located.files, asked, notes)
    looked_at = _look(located.files, reading)
    records = [item for item in looked_at if isinstance(item, Record)]
    failures = _Failures(visible(path.name))
    failures.refuse_if_empty(looked_at)
    if not records:
        failures.refuse_if_all(item for item in looked_at if isinstance(item, Dropped))
    shape = find_shape([record.fields for record in records], hints, located.entry)
    convert = make_converter(shape, Notes())
    items = [convert(record) for record in records]
    examples = [item for item in items if isinstance(item, Example)]
    if not examples:
        failures.refuse_if_all(item for item in items if isinstance(item, Dropped))
    layout = make_layout(reading, shape, examples, _class_names(located.files), hints)
    return Dataset(path, located.files, reading, shape, layout, notes)


def _look(files: Sequence[File], reading: Reading) -> list[Record | Dropped]:
    """The first records; of class folders, as many of each class."""
    classes = _class_names(files)
    if not classes:
        return list(islice(read_records(files, reading, Notes()), LOOKED_AT_RECORDS))
    found: list[Record | Dropped] = []
    for name in classes:
        of_class = read_records([file for file in files if file.label == name], reading, Notes())
        found += islice(of_class, max(1, LOOKED_AT_RECORDS // len(classes)))
    return found


def _class_names(files: Sequence[File]) -> list[str]:
    return sorted({file.label for file in files if file.label})


class _Failures:
    """Counts rows that are unusable, to refuse a file of which most is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read = 0
        self.count = 0
        self.first: list[Dropped] = []

    def count_in(self, item: Example | Dropped) -> None:
        self.read += 1
        if isinstance(item, Dropped) and item.reason not in _NO_FAILURE:
            self.count += 1
            if len(self.first) < _NAMED_FAILURES:
                self.first.append(item)

    def refuse_if_empty(self, rows: Sequence[object]) -> None:
        if not rows:
            raise DataError(t("{name} holds no rows", name=self.name), t("give a file with at least a few rows"))

    def refuse_if_all(self, dropped: Iterator[Dropped]) -> None:
        for item in dropped:
            self.count_in(item)
        self.refuse_if_most()

    def refuse_if_most(self) -> None:
        if 2 * self.count <= self.read:
            return
        first = "; ".join(f"{item.source} {item.detail}" for item in self.first)
        raise DataError(
            t(
                "{count} of {read} rows of {name} cannot be used: {first}",
                count=self.count,
                read=self.read,
                name=self.name,
                first=first,
            ),
            t("mend these rows, or name the right columns: --text-column, --label-column, --prompt-column, …"),
        )


class _Ids:
    """Notes rows whose ``id`` an earlier row had, among the first 200,000 ids."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def compare(self, record: Record, notes: Notes) -> None:
        value = record.fields.get("id")
        if value is None or isinstance(value, (list, dict)) or len(self.seen) >= COMPARED_IDS:
            return
        first = self.seen.setdefault(str(value), record.source)
        if first != record.source:
            notes.add("duplicate_id", record.source, f"{first} = {record.source}")
