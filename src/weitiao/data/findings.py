"""What the partition found, in words: why each row was left out, and what a person should know of their data.

Separate because the decisions are numbers and these are sentences; they are made when asked for, never for ten
million rows.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from weitiao.data.keys import UNREADABLE, USED, Places
from weitiao.data.ledger import Problem
from weitiao.data.overlap import joined
from weitiao.data.screening import REASONS, Finding, Screening
from weitiao.words import t

LISTED = 20  # of each kind of problem; the total is always said
_MAJORITY = 0.8
_FEW_ROWS = 10
_BECAUSE_OF_ANOTHER = ("leak", "contradiction", "duplicate")


class Drops(Mapping[int, tuple[str, str]]):
    """The rows that the partition left out, each with its reason and a detail for people, made when it is looked up."""

    def __init__(self, places: Places, screening: Screening) -> None:
        self._places = places
        self._reason = screening.reason
        self._because = joined([finding.overlap for finding in screening.findings if finding.left_out])

    def __getitem__(self, row: int) -> tuple[str, str]:
        if not 0 <= row < len(self._reason) or self._reason[row] in (USED, UNREADABLE):
            raise KeyError(row)
        reason = self.reason(row)
        return reason, _detail(self._places, reason, row, self._other(row) if reason in _BECAUSE_OF_ANOTHER else row)

    def __iter__(self) -> Iterator[int]:
        return (int(row) for row in self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    def reason(self, row: int) -> str:
        """The reason of a row, ``""`` when it is used: without making the detail."""
        return REASONS[self._reason[row]]

    def totals(self) -> dict[str, int]:
        """Rows by reason, those that could not be read included."""
        counts = np.bincount(self._reason, minlength=len(REASONS)).tolist()
        return {reason: count for reason, count in zip(REASONS, counts, strict=True) if reason and count}

    def _other(self, row: int) -> int:
        return int(self._because.others[np.searchsorted(self._because.rows, row)])

    def _rows(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero((self._reason != USED) & (self._reason != UNREADABLE))


def overlap_problems(places: Places, findings: Sequence[Finding]) -> Iterator[Problem]:
    """The first rows of each finding, and how many there are where not all are listed."""
    for finding in findings:
        reason, rows, others = finding.reason, finding.overlap.rows, finding.overlap.others
        for row, other in zip(rows[:LISTED].tolist(), others[:LISTED].tolist(), strict=True):
            yield Problem(reason, places.place(row), _detail(places, reason, row, other))
        if len(rows) and not finding.left_out:
            yield Problem(
                reason,
                "",
                t("such rows: {count}; they stay, because their file is used as it was given", count=len(rows)),
            )
        elif len(rows) > LISTED:
            yield Problem(reason, "", t("such rows in all: {count}; they are left out", count=len(rows)))


def balance_problems(counts: Mapping[str, Mapping[str, int]], categories: Sequence[str]) -> Iterator[Problem]:
    """Categories with too few rows to learn or to measure, and one so frequent that accuracy alone says little."""
    train = counts["train"]
    total = sum(train.values())
    rare = [name for name in categories if 0 < train.get(name, 0) < _FEW_ROWS]
    for name in rare[:LISTED]:
        yield Problem(
            "imbalance", "train", t("{name} has few rows to learn from: {count}", name=name, count=train[name])
        )
    missing = [(split, name) for split, rows in counts.items() if rows for name in categories if not rows.get(name, 0)]
    for split, name in missing[:LISTED]:
        if split == "train":
            message = t("{name} has no row to learn from", name=name)
        else:
            message = t("{name} has no row there, so nothing can be said about it", name=name)
        yield Problem("imbalance", split, message)
    if len(rare) > LISTED or len(missing) > LISTED:
        yield Problem("imbalance", "", t("such findings in all: {count}", count=len(rare) + len(missing)))
    for name in categories:
        share = train.get(name, 0) / max(1, total)
        if share >= _MAJORITY:
            percent = round(100 * share)
            text = t(
                "{percent} % are {name}: always answering that would be right as often", percent=percent, name=name
            )
            yield Problem("imbalance", "train", text)


def _detail(places: Places, reason: str, row: int, other: int) -> str:
    match reason:
        case "leak":
            return t("the same text is held out, at {other}", other=places.place(other))
        case "contradiction":
            return t(
                "labelled {label}, but the same text at {other} is labelled {other_label}",
                label=places.label_names(row) or '""',
                other=places.place(other),
                other_label=places.label_names(other) or '""',
            )
        case "duplicate":
            return t("repeats {other}", other=places.place(other))
        case "no_label":
            return t("has no label")
        case "no_reply":
            return t("has no reply to learn from")
        case "over_max_train":
            return t("not among the rows to learn from that max_train_samples allows")
        case _:
            return t("not among the rows that max_samples allows")
