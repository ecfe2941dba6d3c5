"""Put a split's items to a model: category probabilities, losses of reference texts, and replies written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.codec.prompt import answer, conversation
from weitiao.evaluation.answers import Answers, category_answers
from weitiao.evaluation.marked import dumped, gold_json, spans_json
from weitiao.evaluation.marking import Marking, by_head, by_words
from weitiao.evaluation.score import (
    category_log_probabilities,
    head_log_probabilities,
    probabilities,
    row_hits,
    row_losses,
)
from weitiao.example import Example, Task, names_of
from weitiao.models.anatomy import Model
from weitiao.models.generate import Sampling, generate
from weitiao.models.heads import use_of
from weitiao.objectives.mark import gold_spans
from weitiao.objectives.row import Row
from weitiao.process import give_back
from weitiao.training.engine import Engine

Progress = Callable[[int, int], None]
"""Parts done, of how many: each item that was scored, and each reply that was written out. It is called after every
token of a reply too; what it raises ends the asking."""

SCORED_TOGETHER = 256  # items between two reports of progress; they share a prefix, so not too few
WRITTEN_TOGETHER = 16


def ask(
    engine: Engine,
    items: Sequence[tuple[Example, Row]],
    task: Task,
    codec: Codec,
    cutoff_len: int,
    generated: int = 0,
    max_new_tokens: int = 128,
    on_progress: Progress | None = None,
) -> Answers:
    """The model's answers to ``items``. What is answered in words, a reply or marks, is also written out, greedily, for
    the first ``generated``."""
    give_back()  # what training has left free, and then what asking has
    try:
        if task.kind == "classify":
            return _classified(engine, items, task, codec, cutoff_len, on_progress)
        if task.kind == "mark" and not use_of(engine.model).of_vocabulary:
            return _marked(engine, [example for example, _ in items], task, codec, cutoff_len, on_progress)
        return _predicted(engine, items, task, codec, cutoff_len, generated, max_new_tokens, on_progress)
    finally:
        give_back()


def scored_together(count: int) -> list[range]:
    """The items, of ``count``, that go to the model together. In other company an answer's last bits may differ."""
    return [range(start, min(start + SCORED_TOGETHER, count)) for start in range(0, count, SCORED_TOGETHER)]


def written_together(prompts: Sequence[NDArray[np.int32]]) -> list[list[int]]:
    """The numbers of the prompts that are answered together, shortest first."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    return [order[start : start + WRITTEN_TOGETHER] for start in range(0, len(order), WRITTEN_TOGETHER)]


def _classified(
    engine: Engine,
    items: Sequence[tuple[Example, Row]],
    task: Task,
    codec: Codec,
    cutoff_len: int,
    on_progress: Progress | None,
) -> Answers:
    parts = []
    by_words = use_of(engine.model).of_vocabulary
    examples = [example for example, _ in items]
    for numbers in scored_together(len(items)):
        if by_words:
            chunk = [examples[number] for number in numbers]
            logs = category_log_probabilities(engine, chunk, task, codec, cutoff_len)
        else:
            logs = head_log_probabilities(engine, [items[number][1] for number in numbers])
        parts.append(np.exp(logs) if task.several else probabilities(logs))
        if on_progress:
            on_progress(numbers.stop, len(items))
    shares = np.concatenate(parts) if parts else np.zeros((0, len(task.categories)))
    return category_answers([names_of(example.label) for example in examples], task, shares)


def _marked(
    engine: Engine,
    examples: Sequence[Example],
    task: Task,
    codec: Codec,
    cutoff_len: int,
    on_progress: Progress | None,
) -> Answers:
    found: list[Marking] = []
    for numbers in scored_together(len(examples)):
        found += by_head(engine, [examples[number] for number in numbers], task, codec, cutoff_len)
        if on_progress:
            on_progress(numbers.stop, len(examples))
    said = zip(found, examples, strict=True)
    return Answers(
        kind="mark",
        gold=tuple(gold_json(gold_spans(example), example.text) for example in examples),
        predicted=tuple(dumped(spans_json(one.found, example.text)) for one, example in said),
        probabilities=None,
        loss_sum=np.array([one.loss for one in found]),
        loss_count=np.array([one.pieces for one in found], dtype=np.int64),
        byte_count=np.zeros(len(found), dtype=np.int64),
        generated=np.ones(len(found), dtype=np.bool_),
    )


def _predicted(
    engine: Engine,
    items: Sequence[tuple[Example, Row]],
    task: Task,
    codec: Codec,
    cutoff_len: int,
    generated: int,
    max_new_tokens: int,
    on_progress: Progress | None,
) -> Answers:
    written = min(generated, len(items)) if task.kind in ("reply", "mark") else 0

    def told(done: int) -> None:
        if on_progress:
            on_progress(done, len(items) + written)

    hidden = any(row.prefix for _, row in items)  # then what is asked is some of the text, and not all of it
    losses: list[NDArray[np.float64]] = []
    hits: list[NDArray[np.int64]] = []
    for numbers in scored_together(len(items)):
        rows = [items[number][1] for number in numbers]
        if hidden:
            loss, hit = row_hits(engine, rows)
            hits.append(hit)
        else:
            loss = row_losses(engine, rows, cutoff_len)
        losses.append(loss)
        told(numbers.stop)
    examples = [example for example, _ in items[:written]]
    replies = _written(engine.model, examples, task, codec, max_new_tokens, lambda done: told(len(items) + done))
    gold = tuple(answer(example) or example.text for example, _ in items)
    if task.kind == "mark":
        gold = tuple(gold_json(gold_spans(example), example.text) for example, _ in items)
        found = by_words(engine, examples, replies, task, codec)
        replies = [dumped(spans_json(one, example.text)) for one, example in zip(found, examples, strict=True)]
    return Answers(
        kind=task.kind,
        gold=gold,
        predicted=(*replies, *[""] * (len(items) - written)),
        probabilities=None,
        loss_sum=np.concatenate(losses) if losses else np.zeros(0),
        loss_count=np.array([row.asked for _, row in items], dtype=np.int64),
        byte_count=np.array([0 if hidden else len(text.encode()) for text in gold], dtype=np.int64),
        generated=np.arange(len(items)) < written,
        hit_count=np.concatenate(hits) if hidden else None,
    )


def _written(
    model: Model,
    examples: Sequence[Example],
    task: Task,
    codec: Codec,
    max_new_tokens: int,
    on_written: Callable[[int], None],
) -> list[str]:
    """The replies; ``on_written`` is told how many are done, after every token and every group."""
    prompts = codec.encode_prompts([conversation(example, task) for example in examples])
    replies = [""] * len(prompts)
    sampling = Sampling(max_new_tokens=max_new_tokens)
    done = 0
    for group in written_together(prompts):
        found = generate(model, codec, [prompts[i] for i in group], sampling, on_token=partial(on_written, done))
        for index, reply in zip(group, found, strict=True):
            replies[index] = reply
        done += len(group)
        on_written(done)
    return replies
