"""The causal objective (GPT): every learned token is predicted from the tokens before it.

It serves plain texts, replies and categories alike: they differ only in which tokens are learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weitiao.codec import Codec, Encoding
from weitiao.codec.listed import listed
from weitiao.codec.prompt import answer, conversation
from weitiao.data.ledger import Dropped
from weitiao.data.spans import outermost
from weitiao.example import Example, Message, Spans, Task
from weitiao.objectives.row import IGNORE, Row
from weitiao.words import t

Learn = Literal["replies", "last_reply"]
_ATTEMPTS = 12  # to find how many characters fit; tokens can only be estimated from them
_ANY = 1 << 30  # tokens of a row that is never cut
_ESTIMATES = 4  # of them; then the rest is halved

_Encode = Callable[[tuple[Message, ...]], Encoding]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as a row. ``shortened`` says for people what was left out to fit the context; empty if nothing was.

    ``notes`` are codes of what else of the label was not learned as it is, one each time.
    """

    row: Row
    encoding: Encoding
    shortened: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Causal:
    """Of plain texts, as :class:`weitiao.objectives.objective.Objective` says: nothing is hidden but what follows."""

    def encode(self, examples: Sequence[Example], codec: Codec) -> list[Encoded | Dropped]:
        """Rows of any length."""
        return encode(examples, Task("continue"), codec, _ANY)

    def most(self, cutoff_len: int) -> int:
        """All of it."""
        return cutoff_len

    def draw(self, row: Row, rng: np.random.Generator) -> Row:
        """The row itself."""
        return row


def encode(
    examples: Sequence[Example], task: Task, codec: Codec, cutoff_len: int, learn: Learn = "replies"
) -> list[Encoded | Dropped]:
    """Rows of at most ``cutoff_len`` tokens, in order. A reply is never cut: what does not fit is dropped.

    A text of kind continue is one row, however long: every part of it is read (:func:`weitiao.objectives.row.parts`).
    """
    if task.kind == "continue":
        encodings = codec.encode_documents([example.text for example in examples])
        return [_document(example, encoding, codec) for example, encoding in zip(examples, encodings, strict=True)]
    conversations = [with_answer(example, task) for example in examples]
    encodings = codec.encode_conversations(conversations, learn == "replies")
    results: list[Encoded | Dropped] = []
    for example, messages, encoding in zip(examples, conversations, encodings, strict=True):
        shortened = ""
        if len(encoding.tokens) > cutoff_len:
            asked = len(messages[0].content) - len(example.text) if task.kind in ("classify", "mark") else 0

            def encoded(shorter: tuple[Message, ...], example: Example = example, asked: int = asked) -> Encoding:
                if isinstance(example.label, Spans):
                    shorter = _with_marks_left(shorter, example.label, asked)
                return codec.encode_conversations([shorter], learn == "replies")[0]

            encoding, shortened = _fitted(messages, encoding, encoded, cutoff_len, asked + 1)
        results.append(_checked(example, encoding, shortened, codec, cutoff_len))
    return results


def row_of(example: Example, encoding: Encoding) -> Row:
    """Shift: position i predicts token i + 1 where that token is learned. The last token is a target only."""
    tokens, learned = encoding.tokens, encoding.learned
    return Row(example.id, tokens[:-1], np.where(learned[1:], tokens[1:], np.int32(IGNORE)))


def with_answer(example: Example, task: Task) -> tuple[Message, ...]:
    """What the model reads, and then the answer that it is to learn."""
    text = answer(example)
    assert text is not None, "the partition drops examples without an answer"
    return (*conversation(example, task), Message("assistant", text))


def _checked(example: Example, encoding: Encoding, shortened: str, codec: Codec, cutoff_len: int) -> Encoded | Dropped:
    count = len(encoding.tokens)
    if count > cutoff_len:
        detail = t("{count} tokens do not fit into {limit}, even without its prompt", count=count, limit=cutoff_len)
        return Dropped(example.source, "too_long", detail)
    if encoding.asked == 0:
        return Dropped(example.source, "nothing_to_learn", t("no token of it would be learned"))
    if not encoding.complete:
        return Dropped(example.source, "no_end", t("the reply never ends with the token that ends a reply"))
    if codec.bos_id is not None and encoding.tokens[:2].tolist() == [codec.bos_id] * 2:
        return Dropped(example.source, "double_bos", t("the row begins with two BOS tokens"))
    return Encoded(row_of(example, encoding), encoding, shortened)


def _document(example: Example, encoding: Encoding, codec: Codec) -> Encoded | Dropped:
    return _checked(example, encoding, "", codec, len(encoding.tokens))


def _fitted(
    messages: tuple[Message, ...], encoding: Encoding, encoded: _Encode, limit: int, least: int
) -> tuple[Encoding, str]:
    """Leave out the oldest whole turns, then the end of the longest question, until the conversation fits.

    ``least`` characters of it stay; what does not fit then is given back too long.
    """
    kept = messages
    while len(encoding.tokens) > limit and (fewer := without_oldest_turn(kept)) is not None:
        kept, encoding = fewer, encoded(fewer)
    turns, characters = len(messages) - len(kept), 0
    if len(encoding.tokens) > limit:
        encoding, characters = _with_shorter_question(kept, encoding, encoded, limit, least)
    parts = []
    if turns:
        parts.append(t("the oldest {count} turns are left out", count=turns))
    if characters:
        parts.append(t("the last {count} characters of the question are left out", count=characters))
    return encoding, ", ".join(parts)


def _with_shorter_question(
    messages: tuple[Message, ...], whole: Encoding, encoded: _Encode, limit: int, least: int
) -> tuple[Encoding, int]:
    """As much of the longest question as fits, or nearly, and how many characters that leaves out."""
    questions = [index for index, message in enumerate(messages[:-1]) if message.role not in ("system", "assistant")]
    index = max(questions, key=lambda index: len(messages[index].content), default=None)
    if index is None or len(messages[index].content) <= least:
        return whole, 0
    role, content = messages[index].role, messages[index].content

    def cut(length: int) -> Encoding:
        return encoded((*messages[:index], Message(role, content[:length]), *messages[index + 1 :]))

    best, fits, beyond, tokens_beyond = cut(least), least, len(content), len(whole.tokens)
    for attempt in range(_ATTEMPTS):
        room = limit - len(best.tokens)
        if room <= limit // 50 or beyond - fits <= 1:
            break
        share = room / (tokens_beyond - len(best.tokens)) if attempt < _ESTIMATES else 0.5
        length = min(max(fits + int((beyond - fits) * share), fits + 1), beyond - 1)
        tried = cut(length)
        if len(tried.tokens) <= limit:
            best, fits = tried, length
        else:
            beyond, tokens_beyond = length, len(tried.tokens)
    return best, len(content) - fits


def _with_marks_left(messages: tuple[Message, ...], spans: Spans, asked: int) -> tuple[Message, ...]:
    """The text after ``asked`` characters, which was shortened, with the marks that are still in it."""
    text = messages[0].content[asked:]
    left = Spans(tuple(span for span in spans.spans if span.end <= len(text)))
    return (*messages[:-1], Message("assistant", listed(outermost(left, text), text)))


def without_oldest_turn(messages: tuple[Message, ...]) -> tuple[Message, ...] | None:
    """Without the first question and its answers; None when only one question is left."""
    head = tuple(message for message in messages[:1] if message.role == "system")
    turns = messages[len(head) :]
    later = [index for index, message in enumerate(turns) if message.role == "user" and index > 0]
    return head + turns[later[0] :] if later else None
