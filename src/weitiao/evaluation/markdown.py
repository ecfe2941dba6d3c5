"""Markdown from templates in which no text of a user can act: every value is escaped, code is fenced.

Separate because the card of a run and the report of a comparison are both made so, and Markdown has other dangers than
HTML.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from weitiao.evaluation.measures import Shown
from weitiao.words import t


@cache
def markdown_environment(folder: Path) -> jinja2.Environment:
    """The templates of ``folder``; filters: ``quoted`` for YAML, ``raw`` for fenced code, ``shown`` for numbers."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=False,  # not HTML: every value passes through _escaped instead
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_escaped,
    )
    environment.globals["t"] = t
    environment.filters.update(quoted=_quoted, raw=_code, shown=shown_text)
    return environment


def shown_text(shown: Shown | None) -> str:
    """A number with its interval behind it, or a dash."""
    return f"{shown.value} ({shown.interval})" if shown else "–"


class _Ready(str):
    """Markdown that is safe as it is."""

    __slots__ = ()


def _escaped(value: Any) -> str:
    if isinstance(value, _Ready):
        return value
    flat = " ".join(str(value).split())
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    # A bare address would become a link by itself.
    return escaped.replace("://", ":\\//").replace("www.", "www\\.")


def _quoted(value: Any) -> _Ready:
    # A YAML string in double quotes reads \u003c as "<", as JSON does; a reader of Markdown sees no tag.
    return _Ready(json.dumps(str(value), ensure_ascii=False).replace("<", "\\u003c"))


def _code(value: Any) -> _Ready:
    return _Ready(" ".join(str(value).split()).replace("```", "'''"))
