"""A dataset that is a list, for tests of what is done with rows once they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weitiao.data.ledger import Dropped
from weitiao.example import Category, Example, Kind, Label, Message, make_example

Item = Example | Dropped


@dataclass
class FakeLayout:
    kind: Kind
    columns: dict[str, str] = field(default_factory=lambda: {"text": "v2", "label": "v1"})


@dataclass
class FakeDataset:
    """What the partition needs of a dataset: a path, a layout, and rows that can be read again."""

    items: Sequence[Item]
    layout: FakeLayout
    path: Path = Path("data.csv")

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


def dataset(rows: Sequence[tuple[str, Label | None] | Dropped], kind: Kind = "classify", name: str = "a.csv"):
    role = "user" if kind == "reply" else "document"
    items = [
        row if isinstance(row, Dropped) else make_example((Message(role, row[0]),), row[1], f"{name}:{place + 2}")
        for place, row in enumerate(rows)
    ]
    return FakeDataset(items, FakeLayout(kind), Path(name))


def texts(count: int, start: int = 0) -> list[tuple[str, Label]]:
    return [(f"text number {n}", Category(("ham", "spam")[n % 2])) for n in range(start, start + count)]
