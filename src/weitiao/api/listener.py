"""Who is told what an ``api`` function is doing: the command line, a page, a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Listener = Callable[[str, dict[str, Any]], None]
"""Told of each event: its kind and its facts. Those of a run are what goes into events.jsonl."""
