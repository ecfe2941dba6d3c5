"""What column names usually mean, and what a column holds when its name means nothing.

Separate because tables, JSON and Parquet ask the same two questions: is there a column of this name, and which column
looks like the text, which like the label?
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from weitiao.data.files import near_names
from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.words import t

Part = Literal["text", "label", "prompt", "reply"]

NAMES: dict[Part, tuple[str, ...]] = {
    "text": (
        *(
            "text",
            "sentence",
            "content",
            "review",
            "message",
            "comment",
            "document",
            "body",
            "tweet",
            "sms",
            "utterance",
        ),
        *("passage", "headline", "sentence1", "news", "v2", "文本", "内容", "评论", "句子", "正文", "短信", "评价"),
    ),
    "label": (
        *(
            "label",
            "labels",
            "category",
            "categories",
            "class",
            "sentiment",
            "target",
            "intent",
            "topic",
            "tag",
            "tags",
        ),
        *("label_text", "v1", "标签", "类别", "分类", "情感", "类目", "意图"),
    ),
    "prompt": (
        *("prompt", "question", "query", "instruction", "input", "user", "human", "source"),
        *("问题", "提问", "输入", "指令", "问"),
    ),
    "reply": (
        *("completion", "response", "reply", "answer", "output", "chosen", "assistant", "target"),
        *("回答", "答案", "回复", "输出", "答"),
    ),
}
_ALL_NAMES = frozenset(name for names in NAMES.values() for name in names)
# Columns that describe a row and are never what should be learned
_DESCRIPTIONS = frozenset(
    (
        *(
            "id",
            "_id",
            "uid",
            "guid",
            "idx",
            "index",
            "source",
            "lang",
            "language",
            "url",
            "link",
            "date",
            "time",
            "created_at",
        ),
        *(
            "timestamp",
            "split",
            "set",
            "author",
            "user",
            "username",
            "name",
            "meta",
            "metadata",
            "dataset",
            "license",
            "file",
        ),
        *(
            "filename",
            "path",
            "title",
            "score",
            "length",
            "tokens",
            "weight",
            "annotator",
            "lead_time",
            "编号",
            "序号",
            "来源",
        ),
    )
)
MAX_CATEGORY_CHARACTERS = 40
MAX_GUESSED_CATEGORIES = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """What the looked-at rows hold in one column."""

    name: str
    filled: int
    distinct: int
    mean_length: float
    longest: int

    @property
    def repeats(self) -> bool:
        """Whether the values are few, short and come again, as categories do."""
        few = self.distinct <= min(MAX_GUESSED_CATEGORIES, max(2, self.filled // 2))
        return self.filled > 0 and few and self.longest <= MAX_CATEGORY_CHARACTERS


def find_facts(rows: Sequence[Mapping[str, object]]) -> dict[str, Facts]:
    """Facts of each column that holds text, numbers or truth values, in the order of the columns."""
    values: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.items():
            column = values.setdefault(name, [])
            if isinstance(value, (str, int, float)) and str(value).strip():
                column.append(str(value))
    return {name: _facts(name, column) for name, column in values.items() if column}


def is_known_name(name: str) -> bool:
    """Whether a column of this name usually means something here."""
    return _folded(name) in _ALL_NAMES


def known_column(part: Part, names: Iterable[str]) -> str | None:
    """The column among ``names`` that is usually called so for this ``part``; the most usual name wins."""
    folded = {_folded(name): name for name in reversed(list(names))}
    return next((folded[name] for name in NAMES[part] if name in folded), None)


def longest_column(facts: Iterable[Facts]) -> str | None:
    """The column with the longest texts."""
    candidates = sorted((fact for fact in facts), key=lambda fact: -fact.mean_length)
    return candidates[0].name if candidates else None


def repeating_column(facts: Iterable[Facts]) -> str | None:
    """The column that looks like categories: few, short, repeated values, and not one that describes the row."""
    candidates = [fact for fact in facts if fact.repeats and not is_description(fact.name)]
    return min(candidates, key=lambda fact: (fact.distinct < 2, fact.distinct)).name if candidates else None


def is_description(name: str) -> bool:
    """Whether a column of this name tells about the row (its id, date, source, …) and is nothing to learn."""
    return _folded(name) in _DESCRIPTIONS


def require_column(name: str, names: Iterable[str], flag: str) -> str:
    """``name`` as it is spelt among ``names``; DataError with the nearest names when no column is called so."""
    names = list(names)
    for candidate in names:
        if candidate == name or _folded(candidate) == _folded(name):
            return candidate
    near = near_names(name, names) or names[:12]
    raise DataError(
        t("there is no column `{name}` (asked for by {flag})", name=visible(name, 60), flag=flag),
        t("the nearest columns are: {names}", names=", ".join(f"`{visible(n, 40)}`" for n in near)),
    )


def _facts(name: str, values: Sequence[str]) -> Facts:
    lengths = [len(value) for value in values]
    return Facts(name, len(values), len({value.strip() for value in values}), fmean(lengths), max(lengths))


def _folded(name: str) -> str:
    return name.strip().casefold()
