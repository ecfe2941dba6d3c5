"""What people read, in their language: English in the code, Chinese in ``locales/zh/*.json``.

One JSON object a file, English sentence to Chinese sentence, with the same ``{placeholders}``.
"""

import json
import os
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]

_LOCALES = Path(__file__).parent / "locales"
_language: ContextVar[Language | None] = ContextVar("language", default=None)


def t(text: str, /, **values: object) -> str:
    """``text`` in the current language, with ``{name}`` filled from ``values``; English where no translation exists."""
    if language() == "zh":
        text = translations().get(text, text)
    return text.format(**values) if values else text


def language() -> Language:
    """The current language: the one that was set, or the one that the environment asks for."""
    return _language.get() or _language_of_environment()


def set_language(value: Language) -> None:
    """Speak ``value`` from now on, in this thread or task."""
    _language.set(value)


@cache
def translations() -> dict[str, str]:
    """Every English sentence with its Chinese."""
    merged: dict[str, str] = {}
    for file in sorted((_LOCALES / "zh").glob("*.json")):
        merged.update(json.loads(file.read_text(encoding="utf-8")))
    return merged


def _language_of_environment() -> Language:
    for name in ("WEITIAO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
