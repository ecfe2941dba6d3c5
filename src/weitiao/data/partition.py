"""Decide which rows are trained on, which steer the training and which only measure it: no text is in two of them.

Separate because every later number rests on this. The first pass keeps a few bytes of each row
(:mod:`weitiao.data.keys`) and decides on those; the second, :func:`assigned`, reads the rows again together with what
was decided. A row's split depends on its own text and the seed alone, so that adding rows moves no other row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weitiao.data.dataset import Dataset
from weitiao.data.findings import Drops, balance_problems, overlap_problems
from weitiao.data.keys import USED, Keys, mix, read_keys
from weitiao.data.ledger import Dropped, Problem
from weitiao.data.screening import DEV, REASONS, TEST, TRAIN, Screening, screen
from weitiao.errors import DataError, SettingsError
from weitiao.example import Example, Kind, Task
from weitiao.words import t

SPLITS = ("train", "dev", "test")
DROPPED = -1
MAX_CATEGORIES = 200
_LISTED_IN_QUESTION = 20
_SPLIT_OR_NONE = (*SPLITS, "")  # DROPPED is the last


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
    max_train: int | None = None,
) -> Partition:
    """Read all sources once and give every row its split, or the reason why it has none.

    Given dev and test data are kept whole, and their texts leave the others; contradicting rows all go, of equal ones
    the first stays. ``max_rows`` bounds the rows taken from ``sources.main``, chosen by hash: a file sorted by label
    still gives every label. ``max_train`` bounds those of the train split in the same way: the other splits stay as
    they are, and a smaller number chooses some of what a larger one would. Two texts or more give a train split that is
    not empty, three give all the splits that were asked for. Raises SettingsError for impossible shares, DataError when
    nothing is left to train on, the sources are of different kinds, or the categories are fewer than 2 or more than
    200.
    """
    _check_bounds(dev_share, test_share, max_rows)
    kind = _kind(sources)
    keys = read_keys([dataset for dataset, _ in sources.given], kind, lambda count: _check_count(count, sources.main))
    splits = [split for _, split in sources.given]
    screening = screen(keys, splits, kind)
    if max_rows is not None:
        _limit(screening, keys, _free(screening, keys), max_rows, seed, "over_max_rows")
    shares = (dev_share if sources.dev is None else 0.0, test_share if sources.test is None else 0.0)
    split_of = _split(screening, keys, splits, shares, seed)
    _check_left(split_of, Drops(keys.places, screening), sources.main)
    tally = keys.places.tally(split_of, len(SPLITS))
    task = _task(kind, keys, tally, question, sources.main)
    if max_train is not None:  # what is asked stays the same, however few rows answer it
        _limit(screening, keys, split_of == TRAIN, max_train, seed, "over_max_train")
        split_of[screening.reason != USED] = DROPPED
        tally = keys.places.tally(split_of, len(SPLITS))
    dropped = Drops(keys.places, screening)
    counts = _counts(tally, keys.places.labels)
    problems = (*overlap_problems(keys.places, screening.findings), *balance_problems(counts, task.categories))
    return Partition(task, split_of, dropped, counts, problems, keys.rows)


def assigned(sources: Sources, partition: Partition) -> Iterator[tuple[Example | Dropped, str]]:
    """Read all sources again, in the same order: each row with the name of its split, ``""`` when it has none.

    Raises DataError when a source no longer has the rows that were partitioned.
    """
    start = 0
    for (dataset, _), count in zip(sources.given, partition.rows, strict=True):
        rows, read = iter(dataset), 0
        # .data gives plain integers; zip asks it first, so that it takes no row too many
        for split, item in zip(partition.split_of.data[start : start + count], rows, strict=False):
            read += 1
            yield item, _SPLIT_OR_NONE[split]
        start += count
        if read != count or next(rows, None) is not None:
            raise DataError(
                t("{path} has changed since it was first read", path=dataset.path),
                t("start again, and leave the file alone until the run has begun"),
            )


def _limit(screening: Screening, keys: Keys, free: npt.NDArray[np.bool_], most: int, seed: int, reason: str) -> None:
    """Of the ``free`` rows leave out all but those ``most`` whose contents draw the lowest numbers.

    Found by the first digits of the draws, for sorting all draws would take as much memory as the keys.
    """
    if np.count_nonzero(free) <= most:
        return
    counts = np.zeros(1 << 16, np.int64)
    for _, drawn in keys.drawn(free, seed, "choose"):
        counts += np.bincount(_first_digits(drawn), minlength=len(counts))
    edge = int(np.searchsorted(np.cumsum(counts), most))
    over = REASONS.index(reason)
    rows_at_edge, drawn_at_edge = [], []
    for rows, drawn in keys.drawn(free, seed, "choose"):
        digits = _first_digits(drawn)
        screening.reason[rows[digits > edge]] = over
        rows_at_edge.append(rows[digits == edge])
        drawn_at_edge.append(drawn[digits == edge])
    order = np.argsort(np.concatenate(drawn_at_edge), kind="stable")
    screening.reason[np.concatenate(rows_at_edge)[order[most - int(counts[:edge].sum()) :]]] = over


def _first_digits(drawn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return (drawn >> np.uint64(48)).astype(np.int64)


def _free(screening: Screening, keys: Keys) -> npt.NDArray[np.bool_]:
    """Rows of the main source that are not left out."""
    free: npt.NDArray[np.bool_] = screening.reason == USED
    free[keys.rows[0] :] = False
    return free


def _split(
    screening: Screening, keys: Keys, splits: Sequence[int], shares: tuple[float, float], seed: int
) -> npt.NDArray[np.int8]:
    split_of = np.concatenate([np.full(count, split, np.int8) for split, count in zip(splits, keys.rows, strict=True)])
    split_of[screening.reason != USED] = DROPPED
    free = _free(screening, keys)
    # The contents with the lowest draws are tested, those above them steer: more dev rows never take a test row.
    tested, held_out = _thresholds(keys, free, shares, seed)
    for rows, drawn in keys.drawn(free, seed, "split"):
        split_of[rows[drawn < held_out]] = DEV
        split_of[rows[drawn < tested]] = TEST
    return split_of


def _thresholds(
    keys: Keys, free: npt.NDArray[np.bool_], shares: tuple[float, float], seed: int
) -> tuple[np.uint64, np.uint64]:
    """Below which draw a content is tested, and below which it is held out at all."""
    dev_share, test_share = shares
    tested, held_out = (np.uint64(int(share * 2.0**64)) for share in (test_share, test_share + dev_share))
    total = below_tested = below_held_out = 0
    for part in keys.parts(free):
        drawn = mix(np.unique(part.content), seed, "split")
        total += len(drawn)
        below_tested += int(np.count_nonzero(drawn < tested))
        below_held_out += int(np.count_nonzero(drawn < held_out))
    dev, test = _group_counts(total, below_held_out - below_tested, below_tested, shares)
    if (test, test + dev) == (below_tested, below_held_out):
        return tested, held_out
    # The shares alone would leave a split empty: there are few contents, or a share is almost nothing
    ascending = np.unique(np.concatenate([mix(part.content, seed, "split") for part in keys.parts(free)]))
    return (ascending[test], ascending[test + dev]) if total else (tested, held_out)


def _group_counts(total: int, dev: int, test: int, shares: tuple[float, float]) -> tuple[int, int]:
    """How many contents are for dev and for test, of which ``dev`` and ``test`` draw so: each gets one if it can."""
    dev_share, test_share = shares
    if total >= 3:
        test = max(test, int(test_share > 0))
        dev = max(dev, int(dev_share > 0))
    while test + dev > max(0, total - 1):
        if dev > test:
            dev -= 1
        else:
            test -= 1
    return dev, test


def _task(kind: Kind, keys: Keys, tally: npt.NDArray[np.int64], question: str | None, main: Dataset) -> Task:
    if kind not in ("classify", "mark"):
        return Task(kind, question or "")
    sets = np.flatnonzero(tally[:, 1:].sum(axis=0)).tolist()
    categories = tuple(sorted({name for index in sets for name in keys.places.labels[index]}))
    if kind == "classify" and len(categories) < 2:
        raise DataError(
            t("{path} has one category only: {names}", path=main.path, names=", ".join(categories) or '""'),
            _column_hint(main),
        )
    if not categories:
        raise DataError(
            t("{path} marks nothing in any text", path=main.path), t("name the column of the marks: --label-column")
        )
    several = kind == "classify" and any(len(keys.places.labels[index]) != 1 for index in sets)
    return Task(kind, question or _default_question(kind, categories, keys.han_share), categories, several)


def _default_question(kind: Kind, categories: Sequence[str], han_share: float) -> str:
    # In the language of the data, not of the user: the model reads it, and a run must not depend on who starts it.
    chinese = han_share > 0.3
    names = ("、" if chinese else ", ").join(categories)
    listed = len(categories) <= _LISTED_IN_QUESTION
    if kind == "mark":
        if chinese:
            return f"找出下面文本中的这些内容：{names}。每行写一处，如“{categories[0]}: 原文”；没有就写“-”。"
        return f"Find these in the text: {names}. Write one a line, as {categories[0]}: words of it; or - for none."
    if chinese:
        return f"下面的文本属于哪一类？可选：{names}。" if listed else "下面的文本属于哪一类？"
    return (
        f"Which category does this text belong to: {names}?" if listed else "Which category does this text belong to?"
    )


def _counts(tally: npt.NDArray[np.int64], labels: Sequence[tuple[str, ...]]) -> Mapping[str, Mapping[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for name, rows in zip(SPLITS, tally.tolist(), strict=True):
        total: dict[str, int] = {}
        for names, count in zip(((), *labels), rows, strict=True):
            for category in (names or ("",)) if count else ():
                total[category] = total.get(category, 0) + count
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
