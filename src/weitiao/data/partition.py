"""Decide which rows are trained on, which steer the training and which only measure it: no text is in two of them.

Separate because every later number rests on this. The first pass keeps a few bytes of each row
(:mod:`weitiao.data.keys`) and decides on those; the second, :func:`assigned`, reads the rows again together with what
was decided. A row's split depends on its own text and the seed alone, so that adding rows moves no other row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from weitiao.data.dataset import Dataset
from weitiao.data.findings import Drops, balance_problems, overlap_problems
from weitiao.data.keys import USED, Keys, mix, read_keys
from weitiao.data.ledger import Dropped, Problem
from weitiao.data.overlap import Overlap, contradictions, duplicates, leaks
from weitiao.errors import DataError, SettingsError
from weitiao.example import Example, Kind, Task
from weitiao.words import t

SPLITS = ("train", "dev", "test")
TRAIN, DEV, TEST, DROPPED = 0, 1, 2, -1
MAX_CATEGORIES = 200
_LISTED_IN_QUESTION = 20


@dataclass(frozen=True)
class Sources:
    """The user's data, and the dev and test data of their own where they gave any."""

    main: Dataset
    dev: Dataset | None = None
    test: Dataset | None = None

    @property
    def given(self) -> tuple[tuple[Dataset, int], ...]:
        """Those there are, in reading order, each with the split that it is for (main: TRAIN, still to be divided)."""
        every = ((self.main, TRAIN), (self.dev, DEV), (self.test, TEST))
        return tuple((dataset, split) for dataset, split in every if dataset is not None)


@dataclass(frozen=True)
class Partition:
    """What was decided about every row read, in reading order: main, then dev, then test.

    ``counts`` are rows by split and category (``""`` for rows without one); a row of several categories counts in each.
    ``dropped`` holds the rows that were left out here; those that could not be read say so themselves.
    """

    task: Task
    split_of: npt.NDArray[np.int8]  # [rows] index into SPLITS, -1 dropped
    dropped: Drops  # row to (reason, detail in the user's language)
    counts: Mapping[str, Mapping[str, int]]
    problems: tuple[Problem, ...]
    rows: tuple[int, ...]  # rows of each source


def partition(
    sources: Sources,
    dev_share: float = 0.1,
    test_share: float = 0.2,
    seed: int = 0,
    question: str | None = None,
    max_rows: int | None = None,
) -> Partition:
    """Read all sources once and give every row its split, or the reason why it has none.

    Given dev and test data are kept whole, and their texts leave the others; contradicting rows all go, of equal ones
    the first stays. ``max_rows`` bounds the rows taken from ``sources.main``, chosen by hash: a file sorted by label
    still gives every label. Two texts or more give a train split that is not empty, three give all the splits that
    were asked for. Raises SettingsError for impossible shares, DataError when nothing is left to train on, the
    sources are of different kinds, or the categories are fewer than 2 or more than 200.
    """
    _check_bounds(dev_share, test_share, max_rows)
    kind = _kind(sources)
    keys = read_keys([dataset for dataset, _ in sources.given], kind, lambda count: _check_count(count, sources.main))
    screening = _screen(keys, sources, kind)
    if max_rows is not None:
        _limit(screening, keys, max_rows, seed)
    shares = (dev_share if sources.dev is None else 0.0, test_share if sources.test is None else 0.0)
    split_of = _split(screening, keys, shares, seed)
    dropped = Drops(keys, screening.reason, screening.other)
    _check_left(split_of, dropped, sources.main)
    task = _task(kind, keys, split_of, question, sources.main)
    counts = _counts(keys, split_of)
    problems = (*overlap_problems(keys, screening.overlaps), *balance_problems(counts, task.categories))
    return Partition(task, split_of, dropped, counts, problems, keys.rows)


def assigned(sources: Sources, partition: Partition) -> Iterator[tuple[Example | Dropped, str]]:
    """Read all sources again, in the same order: each row with the name of its split, ``""`` when it has none.

    Raises DataError when a source no longer has the rows that were partitioned.
    """
    row = 0
    for (dataset, _), count in zip(sources.given, partition.rows, strict=True):
        read = 0
        for item in islice(iter(dataset), count + 1):
            read += 1
            if read > count:
                break
            split = int(partition.split_of[row])
            yield item, SPLITS[split] if split >= 0 else ""
            row += 1
        if read != count:
            raise DataError(
                t("{path} has changed since it was first read", path=dataset.path),
                t("start again, and leave the file alone until the run has begun"),
            )


@dataclass(slots=True)
class _Screening:
    """Filled step by step: why each row is left out (0: it is not), because of which other row, what to tell of it."""

    origin: npt.NDArray[np.int8]  # [rows] TRAIN, DEV or TEST: the source
    reason: npt.NDArray[np.int8]  # [rows] a status of keys, or an index of Drops.REASONS
    other: npt.NDArray[np.int64]  # [rows] -1 where no other row is the cause
    overlaps: list[tuple[str, bool, Overlap]]  # (reason, whether the rows were left out, rows)

    def rows(self, *origins: int) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.origin, origins) & (self.reason == USED))

    def drop(self, reason: str, overlap: Overlap) -> None:
        self.reason[overlap.rows] = Drops.REASONS.index(reason)
        self.other[overlap.rows] = overlap.others
        self.overlaps.append((reason, True, overlap))


def _screen(keys: Keys, sources: Sources, kind: Kind) -> _Screening:
    origins = [np.full(count, split, np.int8) for (_, split), count in zip(sources.given, keys.rows, strict=True)]
    total = len(keys.status)
    screening = _Screening(np.concatenate(origins), keys.status.copy(), np.full(total, -1, np.int64), [])
    # A dev row that is also a test row would let the test choose the best checkpoint.
    screening.drop("leak", leaks(keys.content, screening.rows(TRAIN, DEV), screening.rows(TEST)))
    screening.drop("leak", leaks(keys.content, screening.rows(TRAIN), screening.rows(DEV)))
    # To a prompt there may be several good replies; of a label or of marks only one can be right.
    single = kind in ("classify", "mark")
    if single:
        screening.drop("contradiction", contradictions(keys.content, keys.label, screening.rows(TRAIN)))
    screening.drop("duplicate", duplicates(keys.content, keys.label, screening.rows(TRAIN)))
    for split in (DEV, TEST):
        rows = screening.rows(split)
        if single:
            screening.overlaps.append(("contradiction", False, contradictions(keys.content, keys.label, rows)))
        screening.overlaps.append(("duplicate", False, duplicates(keys.content, keys.label, rows)))
    return screening


def _limit(screening: _Screening, keys: Keys, max_rows: int, seed: int) -> None:
    rows = screening.rows(TRAIN)
    order = np.argsort(mix(keys.content[rows], seed, "choose"), kind="stable")
    screening.reason[rows[order[max_rows:]]] = Drops.REASONS.index("over_max_rows")


def _split(screening: _Screening, keys: Keys, shares: tuple[float, float], seed: int) -> npt.NDArray[np.int8]:
    split_of = np.where(screening.reason == USED, screening.origin, DROPPED).astype(np.int8)
    rows = screening.rows(TRAIN)
    drawn, group_of = np.unique(mix(keys.content[rows], seed, "split"), return_inverse=True)
    dev_groups, test_groups = _group_counts(drawn, *shares)
    # The groups with the lowest draws are tested, those above them steer: more dev rows never take a test row.
    split_of[rows[group_of < test_groups + dev_groups]] = DEV
    split_of[rows[group_of < test_groups]] = TEST
    return split_of


def _group_counts(drawn: npt.NDArray[np.uint64], dev_share: float, test_share: float) -> tuple[int, int]:
    """How many of the groups, ascending by draw, are for dev and for test; at least one of each if there are enough."""
    share_of_group = drawn / 2.0**64
    test = int(np.count_nonzero(share_of_group < test_share))
    dev = int(np.count_nonzero(share_of_group < test_share + dev_share)) - test
    if len(drawn) >= 3:
        test = max(test, int(test_share > 0))
        dev = max(dev, int(dev_share > 0))
    while test + dev > max(0, len(drawn) - 1):
        if dev > test:
            dev -= 1
        else:
            test -= 1
    return dev, test


def _task(kind: Kind, keys: Keys, split_of: npt.NDArray[np.int8], question: str | None, main: Dataset) -> Task:
    sets = np.unique(keys.label_set[split_of >= 0])
    categories = tuple(sorted({name for index in sets if index >= 0 for name in keys.labels[index]}))
    if kind not in ("classify", "mark"):
        return Task(kind, question or "")
    if kind == "classify" and len(categories) < 2:
        raise DataError(
            t("{path} has one category only: {names}", path=main.path, names=", ".join(categories) or '""'),
            _column_hint(main),
        )
    return Task(kind, question or _default_question(kind, categories, keys.han_share), categories)


def _default_question(kind: Kind, categories: Sequence[str], han_share: float) -> str:
    # In the language of the data, not of the user: the model reads it, and a run must not depend on who starts it.
    chinese = han_share > 0.3
    names = ("、" if chinese else ", ").join(categories)
    listed = len(categories) <= _LISTED_IN_QUESTION
    if kind == "mark":
        return f"找出下面文本中的这些内容：{names}。" if chinese else f"Find these in the text: {names}."
    if chinese:
        return f"下面的文本属于哪一类？可选：{names}。" if listed else "下面的文本属于哪一类？"
    return (
        f"Which category does this text belong to: {names}?" if listed else "Which category does this text belong to?"
    )


def _counts(keys: Keys, split_of: npt.NDArray[np.int8]) -> Mapping[str, Mapping[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for split, name in enumerate(SPLITS):
        sets, rows = np.unique(keys.label_set[split_of == split], return_counts=True)
        total: dict[str, int] = {}
        for index, count in zip(sets, rows, strict=True):
            for category in (keys.labels[index] if index >= 0 else ()) or ("",):
                total[category] = total.get(category, 0) + int(count)
        counts[name] = dict(sorted(total.items()))
    return counts


def _check_bounds(dev_share: float, test_share: float, max_rows: int | None) -> None:
    if not (dev_share >= 0 and test_share >= 0 and dev_share + test_share < 1):
        raise SettingsError(
            t(
                "a dev share of {dev} and a test share of {test} leave nothing to train on",
                dev=dev_share,
                test=test_share,
            ),
            t("both must be 0 or more, and together less than 1"),
        )
    if max_rows is not None and max_rows < 1:
        raise SettingsError(t("max_rows is {value}", value=max_rows), t("it must be 1 or more"))


def _kind(sources: Sources) -> Kind:
    kind = sources.main.layout.kind
    for dataset, _ in sources.given:
        if dataset.layout.kind != kind:
            raise DataError(
                t(
                    "{path} was read as {kind}, but {main} as {main_kind}",
                    path=dataset.path,
                    kind=dataset.layout.kind,
                    main=sources.main.path,
                    main_kind=kind,
                ),
                t("give both the same columns, or say what they are with --kind"),
            )
    return kind


def _check_count(count: int, main: Dataset) -> None:
    if count > MAX_CATEGORIES:
        raise DataError(
            t("{path} has more than {limit} categories", path=main.path, limit=MAX_CATEGORIES), _column_hint(main)
        )


def _column_hint(main: Dataset) -> str:
    column = main.layout.columns.get("label", "label")
    return t('is "{column}" the label? choose another with --label-column, or another --kind', column=column)


def _check_left(split_of: npt.NDArray[np.int8], dropped: Drops, main: Dataset) -> None:
    if not (split_of == TRAIN).any():
        reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.totals().items()) or "0"
        raise DataError(
            t("{path} leaves no row to train on (left out: {reasons})", path=main.path, reasons=reasons),
            t("weitiao check shows each row and why it was left out"),
        )
