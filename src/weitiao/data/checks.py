"""What a person should know of their data before training on them: near duplicates, near leaks, contradictions,
lengths.

Separate from the partition, which must be exact and fast: this reads the texts themselves, changes nothing, and may
look at a sample of a large file, which it then says.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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


def inspect(sources: Sources, partition: Partition, near_rows: int = NEAR_ROWS, seed: int = 0) -> Inspection:
    """Read the sources once more and look at their texts. Near duplicates are looked for among ``near_rows`` rows at
    most.

    Memory: the texts of those rows (their first 2,000 characters) and 8 bytes for each other row.
    """
    used = np.flatnonzero(partition.split_of >= 0)
    looked_at = np.zeros(len(partition.split_of), bool)
    looked_at[_sample(used, near_rows, seed)] = True
    gathered = _Gathered()
    for row, (item, split) in enumerate(assigned(sources, partition)):
        if isinstance(item, Dropped):
            continue
        if split:
            gathered.measure(item)
            if looked_at[row]:
                gathered.keep(item, split)
        elif partition.dropped.reason(row) == "contradiction":
            gathered.contradict(item)
    problems, near = _near_problems(gathered.texts)
    if len(used) > near_rows:
        text = t("near duplicates were looked for among {count} of {total} rows", count=near_rows, total=len(used))
        problems = [*problems, Problem("sampled", "", text)]
    contradictions = tuple(Contradiction(text, tuple(rows)) for text, rows in gathered.contradictions.values())
    lengths = {name: _lengths(values) for name, values in gathered.lengths.items() if len(values)}
    return Inspection(tuple(problems), contradictions, lengths, near)


@dataclass(frozen=True, slots=True)
class _Text:
    text: str  # normalised
    source: str
    split: str


@dataclass(slots=True)
class _Gathered:
    """What one pass over the rows leaves behind."""

    texts: list[_Text] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)
    lengths: dict[str, "array[int]"] = field(default_factory=lambda: {"text": array("q"), "reply": array("q")})
    contradictions: dict[int, tuple[str, list[tuple[str, str]]]] = field(default_factory=dict)

    def measure(self, example: Example) -> None:
        self.lengths["text"].append(len(example.text))
        if isinstance(example.label, Reply):
            self.lengths["reply"].append(len(example.label.text))

    def keep(self, example: Example, split: str) -> None:
        key = content_key(example)
        if key not in self.keys:  # the same prompt with another reply is no near duplicate
            self.keys.add(key)
            self.texts.append(_Text(normalized_text(example)[:_NEAR_CHARACTERS], example.source, split))

    def contradict(self, example: Example) -> None:
        key = content_key(example)
        if key in self.contradictions or len(self.contradictions) < LISTED:
            _, rows = self.contradictions.setdefault(key, (example.text[:_SHOWN_CHARACTERS], []))
            if len(rows) < LISTED:
                rows.append((example.source, _label_text(example)))


def _sample(used: np.ndarray, limit: int, seed: int) -> np.ndarray:
    if len(used) <= limit:
        return used
    return np.random.Generator(np.random.PCG64([seed, limit])).choice(used, limit, replace=False)


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


def _lengths(values: "array[int]") -> Lengths:
    lengths = np.frombuffer(values, np.int64)
    shortest, median, most, longest = np.quantile(lengths, [0, 0.5, 0.95, 1], method="higher").tolist()
    return Lengths(len(lengths), shortest, median, most, longest)


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
