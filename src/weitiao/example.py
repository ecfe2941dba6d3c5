"""One item as a person sees it: no tokens, no tensors. And what is asked of it: the task.

Separate because everything above speaks of examples, and nothing here knows where they came from or who reads them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["continue", "reply", "classify", "mark"]
Role = Literal["system", "user", "assistant", "tool", "document"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, or a plain text (role ``document``)."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The text that should come next: the last assistant turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Category:
    """One of the task's categories, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Categories:
    """Several of the task's categories at once, by name; may be empty."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A marked part of the text: code-point offsets ``start <= i < end`` into the document, and its type."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Spans:
    """All marked parts of one text, sorted by start; may be empty."""

    spans: tuple[Span, ...]


Label = Reply | Category | Categories | Spans


@dataclass(frozen=True, slots=True)
class Example:
    """One item. Its ``id`` is a hash of its content, so that labels and splits survive a re-import.

    ``messages`` is what the model reads: a plain text is one ``document`` message; a conversation holds every turn
    before the reply, earlier assistant turns included. ``label`` is what should come out. ``source`` is for people:
    ``reviews.csv:118``.
    """

    id: str
    messages: tuple[Message, ...]
    label: Label | None
    source: str

    @property
    def text(self) -> str:
        """What the model reads, as one plain text: the document, or all turns joined by line breaks."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Shots:
    """Solved examples that a prompt shows before its question: those of an item by its id, of any other ``common``."""

    common: tuple[Example, ...] = ()
    by_item: Mapping[str, tuple[Example, ...]] = field(default_factory=dict, hash=False)

    def of(self, example: Example) -> tuple[Example, ...]:
        """What stands before ``example``, in order."""
        return self.by_item.get(example.id, self.common)


NO_SHOTS = Shots()


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of every example. It drives the prompt, the check of an answer, the metrics and the page.

    ``question`` is put before the text of a ``classify`` or ``mark`` example. ``categories`` are the allowed answers
    (or span types), in the order of their probabilities everywhere; with ``several`` a text may have any number.
    ``shots`` belong to the prompt, not to the task that is told of a run (:func:`told`).
    """

    kind: Kind
    question: str = ""
    categories: tuple[str, ...] = ()
    several: bool = False
    shots: Shots = NO_SHOTS


def told(task: Task) -> dict[str, Any]:
    """What is asked, as JSON: all but the shots."""
    return {"kind": task.kind, "question": task.question, "categories": task.categories, "several": task.several}


def names_of(label: Label | None) -> tuple[str, ...]:
    """The categories that a label names; none of any other kind of label."""
    match label:
        case Category(name):
            return (name,)
        case Categories(names):
            return names
        case _:
            return ()


def make_example(messages: tuple[Message, ...], label: Label | None, source: str) -> Example:
    """An example with the id of its content: 16 hex digits over the messages and the label, as they are."""
    parts = [f"{message.role}\x1f{message.content}" for message in messages]
    parts.append(repr(label))
    digest = hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=8)
    return Example(digest.hexdigest(), messages, label, source)


def normalized_text(example: Example) -> str:
    """The text that decides what is a duplicate: NFKC, case folded, white space folded; without the label."""
    folded = unicodedata.normalize("NFKC", example.text).casefold()
    return " ".join(folded.split())


def content_key(example: Example) -> int:
    """An unsigned 64-bit hash of :func:`normalized_text`. Equal keys are duplicates, and always share a split."""
    digest = hashlib.blake2b(normalized_text(example).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
