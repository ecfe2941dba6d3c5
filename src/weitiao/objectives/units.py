"""The words and sentences of a text, in English and Chinese, and which of them each token belongs to.

Separate because masks over whole words and blanks over whole sentences both need them, and both are matters of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from weitiao.objectives.row import NEVER_HIDDEN

Cut = Callable[[str], Sequence[str]]
"""A run of Han characters into words."""

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+(?:['’][^\W_{_HAN}]+)*|\S")
_SENTENCE = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s)|[。！？；…]+[”’」』）]*|\n)\s*")


def words_of(text: str, cut: Cut) -> list[int]:
    """Where each word of ``text`` begins, ascending: runs of letters, what ``cut`` makes of Han, single other signs."""
    starts = []
    for found in _WORD.finditer(text):
        start = found.start()
        for word in cut(found[0]) if _is_han(found[0][0]) else (found[0],):
            starts.append(start)
            start += len(word)
    return starts


def sentences_of(text: str) -> list[int]:
    """Where each sentence of ``text`` begins, ascending."""
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return [0, *(end for end in ends if end < len(text))] if text else []


def has_han(text: str) -> bool:
    """Whether ``text`` holds Chinese characters."""
    return re.search(f"[{_HAN}]", text) is not None


def units_of(offsets: NDArray[np.int32], starts: Sequence[int]) -> NDArray[np.int32]:
    """The unit of each token: that of its last character. ``offsets`` [T, 2] are empty for control tokens."""
    last = offsets[:, 1] - 1  # the first one may be the space before a word
    units = np.maximum(np.searchsorted(np.array(starts, dtype=np.int64), last, side="right") - 1, 0)
    return np.where(offsets[:, 1] > offsets[:, 0], units, NEVER_HIDDEN).astype(np.int32)


def _is_han(character: str) -> bool:
    return has_han(character)
