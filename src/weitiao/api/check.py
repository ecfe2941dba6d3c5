"""``check``: what the data are, what is wrong with them, and what would be learned of them, token by token.

Without a model it looks at the data alone. Nothing here trains, writes a file or needs torch; the rows are encoded by
the functions that ``train`` uses, so that what is shown is what is learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from weitiao.api.chosen_head import answered, decide_head
from weitiao.api.chosen_objective import decide_objective
from weitiao.api.listener import Listener
from weitiao.api.preparation import (
    Opened,
    Prepared,
    Watch,
    divide,
    encode_rows,
    open_given,
    prove,
    usable_rows,
)
from weitiao.api.starting_model import fresh
from weitiao.api.undivided import read_undivided
from weitiao.codec import Codec, Encoding, open_codec
from weitiao.data.checks import Inspector, Lengths
from weitiao.data.ledger import Dropped, Entry, Ledger, Problem
from weitiao.data.partition import SPLITS
from weitiao.errors import DataError, WeitiaoError
from weitiao.example import Example, Kind, Spans, names_of
from weitiao.models.presets import preset_of
from weitiao.models.source import ModelSource, resolve
from weitiao.models.use import context_of, model_config
from weitiao.objectives.causal import with_answer
from weitiao.objectives.form import Form, rows_of, shown, token_labels
from weitiao.objectives.objective import make_objective
from weitiao.settings import Settings
from weitiao.training.defaults import context_limit
from weitiao.words import t

ROWS = 3  # shown token by token where no number is asked for
_LOOKED_AT = 500  # training rows among which those are chosen


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a row that is shown. A character that is split over tokens stands at the last of them."""

    text: str
    id: int
    learned: bool
    label: str = ""  # that it learns, where tokens are labelled


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row of the mask proof."""

    source: str
    tokens: tuple[Token, ...]


@dataclass
class Checked:
    """What was found. ``refused`` is why these data or this template cannot be trained on; the rest is still true."""

    kind: Kind
    read_as: tuple[str, ...]
    ledger: Ledger = field(default_factory=Ledger)
    problems: tuple[Problem, ...] = ()
    splits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # split to category to rows
    lengths: dict[str, Lengths] = field(default_factory=dict)  # "text" and "reply" in characters, "tokens"
    cutoff_len: int | None = None  # the most tokens of a row
    rows: tuple[ShownRow, ...] = ()
    refused: WeitiaoError | None = None

    def json(self) -> dict[str, Any]:
        """As ``weitiao check --json`` prints it."""
        return {
            "kind": self.kind,
            "read_as": list(self.read_as),
            "ledger": self.ledger.counts(),
            "reasons": self.ledger.reasons(),
            "shown": [_entry(entry) for entry in self.ledger.shown()],
            "problems": [asdict(problem) for problem in self.problems],
            "splits": {split: dict(counts) for split, counts in self.splits.items()},
            "lengths": {name: asdict(lengths) for name, lengths in self.lengths.items()},
            "cutoff_len": self.cutoff_len,
            "rows": [{"source": row.source, "tokens": [asdict(token) for token in row.tokens]} for row in self.rows],
        }


def check(settings: Settings, rows: int = ROWS, listen: Listener = lambda kind, facts: None) -> Checked:
    """Look at ``settings.data`` and, with ``settings.model``, at what that model would learn; ``rows`` are shown.

    Raises DataError for data that cannot be read at all, and ModelError for a model that is none; what is wrong beyond
    that is in the result.
    """
    source = resolve(settings.model) if settings.model and not preset_of(settings.model) else None
    listen("reading", {})
    sources = open_given(settings)
    found = Checked(sources.main.layout.kind, sources.main.layout.guesses)
    try:
        opened = divide(sources, settings)
    except DataError as error:
        found.refused = error
        problems = read_undivided(sources, found.ledger)
        found.problems = (*(note for dataset, _ in sources.given for note in dataset.notes), *problems)
        return found
    found.read_as, found.splits = opened.read_as, opened.partition.counts
    listen("data", {"read_as": found.read_as})
    listen("inspecting", {})
    inspector = Inspector(opened.partition, seed=settings.seed)
    prepared = Prepared()
    try:
        if not settings.model:
            _use_all(opened, found.ledger, inspector.watch)  # a pass over a large file takes minutes
        else:
            inspector.look(opened.sources)
            listen("encoding", {})
            with TemporaryDirectory(prefix="weitiao-check-") as work:
                source = source or fresh(settings, opened, Path(work), listen)
                _encode(found, prepared, opened, source, settings, rows)
    except WeitiaoError as error:
        found.refused = error
    inspection = inspector.inspection()
    found.lengths = {**inspection.lengths, **found.lengths}
    found.problems = (*opened.problems(), *inspection.problems, *_problems(found, prepared))
    return found


def _use_all(opened: Opened, ledger: Ledger, watch: Watch = iter) -> None:
    for example, split in usable_rows(opened, ledger, watch):
        ledger.add(Entry(example.source, "used", example=example.id, split=split))
    if not ledger.counts()["used"]:
        raise DataError(
            t("no row is left to learn from"), t("mend the rows that were dropped, or name the right columns")
        )


def _encode(
    found: Checked, prepared: Prepared, opened: Opened, source: ModelSource, settings: Settings, rows: int
) -> None:
    """Fill ``found`` and ``prepared`` with what the model makes of the rows. Raises when the mask proof fails."""
    found.cutoff_len = context_limit(settings, context_of(model_config(source)))
    try:
        codec = open_codec(source.tokenizer_folder, settings.template)
        head = decide_head(settings, source, opened.task).head
        objective = make_objective(decide_objective(settings, source, opened.task.kind).name, codec, settings.hide)
        form = Form(codec, found.cutoff_len, settings.learn, answered(head, source), objective)
        encode_rows(prepared, opened, form, found.ledger)
    except WeitiaoError:
        found.ledger = Ledger()  # nothing or not all was encoded: what can be said of every row is said without that
        _use_all(opened, found.ledger)
        raise
    if opened.task.kind != "mark":  # of whose types a row may hold several
        found.splits = {split: dict(sorted(counts.items())) for split, counts in prepared.counts.items()}
    if prepared.lengths:
        found.lengths["tokens"] = _lengths(prepared.lengths)
    found.rows = tuple(_shown(opened, form, rows))
    prove(prepared, found.ledger, found.cutoff_len)


def _shown(opened: Opened, form: Form, count: int) -> Iterator[ShownRow]:
    """Training rows, of every category before a second one of any. Rows that are dropped for their length are not."""
    examples = (example for example, split in usable_rows(opened, Ledger()) if split == "train")
    chosen = islice(_one_of_each_first(list(islice(examples, _LOOKED_AT))), count)
    for example in chosen:
        (result,) = rows_of([example], opened.task, form)
        if not isinstance(result, Dropped):
            labels = token_labels(result, opened.task, form)
            yield ShownRow(example.source, _tokens(form.codec, shown(example, result, form), labels))
        elif result.reason != "too_long" and opened.task.kind != "continue" and form.answered == "words":
            spoilt = form.codec.encode_conversations([with_answer(example, opened.task)], form.learn == "replies")[0]
            yield ShownRow(example.source, _tokens(form.codec, spoilt))


def _one_of_each_first(examples: Sequence[Example]) -> list[Example]:
    seen: dict[str, int] = {}
    turns = []
    for example in examples:
        name = _kind_of(example)
        seen[name] = seen.get(name, 0) + 1
        turns.append(seen[name])
    order = sorted(range(len(examples)), key=lambda index: turns[index])  # which keeps the order within a turn
    return [examples[index] for index in order]


def _kind_of(example: Example) -> str:
    if isinstance(example.label, Spans):
        return "marked" if example.label.spans else ""
    return ", ".join(names_of(example.label))


def _tokens(codec: Codec, encoding: Encoding, labels: Sequence[str] = ()) -> tuple[Token, ...]:
    ids = encoding.tokens.tolist()
    facts = zip(codec.pieces(ids), ids, encoding.learned.tolist(), labels or [""] * len(ids), strict=True)
    return tuple(Token(*each) for each in facts)


def _problems(found: Checked, prepared: Prepared) -> Iterator[Problem]:
    """What only the tokens tell, and splits that are empty."""
    reasons = found.ledger.reasons()
    first = {entry.reason: entry.source for entry in reversed(found.ledger.shown())}
    if prepared.control_tokens:
        message = t(
            "control tokens written out in the texts: {count}; they are read as plain text",
            count=prepared.control_tokens,
        )
        yield Problem("control_tokens", prepared.control_tokens_in, message)
    if count := reasons.get("shortened"):
        message = t("rows longer than {limit} tokens: {count}; shortened", limit=found.cutoff_len, count=count)
        yield Problem("shortened", first["shortened"], message)
    if count := reasons.get("too_long"):
        message = t("rows that {limit} tokens cannot hold: {count}; left out", limit=found.cutoff_len, count=count)
        yield Problem("too_long", first["too_long"], message)
    yield from prepared.problems()
    for split in SPLITS[1:]:
        if found.splits and not sum(found.splits[split].values()):
            yield Problem("empty_split", split, t("there is no row to measure on"))


def _lengths(values: Sequence[int]) -> Lengths:
    shortest, median, most, longest = np.quantile(values, [0, 0.5, 0.95, 1], method="higher").tolist()
    return Lengths(len(values), shortest, median, most, longest)


def _entry(entry: Entry) -> dict[str, str]:
    return {"source": entry.source, "outcome": entry.outcome, "reason": entry.reason, "detail": entry.detail}
