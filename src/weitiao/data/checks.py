"""What a person should know of their data before training on them: near duplicates, near leaks, contradictions,
lengths.

Separate from the partition, which must be exact and fast: this reads the texts themselves, changes nothing, and may
look at a sample of a large file, which it then says.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from weitiao.data.findings import LISTED
from weitiao.data.ledger import Dropped, Problem
from weitiao.data.near import near_pairs
from weitiao.data.partition import SPLITS, Partition, Sources, assigned
from weitiao.example import Categories, Category, Example, Reply, Spans, content_key, normalized_text
from weitiao.words import t

NEAR_ROWS = 50_000
_NEAR_CHARACTERS = 2000
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Lengths:
    """Characters (code points) of the texts that are used: how many texts, and how long."""

    count: int
    shortest: int
    median: int
    longest_of_95: int  # 95 of 100 texts are no longer than this
    longest: int


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One text that came with different labels: the start of it, and each row as (source, label)."""

    text: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """``problems`` are near duplicates and near leaks, the first of each kind and their totals.

    ``lengths`` has "text" and, for replies, "reply". ``near_rows`` counts the rows that are almost another one.
    """

    problems: tuple[Problem, ...]
    contradictions: tuple[Contradiction, ...]
    lengths: Mapping[str, Lengths]
    near_rows: int


class Inspector:
    """Looks at rows on their way to somebody else, so that a large file need not be read once more for it.

    Memory: of ``near_rows`` rows the first 2,000 characters; near duplicates are looked for among these.
    """

    def __init__(self, partition: Partition, near_rows: int = NEAR_ROWS, seed: int = 0) -> None:
        self._partition = partition
        self._used = int(np.count_nonzero(partition.split_of >= 0))
        self._near_rows = near_rows
        self._sample = _sample(self._used, near_rows, seed)
        self._texts: list[_Text] = []
        self._keys: set[int] = set()
        # Rows by length, not the length of each row: a thousand different lengths are half a million characters
        self._lengths: dict[str, Counter[int]] = {"text": Counter(), "reply": Counter()}
        self._contradictions: dict[int, tuple[str, list[tuple[str, str]]]] = {}

    def watch(self, rows: Iterable[tuple[Example | Dropped, str]]) -> Iterator[tuple[Example | Dropped, str]]:
        """The ``rows`` that :func:`weitiao.data.partition.assigned` gives, from the first to the last, as they are."""
        texts, replies = self._lengths["text"], self._lengths["reply"]
        wanted, used = next(self._sample, -1), 0
        for row, (item, split) in enumerate(rows):
            if isinstance(item, Example):
                if split:
                    texts[len(item.text)] += 1
                    if isinstance(item.label, Reply):
                        replies[len(item.label.text)] += 1
                    if used == wanted:
                        wanted = next(self._sample, -1)
                        self._keep(item, split)
                    used += 1
                elif self._partition.dropped.reason(row) == "contradiction":
                    self._contradict(item)
            yield item, split

    def look(self, sources: Sources) -> None:
        """Read all sources once more, for nothing else."""
        for _ in self.watch(assigned(sources, self._partition)):
            pass

    def inspection(self) -> Inspection:
        """What was seen."""
        problems, near = _near_problems(self._texts)
        if self._used > self._near_rows:
            counts = {"count": self._near_rows, "total": self._used}
            text = t("near duplicates were looked for among {count} of {total} rows", **counts)
            problems = [*problems, Problem("sampled", "", text)]
        contradictions = tuple(Contradiction(text, tuple(rows)) for text, rows in self._contradictions.values())
        lengths = {name: _lengths(counted) for name, counted in self._lengths.items() if counted}
        return Inspection(tuple(problems), contradictions, lengths, near)

    def _keep(self, example: Example, split: str) -> None:
        key = content_key(example)
        if key not in self._keys:  # the same prompt with another reply is no near duplicate
            self._keys.add(key)
            self._texts.append(_Text(normalized_text(example)[:_NEAR_CHARACTERS], example.source, split))

    def _contradict(self, example: Example) -> None:
        key = content_key(example)
        if key in self._contradictions or len(self._contradictions) < LISTED:
            _, rows = self._contradictions.setdefault(key, (example.text[:_SHOWN_CHARACTERS], []))
            if len(rows) < LISTED:
                rows.append((example.source, _label_text(example)))


def inspect(sources: Sources, partition: Partition, near_rows: int = NEAR_ROWS, seed: int = 0) -> Inspection:
    """Read the sources once more, only to look at their texts; see :class:`Inspector`."""
    inspector = Inspector(partition, near_rows, seed)
    inspector.look(sources)
    return inspector.inspection()


@dataclass(frozen=True, slots=True)
class _Text:
    text: str  # normalised
    source: str
    split: str


def _sample(used: int, limit: int, seed: int) -> Iterator[int]:
    if used <= limit:
        return iter(range(used))
    chosen = np.random.Generator(np.random.PCG64([seed, limit])).choice(used, limit, replace=False)
    return iter(np.sort(chosen).tolist())


def _near_problems(texts: Sequence[_Text]) -> tuple[list[Problem], int]:
    twins: list[Problem] = []
    leaks: list[Problem] = []
    pairs = near_pairs([text.text for text in texts], [SPLITS.index(text.split) for text in texts])
    for pair in pairs:
        one, other, percent = texts[pair.row], texts[pair.other], round(100 * pair.alike)
        if one.split == other.split:
            message = t("almost repeats {other} ({percent} % the same)", other=other.source, percent=percent)
            twins.append(Problem("near_duplicate", one.source, message))
        else:
            message = t(
                "is in the {split} split and almost repeats {other} in the {other_split} split ({percent} % the same)",
                split=one.split,
                other=other.source,
                other_split=other.split,
                percent=percent,
            )
            leaks.append(Problem("near_leak", one.source, message))
    return [*_listed(leaks), *_listed(twins)], len({pair.row for pair in pairs})


def _listed(problems: Sequence[Problem]) -> list[Problem]:
    if len(problems) <= LISTED:
        return list(problems)
    total = Problem(problems[0].kind, "", t("such rows in all: {count}", count=len(problems)))
    return [*problems[:LISTED], total]


def _lengths(counts: Mapping[int, int]) -> Lengths:
    lengths = np.array(sorted(counts))
    ends = np.cumsum([counts[length] for length in lengths.tolist()])
    total = int(ends[-1])
    places = np.ceil(np.array([0, 0.5, 0.95, 1]) * (total - 1))
    shortest, median, most, longest = lengths[np.searchsorted(ends, places, side="right")].tolist()
    return Lengths(total, shortest, median, most, longest)


def _label_text(example: Example) -> str:
    match example.label:
        case Category(name):
            return name
        case Categories(names):
            return ", ".join(names)
        case Spans(spans):
            return ", ".join(f"{example.text[span.start : span.end]} ({span.name})" for span in spans)
        case _:
            return ""
