"""Which rows leave before the others are divided: leaks first, then contradictions, then duplicates.

Separate because these rules hold also for data that cannot be divided. They are decided on keys, part by part, so that
ten million rows are never sorted at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weitiao.data.keys import USED, Keys, Part
from weitiao.data.overlap import Overlap, Rows, contradictions, duplicates, joined, leaks
from weitiao.example import Kind

TRAIN, DEV, TEST = 0, 1, 2
# Why a row is left out, by number: the statuses of keys, then what is found here and by the partition.
REASONS = (
    "",
    "unreadable",
    "no_label",
    "no_reply",
    "leak",
    "contradiction",
    "duplicate",
    "over_max_rows",
    "over_max_train",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows that say the same as others; ``left_out`` unless they are of data that is used as it was given."""

    reason: str
    left_out: bool
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class Screening:
    """What became of every row. Who divides the rows that stay enters reasons of its own in ``reason``."""

    reason: npt.NDArray[np.int8]  # [rows] into REASONS, USED where the row stays
    findings: tuple[Finding, ...]


def screen(keys: Keys, splits: Sequence[int], kind: Kind) -> Screening:
    """Decide about all rows; ``splits`` says what each source is for: TRAIN, DEV or TEST."""
    ends = np.cumsum(keys.rows)
    reason = keys.status()
    of_parts = []
    for part in keys.parts(reason == USED):
        origin = np.array(splits, np.int8)[np.searchsorted(ends, part.rows, side="right")]
        findings = _screen_part(part, origin, single=kind in ("classify", "mark"))
        for finding in findings:
            if finding.left_out:
                reason[finding.overlap.rows] = REASONS.index(finding.reason)
        of_parts.append(findings)
    return Screening(reason, tuple(_together(findings) for findings in zip(*of_parts, strict=True)))


def _screen_part(part: Part, origin: npt.NDArray[np.int8], single: bool) -> list[Finding]:
    """The same findings in the same order for every part, some without rows. ``single``: only one label is right."""
    stays = np.ones(len(part.rows), bool)
    findings: list[Finding] = []

    def rows(*splits: int) -> Rows:
        return np.flatnonzero(np.isin(origin, splits) & stays)

    def enter(reason: str, overlap: Overlap, left_out: bool = True) -> None:
        if left_out:
            stays[overlap.rows] = False
        findings.append(Finding(reason, left_out, Overlap(part.rows[overlap.rows], part.rows[overlap.others])))

    # A dev row that is also a test row would let the test choose the best checkpoint.
    enter("leak", leaks(part.content, rows(TRAIN, DEV), rows(TEST)))
    enter("leak", leaks(part.content, rows(TRAIN), rows(DEV)))
    for split in (TRAIN, DEV, TEST):
        # To a prompt there may be several good replies; of a label or of marks only one can be right.
        if single:
            enter("contradiction", contradictions(part.content, part.label, rows(split)), split == TRAIN)
        enter("duplicate", duplicates(part.content, part.label, rows(split)), split == TRAIN)
    return findings


def _together(findings: Sequence[Finding]) -> Finding:
    return Finding(findings[0].reason, findings[0].left_out, joined([finding.overlap for finding in findings]))
