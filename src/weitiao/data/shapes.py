"""From records to examples: one small reader for each shape in which people keep their data.

Separate because a shape is only about which fields mean what; how the file is written and which task is wanted are
found elsewhere. A record that does not fit is dropped with its reason, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from weitiao.data.annotations import label_studio_label, prodigy_label, text_of_task
from weitiao.data.fields import Unfit, as_text, label_of, missing_field, optional_text, text_of, wrong_type
from weitiao.data.files import near_names
from weitiao.data.kinds import Content, find_adapter
from weitiao.data.ledger import Dropped
from weitiao.data.notes import Notes
from weitiao.data.record import Record
from weitiao.data.spans import join_tokens, offset_spans, tagged_spans
from weitiao.data.turns import TurnKeys, read_conversation
from weitiao.example import Example, Kind, Message, Reply, make_example
from weitiao.words import t

ShapeName = Literal[
    "text", "text+label", "prompt+reply", "alpaca", "sharegpt", "messages", "conll", "labelstudio", "doccano", "prodigy"
]
Reader = Callable[[Mapping[str, object], str], Content]
Converter = Callable[[Record], Example | Dropped]

_MEDIA = ("images", "image", "videos", "audios")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the fields of a record mean. ``natural`` is the kind that the shape says, ``kind`` the one that is wanted.

    ``columns`` maps a role to a field, ``several`` allows any number of categories a row, ``needs_reply`` drops prompts
    without a reply.
    """

    name: ShapeName
    natural: Kind
    kind: Kind
    columns: Mapping[str, str]
    several: bool = False
    needs_reply: bool = True
    keys: TurnKeys = field(default_factory=TurnKeys)


def make_converter(shape: Shape, notes: Notes) -> Converter:
    """The function from a record to its example; DataError when the shape holds nothing for the wanted kind."""
    read = _READERS[shape.name](shape, notes)
    adapt = find_adapter(shape.natural, shape.kind, shape.needs_reply)

    def convert(record: Record) -> Example | Dropped:
        try:
            messages, label = read(record.fields, record.source)
            if adapt is not None:
                messages, label = adapt(messages, label)
        except Unfit as unfit:
            return Dropped(record.source, unfit.reason, unfit.detail)
        return make_example(messages, label, record.source)

    return convert


def _text(shape: Shape, notes: Notes) -> Reader:
    column = shape.columns["text"]

    def read(fields: Mapping[str, object], source: str) -> Content:
        return (Message("document", text_of(fields, column)),), None

    return read


def _text_and_label(shape: Shape, notes: Notes) -> Reader:
    text, label, several = shape.columns["text"], shape.columns["label"], shape.several

    def read(fields: Mapping[str, object], source: str) -> Content:
        messages = (Message("document", text_of(fields, text)),)
        if label not in fields:
            _refuse_misspelt(label, fields, shape)
        return messages, label_of(fields.get(label), label, several)

    return read


def _doccano(shape: Shape, notes: Notes) -> Reader:
    if shape.natural == "classify":
        return _text_and_label(shape, notes)
    text, label = shape.columns["text"], shape.columns["label"]

    def read(fields: Mapping[str, object], source: str) -> Content:
        document = text_of(fields, text)
        items = fields.get(label)
        return (Message("document", document),), None if items is None else offset_spans(items, document, label)

    return read


def _conll(shape: Shape, notes: Notes) -> Reader:
    tokens_name, tags_name = shape.columns["tokens"], shape.columns["tags"]

    def read(fields: Mapping[str, object], source: str) -> Content:
        tokens, tags = _list_of_texts(fields, tokens_name), _list_of_texts(fields, tags_name)
        if len(tokens) != len(tags):
            raise Unfit("malformed", t("has {tokens} tokens and {tags} tags", tokens=len(tokens), tags=len(tags)))
        pairs = [(token, tag) for token, tag in zip(tokens, tags, strict=True) if token.strip()]
        if not pairs:
            raise Unfit("empty_text", t("has no tokens"))
        words = [token for token, _ in pairs]
        text, starts = join_tokens(words)
        return (Message("document", text),), tagged_spans(words, starts, [tag for _, tag in pairs])

    return read


def _prompt_and_reply(shape: Shape, notes: Notes) -> Reader:
    prompt, reply = shape.columns["prompt"], shape.columns.get("reply")
    system = shape.columns.get("system")

    def read(fields: Mapping[str, object], source: str) -> Content:
        value = fields.get(prompt)
        if isinstance(value, list):
            return _prompt_of_turns(shape, fields, source, notes)
        first = _system_message(fields, system)
        messages = (*first, Message("user", text_of(fields, prompt)))
        return messages, _reply(fields, reply, shape.needs_reply)

    return read


def _prompt_of_turns(shape: Shape, fields: Mapping[str, object], source: str, notes: Notes) -> Content:
    """Prompt and reply may be lists of turns themselves (the conversational form of TRL)."""
    prompt, reply = shape.columns["prompt"], shape.columns.get("reply")
    turns = fields[prompt]
    answer = fields.get(reply) if reply else None
    if isinstance(answer, str):
        answer = [{shape.keys.role: "assistant", shape.keys.content: answer}]
    if isinstance(turns, list) and isinstance(answer, list):
        turns = [*turns, *answer]
    return read_conversation(turns, prompt, shape.keys, shape.needs_reply, source, notes)


def _alpaca(shape: Shape, notes: Notes) -> Reader:
    columns = shape.columns
    instruction, extra, output = columns["instruction"], columns.get("input"), columns.get("output")

    def read(fields: Mapping[str, object], source: str) -> Content:
        parts = [optional_text(fields, instruction), as_text(fields.get(extra), extra) if extra else ""]
        prompt = "\n".join(part for part in parts if part.strip())
        if not prompt:
            raise Unfit("empty_text", t("`{field}` is empty", field=instruction))
        history = _history(fields.get(columns["history"]), columns["history"]) if "history" in columns else ()
        messages = (*_system_message(fields, columns.get("system")), *history, Message("user", prompt))
        return messages, _reply(fields, output, shape.needs_reply)

    return read


def _history(value: object, path: str) -> tuple[Message, ...]:
    """Earlier rounds as ``[[user, assistant], …]``."""
    if value is None or value == "":
        return ()
    if not isinstance(value, list):
        raise wrong_type(value, path, t("a list of rounds"))
    messages: list[Message] = []
    for index, item in enumerate(value):
        place = f"{path}[{index}]"
        if not isinstance(item, list) or len(item) != 2:
            raise wrong_type(item, place, t("a round of two texts"))
        messages.append(Message("user", as_text(item[0], f"{place}[0]")))
        messages.append(Message("assistant", as_text(item[1], f"{place}[1]")))
    return tuple(messages)


def _conversation(shape: Shape, notes: Notes) -> Reader:
    column, system, chosen = shape.columns["messages"], shape.columns.get("system"), shape.columns.get("chosen")

    def read(fields: Mapping[str, object], source: str) -> Content:
        if column not in fields:
            raise missing_field(fields, column)
        _refuse_unlearnable(fields)
        turns = fields[column]
        if chosen and isinstance(turns, list):
            turns = [*turns, _chosen_turn(fields, chosen, shape.keys)]
        messages, reply = read_conversation(turns, column, shape.keys, shape.needs_reply, source, notes)
        return (*_system_message(fields, system), *messages), reply

    return read


def _chosen_turn(fields: Mapping[str, object], column: str, keys: TurnKeys) -> object:
    """The better of two answers in preference data: a turn, or its text."""
    if column not in fields:
        raise missing_field(fields, column)
    value = fields[column]
    return {keys.role: "assistant", keys.content: value} if isinstance(value, str) else value


def _label_studio(shape: Shape, notes: Notes) -> Reader:
    column = shape.columns["text"]

    def read(fields: Mapping[str, object], source: str) -> Content:
        document = text_of_task(fields, column)
        label = label_studio_label(fields, document, shape.natural == "mark", shape.several)
        return (Message("document", document),), label

    return read


def _prodigy(shape: Shape, notes: Notes) -> Reader:
    column = shape.columns["text"]

    def read(fields: Mapping[str, object], source: str) -> Content:
        document = text_of(fields, column)
        return (Message("document", document),), prodigy_label(fields, document, shape.natural == "mark", shape.several)

    return read


_READERS: dict[str, Callable[[Shape, Notes], Reader]] = {
    "text": _text,
    "text+label": _text_and_label,
    "prompt+reply": _prompt_and_reply,
    "alpaca": _alpaca,
    "sharegpt": _conversation,
    "messages": _conversation,
    "conll": _conll,
    "labelstudio": _label_studio,
    "doccano": _doccano,
    "prodigy": _prodigy,
}


def _reply(fields: Mapping[str, object], column: str | None, needed: bool) -> Reply | None:
    _refuse_unlearnable(fields)
    if column is not None and column in fields:
        value = fields[column]
        # Numbers and truth values answer questions too: {"question": "2+2", "answer": 4}
        text = str(value) if isinstance(value, (int, float)) else as_text(value, column)
        if text.strip():
            return Reply(text)
    if not needed:
        return None
    if column is not None and column not in fields:
        raise missing_field(fields, column)
    raise Unfit("no_reply", t("`{field}` is empty: no reply to learn from", field=column or "reply"))


def _refuse_unlearnable(fields: Mapping[str, object]) -> None:
    """``label: false`` marks a bad answer in preference data (KTO); one about a picture needs the picture."""
    if fields.get("label") is False:
        raise Unfit("rejected", t("`{field}` marks it as a bad answer", field="label"))
    for name in _MEDIA:
        if fields.get(name):
            raise Unfit("unsupported", t("has `{field}`; only text is read", field=name))


def _system_message(fields: Mapping[str, object], column: str | None) -> tuple[Message, ...]:
    text = as_text(fields.get(column), column) if column else ""
    return (Message("system", text),) if text.strip() else ()


def _list_of_texts(fields: Mapping[str, object], name: str) -> list[str]:
    if name not in fields:
        raise missing_field(fields, name)
    value = fields[name]
    if not isinstance(value, list):
        raise wrong_type(value, name, t("a list of texts"))
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise wrong_type(item, f"{name}[{index}]", t("a text"))
    return value


def _refuse_misspelt(label: str, fields: Mapping[str, object], shape: Shape) -> None:
    """A row without the label's field is unlabelled, unless it has one with nearly that name."""
    near = near_names(label, [name for name in fields if name not in shape.columns.values()])
    if near:
        raise missing_field({near[0]: None}, label)
