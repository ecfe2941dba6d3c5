"""Any OpenAI-compatible server as an arm: every item is asked once, and each answer is on disk before the next counts.

Separate because nobody here sees its weights: there are no probabilities, only what it wrote. A category is given where
the answer names it, in any case and with or without signs around it; any other answer is unusable, and counts as wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import numpy as np

from weitiao.codec.listed import Unmatched, matched
from weitiao.codec.prompt import answer, conversation
from weitiao.evaluation.answers import Answers, folded
from weitiao.evaluation.chat_request import ChatEndpoint, Said, body_of, request
from weitiao.evaluation.classification import UNUSABLE
from weitiao.evaluation.marked import dumped, gold_json, spans_json
from weitiao.example import Example, Task
from weitiao.lineage import digest_json
from weitiao.objectives.mark import Marked, gold_spans

TOGETHER = 4  # questions on their way at a time
_AROUND = " .,;:!?\"'`*()[]{}<>。，；：！？“”‘’「」『』（）《》【】"


@dataclass(frozen=True, slots=True)
class EndpointAnswers:
    """``answers``, the texts that they were read from, and what they cost: tokens as the server counts them."""

    answers: Answers
    replies: tuple[str, ...]
    prompt_tokens: int
    completion_tokens: int
    seconds: float  # the waiting for all answers, as if one had been asked after the other


def endpoint_answers(
    endpoint: ChatEndpoint,
    items: Sequence[Example],
    task: Task,
    kept: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> EndpointAnswers:
    """The answers to ``items``; those that the file ``kept`` holds are not asked for again.

    ``on_progress`` is told how many are answered, of how many; what it raises ends the asking. Raises as
    :func:`weitiao.evaluation.chat_request.request` does.
    """
    bodies = [body_of(endpoint, prompt(example, task)) for example in items]
    names = [digest_json([endpoint.url, body])[:32] for body in bodies]
    with _growing(kept) as (known, keep):
        missing = {name: body for name, body in zip(names, bodies, strict=True) if name not in known}
        for done, (name, said) in enumerate(_asked(endpoint, missing), len(known.keys() & set(names)) + 1):
            known[name] = said
            keep(name, said)
            if on_progress:
                on_progress(done, len(set(names)))
    said_of = [known[name] for name in names]
    return EndpointAnswers(
        _answers([said.text for said in said_of], items, task),
        tuple(said.text for said in said_of),
        sum(said.prompt_tokens for said in said_of),
        sum(said.completion_tokens for said in said_of),
        sum(said.seconds for said in said_of),
    )


def prompt(example: Example, task: Task) -> list[dict[str, str]]:
    """What the server is sent of ``example``: the prompt of the other arms, and for categories that nothing but one of
    them is wanted, in the language of the question."""
    turns = [
        {"role": turn.role if turn.role in ("system", "assistant") else "user", "content": turn.content}
        for turn in conversation(example, task)
    ]
    if task.kind != "classify":
        return turns
    chinese = any("\u4e00" <= character <= "\u9fff" for character in task.question)
    wanted = (
        f"只回答以下类别中的一个，不要写别的：{'、'.join(task.categories)}"
        if chinese
        else f"Answer with one of these categories and nothing else: {', '.join(task.categories)}"
    )
    return [{"role": "system", "content": wanted}, *turns]


def category_named(reply: str, categories: Sequence[str]) -> str:
    """The category that ``reply`` is, whatever its case and the signs around it; ``UNUSABLE`` when it is none."""
    if reply.strip() in categories:
        return reply.strip()
    bare = [name for name in categories if _bare(name) == _bare(reply)]
    return bare[0] if len(bare) == 1 else UNUSABLE


def _bare(text: str) -> str:
    return folded(text).casefold().strip(_AROUND)


def _answers(replies: Sequence[str], items: Sequence[Example], task: Task) -> Answers:
    gold = tuple(answer(example) or "" for example in items)
    predicted = tuple(replies)
    if task.kind == "classify":
        predicted = tuple(category_named(reply, task.categories) for reply in replies)
    elif task.kind == "mark":
        gold = tuple(gold_json(gold_spans(example), example.text) for example in items)
        predicted = tuple(_marks(reply, example, task) for reply, example in zip(replies, items, strict=True))
    none = np.zeros(len(items), dtype=np.int64)
    return Answers(
        kind=task.kind,
        gold=gold,
        predicted=predicted,
        probabilities=None,
        loss_sum=np.zeros(len(items)),
        loss_count=none,
        byte_count=none,
        generated=np.ones(len(items), dtype=np.bool_),
    )


def _marks(reply: str, example: Example, task: Task) -> str:
    found = matched(reply, example.text, task.categories)
    return dumped(spans_json([one if isinstance(one, Unmatched) else Marked(one) for one in found], example.text))


def _asked(endpoint: ChatEndpoint, bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Said]]:
    """The answers as they come. What ends this, here or above, also ends what still waits."""
    stop = Event()
    with ThreadPoolExecutor(TOGETHER) as pool:
        asking: dict[Future[Said], str] = {
            pool.submit(copy_context().run, request, endpoint, body, stop): name for name, body in bodies.items()
        }
        try:
            for future in as_completed(asking):
                yield asking[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _growing(place: Path) -> Iterator[tuple[dict[str, Said], Callable[[str, Said], None]]]:
    """What the file at ``place`` holds, and what adds a line to it; a line that was cut off is none."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+b") as file:
        known = _read(file)

        def keep(name: str, said: Said) -> None:
            file.write(
                json.dumps({"request": name, **asdict(said)}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            )
            file.flush()
            os.fsync(file.fileno())

        yield known, keep


def _read(file: BinaryIO) -> dict[str, Said]:
    file.seek(0)
    whole = file.read().rpartition(b"\n")[0]
    file.truncate(len(whole) + 1 if whole else 0)
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line.pop("request"): Said(**line) for line in lines}
