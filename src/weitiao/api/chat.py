"""``chat``: a conversation with a run or a model, through the same codec as training; the reply comes piece by piece.

A conversation is a value: whoever shows it keeps it, and a reply that was stopped half-way is simply what there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weitiao.api.answering import Respondent
from weitiao.api.context import fit
from weitiao.codec.prompt import conversation
from weitiao.errors import DataError, SettingsError
from weitiao.example import Message, Task, make_example
from weitiao.models.anatomy import Model
from weitiao.models.generate import Sampling, generate
from weitiao.models.use import needs_words
from weitiao.training.chance import seed_for
from weitiao.words import t


@dataclass(frozen=True)
class Conversation:
    """Who is talked to, and what was said. ``task`` is asked of every text by itself; None talks freely."""

    respondent: Respondent
    task: Task | None = None
    system: str = ""
    turns: tuple[Message, ...] = ()  # without the system prompt
    number: int = 0  # of turns so far, those that fell out included


@dataclass(frozen=True, slots=True)
class Prompt:
    """A turn ready to be answered: its tokens, the turns that were left, and how many fell out just now."""

    tokens: NDArray[np.int32]  # [T]
    turns: tuple[Message, ...]
    left_out: int


def open_conversation(respondent: Respondent, system: str = "", raw: bool = False) -> Conversation:
    """A conversation with nothing said yet. A run that classifies is asked its question about each text, unless raw.

    Raises SettingsError for a system prompt where the question is all that is said, ModelError for a model that writes
    nothing.
    """
    if respondent.use.head != "words":
        needs_words(respondent.source)
    task = respondent.task
    if raw or task is None or task.kind != "classify":
        return Conversation(respondent, None, system)
    opened = Conversation(respondent, task)
    return with_system(opened, system) if system else opened


def with_system(said: Conversation, system: str) -> Conversation:
    """The conversation begun anew under a system prompt. Raises SettingsError where there can be none."""
    if said.task is not None:
        raise SettingsError(
            t("this run was trained to answer one question about each text, without a system prompt"),
            t("add --raw to talk to it freely"),
        )
    return replace(said, system=system, turns=())


def next_prompt(said: Conversation, text: str, sampling: Sampling) -> Prompt:
    """What the model reads next; the oldest turns fall out when the context is full.

    Raises DataError when ``text`` alone does not fit beside the longest reply that ``sampling`` allows.
    """
    head = (Message("system", said.system),) if said.system else ()
    messages = (*head, *said.turns, Message("user", text))
    if said.task is not None:
        messages = conversation(make_example((Message("document", text),), None, ""), said.task)
    limit = said.respondent.context - sampling.max_new_tokens
    fitted = fit(messages, said.respondent.codec, limit)
    if len(fitted.prompt) > limit:
        raise DataError(
            t(
                "this turn has {count} tokens; beside a reply of {reply} the context holds {limit}",
                count=len(fitted.prompt),
                reply=sampling.max_new_tokens,
                limit=max(limit, 0),
            ),
            t("say less, or lower max_new_tokens"),
        )
    return Prompt(fitted.prompt, fitted.messages[len(head) :], fitted.left_out)


def answer(
    model: Model, said: Conversation, prompt: Prompt, sampling: Sampling, on_text: Callable[[str], None] | None = None
) -> str:
    """The reply; ``on_text`` gets its pieces as they come. Each turn draws from a seed of its own."""
    seeded = replace(sampling, seed=seed_for(sampling.seed, "chat", said.number))
    return generate(model, said.respondent.codec, [prompt.tokens], seeded, on_text)[0]


def with_reply(said: Conversation, prompt: Prompt, reply: str) -> Conversation:
    """The conversation after a turn. Of one that is asked about each text by itself, nothing is remembered."""
    turns = () if said.task is not None else (*prompt.turns, Message("assistant", reply))
    return replace(said, turns=turns, number=said.number + 1)
