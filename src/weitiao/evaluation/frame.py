"""The frame of every page: one file that loads nothing, whose policy allows its own script and style by digest alone.

Separate because the report of a run and that of a comparison stand in the same frame. Every text is escaped by the
templates, and the rows of the test are JSON that the script writes as text.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from weitiao.words import Language, t

SHARED = Path(__file__).parent / "page"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: its anchor, which names its template too, and its title."""

    name: str
    title: str


def whole_page(
    folder: Path, language: Language, heading: str, sections: Sequence[Section], values: Mapping[str, Any]
) -> str:
    """The page whose own templates, ``page.js`` and, beyond the shared style, ``page.css`` are in ``folder``."""
    style = "".join(_asset(file) for file in dict.fromkeys((SHARED / "page.css", folder / "page.css")))
    script = _asset(SHARED / "rows.js") + _asset(folder / "page.js")
    frame = {
        "language": language,
        "heading": heading,
        "sections": sections,
        "policy": _policy(style, script),
        "style": Markup(style),
        "script": Markup(script),
    }
    return _environment(folder).get_template("frame.html").render({**frame, **values})


def embedded(value: Any) -> Markup:
    """``value`` as JSON that can stand in a ``<script>``."""
    # Within <script> only "<" could end the text or begin a comment; the others are for readers that are less strict.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def digest(text: str) -> str:
    """The digest of a script or style as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["t"] = t
    return environment


@cache
def _asset(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    own = f"style-src {digest(style)}; script-src {digest(script)}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
