"""``predict``: a run's or a model's answer to every row of a file, written so that a killed process goes on.

Rows are read, answered and written a chunk at a time, so a file of any size is read in bounded memory. A chunk depends
on nothing but its rows: killed and gone on with, the file has the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from weitiao.api.answering import Respondent, find_respondent, load_engine
from weitiao.api.chosen_head import answered
from weitiao.api.context import fit
from weitiao.api.growing_file import GrowingFile, growing_file
from weitiao.api.listener import Listener
from weitiao.api.prediction_rows import Prediction, RowFormat, form_of, marked_prediction
from weitiao.api.preparation import naming_row
from weitiao.api.scored_set import open_for, task_in
from weitiao.api.stopping import StopRequest
from weitiao.codec.prompt import conversation
from weitiao.data.dataset import Dataset
from weitiao.data.ledger import Dropped
from weitiao.errors import SettingsError
from weitiao.evaluation.answers import HALF
from weitiao.evaluation.ask import SCORED_TOGETHER, WRITTEN_TOGETHER, ask
from weitiao.evaluation.fill import blanked, fill
from weitiao.evaluation.marking import by_head, by_words
from weitiao.evaluation.score import (
    answer_tokens,
    category_log_probabilities,
    probabilities,
    prompts_within,
)
from weitiao.example import Example, Task, make_example
from weitiao.lineage import digest_json
from weitiao.models.generate import Sampling, generate
from weitiao.objectives.causal import Encoded
from weitiao.objectives.form import Form, rows_of
from weitiao.objectives.infill import Infill
from weitiao.objectives.masked import Masked
from weitiao.settings import Settings
from weitiao.training.chance import seed_for
from weitiao.training.engine import Engine
from weitiao.words import language, t

Answer = Callable[[Sequence[Example], int], list[Prediction]]  # examples, number of the chunk

_COUNTS = ("used", "truncated", "dropped")


@dataclass(frozen=True)
class Predictions:
    """The file, and what became of the rows: ``read`` = ``used`` + ``truncated`` + ``dropped``."""

    path: Path
    ledger: Mapping[str, int]
    reasons: Mapping[str, int]
    predicted: Mapping[str, int]  # rows of each category, or spans of each type; empty where replies were written
    went_on_after: int  # rows that an earlier process had done


def predict(
    settings: Settings,
    output: Path | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen, without state
    with_text: bool = True,
    listen: Listener = lambda kind, facts: None,
) -> Predictions:
    """Answer every row of ``settings.data`` by ``settings.model`` into ``output``, a .csv or .jsonl file.

    Without ``output`` it stands beside the data. An unfinished one is gone on with. ``sampling`` is for replies alone.
    Raises Stopped when asked to stop, and SettingsError, DataError, ModelError, MachineError.
    """
    path = output or default_output(settings.data)
    form = form_of(path)
    respondent = find_respondent(settings)
    dataset = open_for(respondent, settings, needs_reply=False)
    _check_apart(path, dataset)
    listen("data", {"read_as": list(dataset.layout.guesses)})
    task = _answerable(respondent, dataset, settings)
    layout = RowFormat(form, task, with_text)
    with (
        growing_file(path, _made_from(settings, respondent, dataset, layout, sampling)) as grown,
        StopRequest() as stop,
    ):
        tally = _Tally(grown.journal.place)
        went_on_after = tally.rows
        rows = islice(iter(dataset), tally.rows, settings.max_samples)
        filling = _filling(respondent, task, settings)
        writes = task.kind in ("reply", "mark") and respondent.use.head == "words"
        size = WRITTEN_TOGETHER if writes else SCORED_TOGETHER
        answer: Answer | None = None
        while chunk := list(islice(rows, size)):
            answer = answer or _answerer(load_engine(respondent, settings, listen), respondent, task, sampling, filling)
            _append(grown, layout, tally, chunk, _predictions(chunk, answer, tally.rows // size))
            listen("predicted", {"rows": tally.rows})
            stop.obey(
                t("stopped after {count} rows, and saved", count=tally.rows), t("give the same command again to go on")
            )
        grown.finish()
    return Predictions(path, tally.ledger(), tally.reasons, tally.predicted, went_on_after)


def default_output(data: str) -> Path:
    """Where predictions go that were not told where: ``sms.csv`` → ``sms.predictions.csv`` beside it."""
    path = Path(data).expanduser()
    name = path.name.removesuffix(".gz")
    stem = Path(name).stem if path.is_file() else name
    return (path.parent if path.exists() else Path()) / f"{stem}.predictions.csv"


class _Tally:
    """What became of the rows so far; it goes into the journal and comes back from it."""

    def __init__(self, place: Any) -> None:
        stored = place or {}
        self.rows = int(stored.get("rows", 0))
        self.outcomes = Counter[str](stored.get("outcomes", {}))
        self.reasons = Counter[str](stored.get("reasons", {}))
        self.predicted = Counter[str](stored.get("predicted", {}))

    def place(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "outcomes": dict(self.outcomes),
            "reasons": dict(self.reasons),
            "predicted": dict(self.predicted),
        }

    def ledger(self) -> dict[str, int]:
        return {"read": self.rows, **{name: self.outcomes[name] for name in _COUNTS}}


def _answerable(respondent: Respondent, dataset: Dataset, settings: Settings) -> Task:
    """What is asked of each row. Raises SettingsError when there is nothing to predict."""
    if respondent.task is None and dataset.layout.kind == "classify" and "label" not in dataset.layout.columns:
        raise SettingsError(
            t("{model} is not a run, so it knows no categories, and the data have no label", model=settings.model),
            t("tune it first: weitiao train --model {model} --data FILE", model=settings.model),
        )
    task = task_in(dataset, respondent)
    if task.kind == "continue" and not isinstance(respondent.objective(settings), Masked | Infill):
        raise SettingsError(
            t("there is nothing to predict: the kind is {kind}", kind=task.kind),
            t("predict gives labels and replies, and a run with objective masked or infill fills blanks"),
        )
    return replace(task, question=settings.question) if settings.question else task


def _made_from(
    settings: Settings, respondent: Respondent, dataset: Dataset, layout: RowFormat, sampling: Sampling
) -> dict[str, str]:
    """Digests of all that decides the bytes of the output."""
    asked = {
        "layout": asdict(layout),
        "sampling": asdict(sampling),
        "cutoff_len": respondent.cutoff_len,
        "precision": respondent.precision,
        "template": respondent.codec.template.source,
        "columns": dict(dataset.layout.columns),
        "max_samples": settings.max_samples,
        "language": language(),  # of what is said about a row
    }
    return {"data": dataset.digest(), "model": respondent.source.digest, "settings": digest_json(asked)}


def _check_apart(path: Path, dataset: Dataset) -> None:
    if path.resolve().is_relative_to(dataset.path.resolve()):
        raise SettingsError(t("--output {path} is the data, or lies inside", path=path), t("name another --output"))


def _append(
    grown: GrowingFile, layout: RowFormat, tally: _Tally, chunk: Sequence[Example | Dropped], found: list[Prediction]
) -> None:
    head = b"" if tally.rows else layout.head()
    tally.rows += len(chunk)
    for row, prediction in zip(chunk, found, strict=True):
        if isinstance(row, Dropped) or prediction.prediction is None:
            tally.outcomes["dropped"] += 1
            tally.reasons[prediction.problem.partition(":")[0]] += 1
        elif prediction.problem:
            tally.outcomes["truncated"] += 1
            tally.reasons["shortened"] += 1
        else:
            tally.outcomes["used"] += 1
        if layout.task.several:
            given = zip(layout.task.categories, prediction.probabilities, strict=False)
            tally.predicted.update(name for name, share in given if share >= HALF)
        elif layout.task.kind == "mark":
            tally.predicted.update(span["label"] for span in prediction.spans)
        elif layout.task.categories and prediction.prediction is not None:
            tally.predicted[prediction.prediction] += 1
    grown.append(head + b"".join(layout.row(prediction) for prediction in found), tally.place())


def _predictions(chunk: Sequence[Example | Dropped], answer: Answer, number: int) -> list[Prediction]:
    """One for each row, in order; of a row that could not be read only why."""
    examples = [row for row in chunk if isinstance(row, Example)]
    answered: Iterator[Prediction] = iter(answer(examples, number) if examples else [])
    return [
        next(answered) if isinstance(row, Example) else Prediction(row.source, problem=f"{row.reason}: {row.detail}")
        for row in chunk
    ]


def _answerer(
    engine: Engine, respondent: Respondent, task: Task, sampling: Sampling, filling: Masked | Infill | None
) -> Answer:
    if task.kind == "reply":
        return lambda examples, number: _replies(engine, respondent, task, sampling, examples, number)
    if filling is not None:
        return lambda examples, number: _filled(engine, respondent, filling, sampling, examples)
    if task.kind == "mark":
        return lambda examples, number: _marks(engine, respondent, task, sampling, examples, number)
    if respondent.use.head == "category":
        return lambda examples, number: _by_head(engine, respondent, task, examples)
    return lambda examples, number: _categories(engine, respondent, task, examples)


def _categories(engine: Engine, respondent: Respondent, task: Task, examples: Sequence[Example]) -> list[Prediction]:
    codec, cutoff_len = respondent.codec, respondent.cutoff_len
    limit = cutoff_len - max(map(len, answer_tokens(codec, task)))
    prompts = naming_row(lambda some: codec.encode_prompts([conversation(one, task) for one in some]), examples)
    shares = probabilities(category_log_probabilities(engine, examples, task, codec, cutoff_len))
    return [
        Prediction(
            example.source,
            example.text,
            task.categories[int(row.argmax())],
            row.tolist(),
            _shortened(0, len(prompt), limit),
        )
        for example, row, prompt in zip(examples, shares, prompts, strict=True)
    ]


def _by_head(engine: Engine, respondent: Respondent, task: Task, examples: Sequence[Example]) -> list[Prediction]:
    form = Form(respondent.codec, respondent.cutoff_len, answered=answered("category", respondent.source))
    results = rows_of(examples, task, form)
    read = [(example, one) for example, one in zip(examples, results, strict=True) if isinstance(one, Encoded)]
    answers = ask(engine, [(example, one.row) for example, one in read], task, respondent.codec, respondent.cutoff_len)
    shares = [] if answers.probabilities is None else answers.probabilities.tolist()
    said = iter(zip(answers.predicted, shares, strict=True))
    return [
        Prediction(example.source, example.text, problem=f"{one.reason}: {one.detail}")
        if isinstance(one, Dropped)
        else Prediction(example.source, example.text, *next(said), one.shortened)
        for example, one in zip(examples, results, strict=True)
    ]


def _filling(respondent: Respondent, task: Task, settings: Settings) -> Masked | Infill | None:
    """How blanks are filled; None for tasks that are answered otherwise."""
    objective = respondent.objective(settings) if task.kind == "continue" else None
    return objective if isinstance(objective, Masked | Infill) else None


def _filled(
    engine: Engine, respondent: Respondent, objective: Masked | Infill, sampling: Sampling, examples: Sequence[Example]
) -> list[Prediction]:
    texts = [blanked(example.text) for example in examples]
    limit = respondent.cutoff_len
    filled = fill(engine.model, respondent.codec, objective, texts, sampling.max_new_tokens, limit)
    too_long = t("too_long: {limit} tokens fit", limit=limit)
    return [
        Prediction(example.source, example.text, found, problem="" if found is not None else too_long)
        for example, found in zip(examples, filled, strict=True)
    ]


def _marks(
    engine: Engine, respondent: Respondent, task: Task, sampling: Sampling, examples: Sequence[Example], number: int
) -> list[Prediction]:
    codec, problems = respondent.codec, [""] * len(examples)
    if respondent.use.head == "tokens":
        found = [one.found for one in by_head(engine, examples, task, codec, respondent.cutoff_len)]
    else:
        limit = _room(respondent, sampling)
        whole = naming_row(lambda some: codec.encode_prompts([conversation(one, task) for one in some]), examples)
        problems = [_shortened(0, len(prompt), limit) for prompt in whole]
        prompts = prompts_within(examples, task, codec, limit)
        seeded = replace(sampling, seed=seed_for(sampling.seed, "predict", number))
        found = by_words(engine, examples, generate(engine.model, codec, prompts, seeded), task, codec)
    return [
        marked_prediction(example, each, problem)
        for example, each, problem in zip(examples, found, problems, strict=True)
    ]


def _room(respondent: Respondent, sampling: Sampling) -> int:
    """The tokens that a prompt may have before an answer. SettingsError when there are none."""
    limit = respondent.context - sampling.max_new_tokens
    if limit < 1:
        raise SettingsError(
            t(
                "max_new_tokens is {count}, and the context has {limit} tokens",
                count=sampling.max_new_tokens,
                limit=respondent.context,
            ),
            t("leave room for the question"),
        )
    return limit


def _replies(
    engine: Engine, respondent: Respondent, task: Task, sampling: Sampling, examples: Sequence[Example], number: int
) -> list[Prediction]:
    codec, limit = respondent.codec, _room(respondent, sampling)
    fitted = naming_row(lambda some: [fit(conversation(one, task), codec, limit) for one in some], examples)
    kept = [make_example(one.messages, None, "") for one in fitted]
    prompts = prompts_within(kept, task, codec, limit)
    seeded = replace(sampling, seed=seed_for(sampling.seed, "predict", number))
    replies = generate(engine.model, codec, prompts, seeded)
    return [
        Prediction(example.source, example.text, reply, (), _shortened(one.left_out, len(one.prompt), limit))
        for example, one, reply in zip(examples, fitted, replies, strict=True)
    ]


def _shortened(left_out: int, length: int, limit: int) -> str:
    """What of a text was not read, for people; empty when all was."""
    parts = [t("the oldest {count} turns are left out", count=left_out)] if left_out else []
    if length > limit:
        parts.append(t("its end is left out: {count} tokens, {limit} fit", count=length, limit=limit))
    return ", ".join(parts)
