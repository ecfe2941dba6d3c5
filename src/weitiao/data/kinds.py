"""One kind of task read as another: labelled text as prompts and replies, anything as plain text.

Separate because ``--kind`` overrules what the data say, whatever shape they have.
"""

from __future__ import annotations

from collections.abc import Callable

from weitiao.data.fields import Unfit
from weitiao.errors import DataError
from weitiao.example import Categories, Category, Kind, Label, Message, Reply
from weitiao.words import t

Content = tuple[tuple[Message, ...], Label | None]
Adapter = Callable[[tuple[Message, ...], Label | None], Content]


def find_adapter(natural: Kind, wanted: Kind, needs_reply: bool) -> Adapter | None:
    """How content of ``natural`` kind is read as the ``wanted`` one; None when both are one. May raise DataError."""
    if wanted == natural:
        return None
    match natural, wanted:
        case (_, "continue"):
            return _as_document
        case ("reply", "classify"):
            return _as_category
        case ("classify" | "continue", "reply"):
            return _as_reply if needs_reply else _as_prompt
        case ("continue", "classify" | "mark"):
            return _unlabelled
    raise DataError(
        t("these data are for the kind {natural} and hold nothing for {kind}", natural=natural, kind=wanted),
        t("leave out --kind {kind}, or name the columns: --text-column, --label-column", kind=wanted),
    )


def _as_document(messages: tuple[Message, ...], label: Label | None) -> Content:
    parts = [message.content for message in messages]
    if isinstance(label, Reply):
        parts.append(label.text)
    return (Message("document", "\n".join(parts)),), None


def _as_category(messages: tuple[Message, ...], label: Label | None) -> Content:
    document = Message("document", "\n".join(message.content for message in messages))
    return (document,), Category(label.text.strip()) if isinstance(label, Reply) else None


def _as_reply(messages: tuple[Message, ...], label: Label | None) -> Content:
    prompt, reply = _as_prompt(messages, label)
    if reply is None:
        raise Unfit("no_reply", t("has no reply to learn from"))
    return prompt, reply


def _as_prompt(messages: tuple[Message, ...], label: Label | None) -> Content:
    prompt = tuple(Message("user", message.content) for message in messages)
    if isinstance(label, Category):
        return prompt, Reply(label.name)
    if isinstance(label, Categories):
        return prompt, Reply(", ".join(label.names))
    return prompt, None


def _unlabelled(messages: tuple[Message, ...], label: Label | None) -> Content:
    return messages, None
