"""What a data set was found to be: its shape, its task and its columns, each guess with the flag that overrules it.

Separate because guessing looks at the first thousand records only, and must be explained to the user in sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from weitiao.data import guesses
from weitiao.data.annotations import is_label_studio, is_prodigy, label_studio_facts, prodigy_facts
from weitiao.data.columns import (
    Facts,
    find_facts,
    is_description,
    known_column,
    longest_column,
    repeating_column,
    require_column,
)
from weitiao.data.dataset_info import DatasetEntry
from weitiao.data.fields import label_names
from weitiao.data.reading import Reading
from weitiao.data.shapes import Shape
from weitiao.data.spans import is_span
from weitiao.data.turns import TurnKeys, find_keys
from weitiao.errors import DataError
from weitiao.example import Example, Kind
from weitiao.words import t

Rows = Sequence[Mapping[str, object]]

_CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "对话")
_TOKENS = ("tokens", "words")
_TAGS = ("ner_tags", "tags", "labels", "ner")
_SPAN_COLUMNS = ("label", "labels", "entities", "annotations", "spans")


@dataclass(frozen=True, slots=True)
class Hints:
    """Every guess's overrule; None = look. ``needs_reply=False`` keeps prompts without a reply, for prediction."""

    format: str | None = None
    kind: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    prompt_column: str | None = None
    reply_column: str | None = None
    question: str | None = None
    header: bool | None = None
    documents: str | None = None
    needs_reply: bool = True

    def columns(self) -> tuple[str, ...]:
        """The column names that were given."""
        return tuple(filter(None, (self.text_column, self.label_column, self.prompt_column, self.reply_column)))


@dataclass(frozen=True, slots=True)
class Layout:
    """What the file was found to be. ``columns`` maps a role to a column; ``guesses`` are sentences for people."""

    format: str
    shape: str
    kind: Kind
    columns: Mapping[str, str]
    guesses: tuple[str, ...]


def find_shape(rows: Rows, hints: Hints, entry: DatasetEntry | None) -> Shape:
    """The shape of the records ``rows``. DataError when a named column is missing or nothing fits."""
    shape = (
        _shape_by_hints(rows, hints)
        or _shape_by_entry(entry)
        or _shape_of_annotations(rows)
        or _shape_of_conversations(rows)
        or _shape_by_names(rows)
        or _shape_by_content(rows)
    )
    if shape is None:
        raise _nothing_found(rows)
    kind = _kind(hints.kind) if hints.kind else shape.natural
    return replace(shape, kind=kind, needs_reply=hints.needs_reply)


def make_layout(
    reading: Reading, shape: Shape, examples: Sequence[Example], class_names: Sequence[str], hints: Hints
) -> Layout:
    """The layout with its sentences; ``examples`` of the looked-at records give the shares of the categories.

    ``class_names`` are those of class folders; of these only the first files were looked at, so no shares are said.
    """
    sentences = (
        guesses.about_kind(shape, hinted=hints.kind is not None),
        *guesses.about_file(reading),
        *(guesses.about_classes(class_names) if class_names else guesses.about_columns(shape, examples)),
    )
    return Layout(reading.format, shape.name, shape.kind, shape.columns, sentences)


def _shape_by_hints(rows: Rows, hints: Hints) -> Shape | None:
    names = _names(rows)
    if hints.prompt_column or hints.reply_column:
        facts = find_facts(rows)
        prompt = hints.prompt_column and require_column(hints.prompt_column, names, "--prompt-column")
        reply = hints.reply_column and require_column(hints.reply_column, names, "--reply-column")
        prompt = prompt or known_column("prompt", _without(names, reply)) or _longest_but(facts, reply)
        if prompt is None:
            raise _nothing_found(rows)
        if not reply and hints.needs_reply:
            reply = known_column("reply", _without(names, prompt)) or _longest_but(facts, prompt)
        columns = {"prompt": prompt} if not reply else {"prompt": prompt, "reply": reply}
        return Shape("prompt+reply", "reply", "reply", columns, keys=_prompt_keys(rows, prompt))
    if hints.text_column or hints.label_column:
        text = hints.text_column and require_column(hints.text_column, names, "--text-column")
        label = hints.label_column and require_column(hints.label_column, names, "--label-column")
        return _labelled_by_hints(rows, text, label)
    return None


def _labelled_by_hints(rows: Rows, text: str | None, label: str | None) -> Shape:
    names, facts = _names(rows), find_facts(rows)
    text = text or known_column("text", _without(names, label)) or _longest_but(facts, label)
    if text is None:
        raise _nothing_found(rows)
    rest = _without(names, text)
    label = label or known_column("label", rest) or repeating_column(facts[name] for name in rest if name in facts)
    return _labelled(rows, text, label) if label else Shape("text", "continue", "continue", {"text": text})


def _shape_by_entry(entry: DatasetEntry | None) -> Shape | None:
    if entry is None:
        return None
    if entry.shape == "alpaca":
        if "instruction" not in entry.columns:
            return None
        if "output" not in entry.columns:
            return Shape("text", "continue", "continue", {"text": entry.columns["instruction"]})
        return Shape("alpaca", "reply", "reply", entry.columns)
    keys = TurnKeys(entry.columns["role"], entry.columns["content"], entry.roles)
    columns = {role: column for role, column in entry.columns.items() if role in ("messages", "system", "chosen")}
    return Shape("sharegpt", "reply", "reply", columns, keys=keys)


def _shape_of_annotations(rows: Rows) -> Shape | None:
    if is_label_studio(rows):
        column, kind, several = label_studio_facts(rows)
        return Shape("labelstudio", kind, kind, {"text": column, "label": "annotations"}, several=several)
    if is_prodigy(rows):
        kind, several = prodigy_facts(rows)
        columns = {"text": "text", "label": "spans" if kind == "mark" else "accept"}
        return Shape("prodigy", kind, kind, columns, several=several)
    names = _names(rows)
    tokens = next((name for name in _TOKENS if name in names and _holds_lists(rows, name)), None)
    tags = next((name for name in _TAGS if name in names and _holds_lists(rows, name)), None)
    if tokens and tags:
        return Shape("conll", "mark", "mark", {"tokens": tokens, "tags": tags})
    text = known_column("text", names)
    marked = next((name for name in _SPAN_COLUMNS if _holds_spans(rows, name)), None)
    if text and marked:
        return Shape("doccano", "mark", "mark", {"text": text, "label": marked})
    return None


def _shape_of_conversations(rows: Rows) -> Shape | None:
    names = _names(rows)
    prompt, reply = known_column("prompt", names), known_column("reply", names)
    halves = (prompt, reply) if prompt and reply else ()  # turns may be parted into a prompt and a reply
    for name in [*(name for name in _CONVERSATIONS if name in names), *_without(names, *_CONVERSATIONS)]:
        keys = _turn_keys(rows, name)
        if keys is not None and name not in halves and "rejected" not in name:
            columns = {"messages": name}
            if "system" in names:
                columns["system"] = "system"
            if "chosen" in names and name != "chosen":
                columns["chosen"] = "chosen"
            return Shape("sharegpt" if keys.role == "from" else "messages", "reply", "reply", columns, keys=keys)
    return None


def _shape_by_names(rows: Rows) -> Shape | None:
    names, facts = _names(rows), find_facts(rows)
    if "instruction" in names and ("output" in names or "input" in names):
        roles = ("instruction", "input", "output", "system", "history")
        return Shape("alpaca", "reply", "reply", {role: role for role in roles if role in names})
    prompt = known_column("prompt", names)
    reply = known_column("reply", _without(names, prompt))
    if prompt and reply and not (_is_categories(reply, facts) and prompt not in ("prompt", "instruction")):
        return _dialogue(rows, prompt, reply)
    text = known_column("text", names) or prompt
    label = known_column("label", _without(names, text)) or (reply if prompt and reply else None)
    if text and label:
        if _is_long_answer(label, facts, rows):
            return _dialogue(rows, text, label)
        return _labelled(rows, text, label)
    return None


def _shape_by_content(rows: Rows) -> Shape | None:
    """By what the columns hold: the longest is the text, a few short repeated values are the label."""
    names, facts = _names(rows), find_facts(rows)
    known_text, known_label = known_column("text", names), known_column("label", names)
    text = (
        known_text
        or _longest_but({n: f for n, f in facts.items() if not is_description(n)}, known_label)
        or longest_column(facts.values())
    )
    if text is None:
        return None
    rest = [facts[name] for name in _without(names, text) if name in facts]
    label = known_label or repeating_column(rest)
    if label:
        return _labelled(rows, text, label)
    others = [fact for fact in rest if not is_description(fact.name)]
    if len(others) == 1 and not known_text and _is_answer(others[0]):
        first, second = sorted((text, others[0].name), key=names.index)
        return _dialogue(rows, first, second)
    return Shape("text", "continue", "continue", {"text": text})


def _labelled(rows: Rows, text: str, label: str) -> Shape:
    if _holds_spans(rows, label):
        return Shape("doccano", "mark", "mark", {"text": text, "label": label})
    lists = [names for row in rows if (names := label_names(row.get(label), label)) is not None]
    several = any(len(names) > 1 for names in lists)
    name = "doccano" if any(isinstance(row.get(label), list) for row in rows) and "id" in _names(rows) else "text+label"
    return Shape(name, "classify", "classify", {"text": text, "label": label}, several=several)  # type: ignore[arg-type]


def _dialogue(rows: Rows, prompt: str, reply: str) -> Shape:
    columns = {"prompt": prompt, "reply": reply}
    if "system" in _names(rows):
        columns["system"] = "system"
    return Shape("prompt+reply", "reply", "reply", columns, keys=_prompt_keys(rows, prompt))


def _is_categories(column: str, facts: Mapping[str, Facts]) -> bool:
    """Whether replies are so few and short that they are categories: each comes five times on average."""
    fact = facts.get(column)
    return fact is not None and fact.repeats and fact.distinct <= 20 and fact.filled >= 5 * fact.distinct


def _is_long_answer(label: str, facts: Mapping[str, Facts], rows: Rows) -> bool:
    """Whether a column with a label's name holds (nearly) as many long texts as rows: answers, not categories."""
    fact = facts.get(label)
    return fact is not None and len(rows) >= 2 and _is_answer(fact)


def _is_answer(fact: Facts) -> bool:
    return fact.distinct > 0.8 * fact.filled and (fact.longest > 40 or fact.mean_length > 20)


def _turn_keys(rows: Rows, name: str) -> TurnKeys | None:
    for row in rows:
        value = row.get(name)
        if isinstance(value, list) and value:
            return find_keys(value[0]) if isinstance(value[0], dict) else None
    return None


def _prompt_keys(rows: Rows, prompt: str) -> TurnKeys:
    return _turn_keys(rows, prompt) or TurnKeys()


def _holds_lists(rows: Rows, name: str) -> bool:
    return any(isinstance(row.get(name), list) for row in rows)


def _holds_spans(rows: Rows, name: str) -> bool:
    values = [value for row in rows if isinstance(value := row.get(name), list)]
    return any(value and is_span(value[0]) for value in values)


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _without(names: Sequence[str], *left_out: str | None) -> list[str]:
    return [name for name in names if name not in left_out]


def _longest_but(facts: Mapping[str, Facts], left_out: str | None) -> str | None:
    return longest_column(fact for name, fact in facts.items() if name != left_out)


def _kind(name: str) -> Kind:
    for kind in get_args(Kind):
        if kind == name:
            return kind  # type: ignore[no-any-return]
    raise DataError(
        t("{flag} {value} is not known", flag="--kind", value=name),
        t("choose one of: {names}", names=", ".join(get_args(Kind))),
    )


def _nothing_found(rows: Rows) -> DataError:
    names = ", ".join(f"`{name}`" for name in guesses.shown_names(_names(rows)))
    return DataError(
        t("no column holds text; the columns are {names}", names=names),
        t("name the columns: --text-column and --label-column, or --prompt-column and --reply-column"),
    )
