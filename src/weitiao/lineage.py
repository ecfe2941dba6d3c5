"""Fingerprints: what a result was made from, so that a run goes on only with the same, and a family tree can be drawn.

Separate because runs, reports and served adapters all name what they stand for by these digests.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from weitiao import __version__
from weitiao.errors import DataError
from weitiao.words import t

_CHUNK_BYTES = 1024 * 1024
_CODE = "code"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Digests of all that decides a result's bits, and the run it started from (None: from a model of others).

    ``template`` is that of the chat template. ``moment`` (``2026-11-24T09:30:00``) is the local time that it is told
    when it asks for the date; None when it does not. ``engine`` is what calculated, where that decides the last bits.
    """

    base: str
    data: str
    settings: str
    tokenizer: str
    code: str
    seed: int
    parent: str | None = None
    template: str = ""
    moment: str | None = None
    engine: str = ""

    def json(self) -> dict[str, Any]:
        """As ``lineage.json`` holds it."""
        return asdict(self)

    @staticmethod
    def from_json(value: object) -> Lineage:
        """Back from :meth:`json`. Raises DataError when a field is missing, unknown or of another type."""
        names = {field.name for field in fields(Lineage)}
        if not isinstance(value, dict) or set(value) != names:
            raise _damaged(t("its fields are not {names}", names=", ".join(sorted(names))))
        for name, content in value.items():
            if not _right(name, content):
                raise _damaged(t("{name} is {value}", name=name, value=repr(content)[:60]))
        return Lineage(**value)


def differences(old: Lineage, new: Lineage) -> list[tuple[str, object, object]]:
    """What has changed, as (name, old, new), and forbids resuming. Another version of the code alone does not."""
    names = [field.name for field in fields(Lineage) if field.name != _CODE]
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in names]
    return [(name, before, after) for name, before, after in pairs if before != after]


def digest_file(path: Path) -> str:
    """The sha256 of the file's bytes, in hex; constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_json(value: object) -> str:
    """The sha256 of the value as canonical JSON (sorted keys, no spaces). Raises ValueError for NaN and infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@cache
def code_version() -> str:
    """The package's version, and in a checkout also the commit, with ``-dirty`` where files were changed since."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or Path(__file__).resolve().parent != root / "src" / "weitiao":
        return __version__
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{told.stdout.strip()}"


def _right(name: str, content: object) -> bool:
    """Whether a field may have this content."""
    if name == "seed":
        return isinstance(content, int) and not isinstance(content, bool)
    if content is None:
        return name in ("parent", "moment")
    if name == "moment" and isinstance(content, str):
        try:
            datetime.fromisoformat(content)
        except ValueError:
            return False
    return isinstance(content, str)


def _damaged(reason: str) -> DataError:
    return DataError(
        t("lineage.json is damaged: {reason}", reason=reason), t("the run cannot be resumed safely; start a new one")
    )
