"""Exact log-probabilities of given answers: a closed set of categories is scored, never generated and parsed.

Logits exist only at the asked positions; what all rows begin with (system prompt, question) is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from weitiao.codec import Codec
from weitiao.codec.prompt import conversation
from weitiao.example import Example, Message, Task
from weitiao.models.anatomy import head_width
from weitiao.objectives.causal import without_oldest_turn
from weitiao.objectives.row import IGNORE, Row, parts
from weitiao.training.engine import Engine


def category_log_probabilities(
    engine: Engine, examples: Sequence[Example], task: Task, codec: Codec, cutoff_len: int
) -> NDArray[np.float64]:
    """log p(category's words | prompt) in nats, [examples, categories], not normalised over the categories."""
    answers = answer_tokens(codec, task)
    prefixes = _inner_nodes(answers)
    prompts = prompts_within(examples, task, codec, cutoff_len - max(map(len, answers)))
    scores = np.zeros((len(examples), len(answers)))
    rows = [_scoring_row(prompt, prefix) for prompt in prompts for prefix in prefixes]
    candidates = sorted({token for answer in answers for token in answer})
    columns = {token: column for column, token in enumerate(candidates)}
    for number, logs in engine.read(rows, candidates):
        example, prefix = divmod(number, len(prefixes))
        _add_scores(scores[example], logs, columns, prefixes[prefix], answers, prefixes[:prefix])
    return scores


def head_log_probabilities(engine: Engine, rows: Sequence[Row]) -> NDArray[np.float64]:
    """log p(category | text) in nats by the model's category head, [rows, categories]. A row is asked at one place."""
    scores = np.zeros((len(rows), head_width(engine.model)))
    for number, logs in engine.read(rows, range(scores.shape[1])):
        scores[number] = logs[0]
    return scores


def probabilities(log_scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalise over the categories: [examples, categories] that sum to 1."""
    shifted = np.exp(log_scores - log_scores.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return normalised


def row_losses(engine: Engine, rows: Sequence[Row], most: int) -> NDArray[np.float64]:
    """The summed cross-entropy of each row, in nats; one of over ``most`` tokens is read in parts."""
    cut = [(number, part) for number, row in enumerate(rows) for part in parts(row, most)]
    losses = np.zeros(len(rows))
    for place, logs in engine.read([part for _, part in cut], "targets"):
        losses[cut[place][0]] -= logs.sum()
    return losses


def row_hits(engine: Engine, rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The summed cross-entropy of each row, in nats, and how many of its targets were the likeliest token."""
    losses, hits = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    for number, judged in engine.read(rows, "hits"):
        losses[number], hits[number] = -judged[:, 0].sum(), judged[:, 1].sum()
    return losses, hits


def rows_of_example(codec: Codec, task: Task) -> int:
    """How many rows are read for the categories of one example."""
    return len(_inner_nodes(answer_tokens(codec, task)))


def answer_tokens(codec: Codec, task: Task) -> list[tuple[int, ...]]:
    """The tokens of each category's words as a reply; with the end token only where one answer begins another."""
    question = Message("user", task.question or "?")
    encodings = codec.encode_conversations([(question, Message("assistant", name)) for name in task.categories])
    whole = [tuple(encoding.tokens[encoding.learned].tolist()) for encoding in encodings]
    words = [answer[:-1] if answer[-1:] == (codec.end_id,) else answer for answer in whole]
    begins_another = any(a != b and b[: len(a)] == a for a in words for b in words)
    return whole if begins_another else words


def prompts_within(examples: Sequence[Example], task: Task, codec: Codec, limit: int) -> list[NDArray[np.int32]]:
    """The prompt of each example; where it would pass ``limit`` tokens, without the first shots and, where that is not
    enough, without the end of its question.
    """
    conversations = [conversation(example, task) for example in examples]
    prompts = codec.encode_prompts(conversations)
    for index, prompt in enumerate(prompts):
        messages = conversations[index]
        while len(prompt) > limit and (fewer := without_oldest_turn(messages)) is not None:
            messages, prompt = fewer, codec.encode_prompts([fewer])[0]
        while len(prompt) > limit and messages and messages[-1].content:
            content = messages[-1].content
            spent = max(len(content) * (len(prompt) - limit) // len(prompt), len(prompt) - limit)
            messages = (*messages[:-1], Message(messages[-1].role, content[: max(len(content) - spent, 0)]))
            prompt = codec.encode_prompts([messages])[0]
        prompts[index] = prompt
    return prompts


def _inner_nodes(answers: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What must follow the prompt so that every answer's every token is asked: the longest beginnings, each once.

    "sp|am" and "ham" need one row: after the prompt both first tokens are read off, after "sp" the second.
    """
    beginnings = sorted({answer[:-1] for answer in answers}, key=lambda beginning: (-len(beginning), beginning))
    kept: list[tuple[int, ...]] = []
    for beginning in beginnings:
        if not any(longer[: len(beginning)] == beginning for longer in kept):
            kept.append(beginning)
    return kept


def _scoring_row(prompt: NDArray[np.int32], prefix: tuple[int, ...]) -> Row:
    """Asked at the prompt's last token and at every token of ``prefix``; the target's value does not matter here."""
    tokens = np.concatenate([prompt, np.array(prefix, dtype=np.int32)])
    targets = np.full(len(tokens), IGNORE, dtype=np.int32)
    targets[len(prompt) - 1 :] = 0
    return Row("", tokens, targets)


def _add_scores(
    scores: NDArray[np.float64],
    logs: NDArray[np.float32],  # [1 + len(prefix), candidates]
    columns: Mapping[int, int],  # of each candidate
    prefix: tuple[int, ...],
    answers: Sequence[tuple[int, ...]],
    earlier: Sequence[tuple[int, ...]],
) -> None:
    """Fill the scores of the answers that run along ``prefix`` and were not read off an earlier one."""
    for index, tokens in enumerate(answers):
        beginning = tokens[:-1]
        along = prefix[: len(beginning)] == beginning
        done = any(other[: len(beginning)] == beginning for other in earlier)
        if along and not done:
            scores[index] = sum(float(logs[depth, columns[token]]) for depth, token in enumerate(tokens))
