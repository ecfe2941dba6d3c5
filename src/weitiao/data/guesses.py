"""The sentences that say what data were read as, each with the flag that overrules it.

Separate because they are words for people, and finding the layout is long enough without them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from weitiao.data.reading import Reading
from weitiao.data.shapes import Shape
from weitiao.data.visible import visible
from weitiao.example import Categories, Category, Example, Spans
from weitiao.words import t

_SHOWN = 6
_DELIMITERS = {"\t": "TAB", ",": ",", ";": ";", "|": "|"}


def about_kind(shape: Shape, hinted: bool) -> str:
    """What the data will be used for, and why."""
    if hinted:
        return t("read as: {kind}, as --kind says", kind=shape.kind)
    match shape.kind:
        case "classify":
            reason = t("the labels are categories")
        case "mark":
            reason = t("parts of the texts are marked")
        case "reply":
            reason = t("there are prompts and replies")
        case _:
            reason = t("there is text without labels")
    return t("read as: {kind}, as {reason} (--kind overrules)", kind=shape.kind, reason=reason)


def about_file(reading: Reading) -> Iterator[str]:
    """How the file is written."""
    dialect = reading.dialect
    if dialect is not None:
        if dialect.header:
            header = t("the first line holds the column names")
        else:
            header = t("there are no column names, so the columns are called 1, 2, …")
        yield t(
            "table separated by {mark} (--format overrules); {header} (--header or --no-header overrules)",
            mark=_DELIMITERS[dialect.delimiter],
            header=header,
        )
    elif reading.format == "text":
        yield t("text file: {documents} (--documents overrules)", documents=_documents(reading.documents or "lines"))
    else:
        yield t("file format {format} (--format overrules)", format=reading.format)


def about_columns(shape: Shape, examples: Sequence[Example]) -> Iterator[str]:
    """Which column is what, with the shares of the categories in the looked-at rows."""
    columns = {role: visible(name, 60) for role, name in shape.columns.items()}
    if shape.name in ("text", "text+label", "doccano", "prodigy", "labelstudio"):
        yield t("text column `{column}` (--text-column overrules)", column=columns["text"])
    if "label" in columns:
        shares = about_labels(examples)
        sentence = t("label column `{column}` (--label-column overrules)", column=columns["label"])
        yield f"{sentence}: {shares}" if shares else sentence
    if shape.name == "conll":
        yield t(
            "tokens `{tokens}` with tags `{tags}`: {shares}",
            tokens=columns["tokens"],
            tags=columns["tags"],
            shares=about_labels(examples),
        )
    if shape.name == "alpaca":
        names = ", ".join(f"`{name}`" for name in columns.values())
        yield t("Alpaca columns {names} (--prompt-column and --reply-column overrule)", names=names)
    if "messages" in columns:
        yield t("conversations in `{column}`; the last turn of the assistant is the reply", column=columns["messages"])
    if "chosen" in columns:
        yield t(
            "the answer in `{column}` is learned as the reply, the rejected one is not read", column=columns["chosen"]
        )
    if "prompt" in columns:
        yield t("prompt column `{column}` (--prompt-column overrules)", column=columns["prompt"])
    if "reply" in columns:
        yield t("reply column `{column}` (--reply-column overrules)", column=columns["reply"])


def about_classes(names: Sequence[str]) -> Iterator[str]:
    """Which folders or files are the categories."""
    shown = ", ".join(visible(name, 40) for name in names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += ", " + t("and {count} more", count=len(names) - _SHOWN)
    yield t("the names of the folders or files are the labels: {names}", names=shown)


def about_labels(examples: Iterable[Example]) -> str:
    """``ham 87 %, spam 13 %``: the most frequent categories or span types; empty without any."""
    counts: Counter[str] = Counter()
    for example in examples:
        match example.label:
            case Category(name):
                counts[name] += 1
            case Categories(names):
                counts.update(names)
            case Spans(spans):
                counts.update(span.name for span in spans)
    total = counts.total()
    shown = [f"{visible(name, 40)} {_percent(count, total)} %" for name, count in counts.most_common(_SHOWN)]
    if len(counts) > _SHOWN:
        shown.append(t("and {count} more", count=len(counts) - _SHOWN))
    return ", ".join(shown)


def shown_names(names: Sequence[str]) -> list[str]:
    """Column names safe to print, at most a dozen."""
    return [visible(name, 40) for name in names[:12]]


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f}" if share >= 1 else "<1"


def _documents(documents: str) -> str:
    match documents:
        case "paragraphs":
            return t("each paragraph is a document, as blank lines part them")
        case "file":
            return t("each file is a document")
        case "fasttext":
            return t("each line is a document with its __label__")
        case _:
            return t("each line is a document")
