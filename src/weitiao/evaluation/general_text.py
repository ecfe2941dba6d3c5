"""Forty short general texts in English and in Chinese: on what they show, tuning was not meant to change the model.

Stories, talk, news, instructions, facts and numbers, written for this project (licensed as it is) and published nowhere
before, and in both languages of the same things, so that losses on them compare. Separate because they are data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]


def general_texts(language: Language) -> tuple[str, ...]:
    """The texts, each of 60 to 90 words or of 100 to 140 characters."""
    lines = (Path(__file__).parent / "general" / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["text"] for line in lines)
