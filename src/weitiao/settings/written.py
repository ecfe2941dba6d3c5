"""What the user wrote, before it is a setting: a name, a text and its place. And what became of it, to be shown.

Separate because a flag, a ``name=value`` and a line of YAML are the same thing from here on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

Value = str | tuple[str, ...] | None
"""The text as written, several texts of a list, or None for YAML's null, which means: as if left out."""


@dataclass(frozen=True, slots=True)
class Written:
    """One setting as it was given. ``name`` may be replaced by the canonical one; ``said`` stays what the user wrote.

    ``place`` is ``x.yaml:3`` for a file, and empty for a flag, whose ``said`` (``--learning-rate``) is place enough.
    """

    name: str
    value: Value
    said: str
    place: str = ""

    @property
    def where(self) -> str:
        """For people: ``x.yaml:3: lora_r (lora_rank)``."""
        other = "" if spelled(self.said) == self.name else f" ({self.name})"
        return f"{self.place}: {self.said}{other}" if self.place else f"{self.said}{other}"

    @property
    def shown(self) -> str:
        """The value for people, on one line and not too long."""
        return show(self.value)

    def renamed(self, name: str, value: Value) -> Written:
        """The same piece of the user's text as setting ``name``."""
        return replace(self, name=name, value=value)


@dataclass(frozen=True, slots=True)
class Translation:
    """A name or value not of our own: ``lora_r: 8`` became ``lora_rank: 8``; or was not needed, as ``note`` says."""

    name: str
    value: str
    becomes: str
    note: str = ""

    def sentence(self) -> str:
        """One line for people: ``bf16: true → precision: bf16``, with the note in brackets."""
        if not self.becomes:
            return f"{self.name}: {self.value} → {self.note}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.name}: {self.value} → {self.becomes}{note}"


def spelled(said: str) -> str:
    """``--learning-rate`` as a name: ``learning_rate``."""
    return said.removeprefix("--").replace("-", "_")


def show(value: object, limit: int = 60) -> str:
    """A value for people: on one line, control characters escaped, and but for paths cut after ``limit`` characters."""
    if value is None:
        return "null"
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    text = "".join(c if c.isprintable() or c == "\u3000" else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit or isinstance(value, Path) else f"{text[: limit - 1]}…"
