"""What one rendering of a template may spend: steps, characters and processor time.

Separate because it is arithmetic alone; :mod:`weitiao.codec.sandbox` decides what is charged.
"""

from __future__ import annotations

import time
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

STEP_LIMIT = 1_000_000
SECONDS_LIMIT = 0.5  # of processor time
TEXT_LIMIT = 16 * 1024 * 1024  # characters, beside the share below
TEXT_SHARE = 64  # times the characters of the conversation, so that long ones pass
ITEM_LIMIT = 200_000  # items of a list, with those of the lists in it
_INT_BITS = 4096
_STEPS_BETWEEN_CLOCKS = 32
_CHARACTERS_OF_STEP = 1024  # made by one operation make it count as one more


class Budget:
    """Every method raises SecurityError when what is asked for is more than is left."""

    def __init__(self, characters: int) -> None:
        """For a rendering into which so many ``characters`` are put."""
        self._limit = TEXT_LIMIT + TEXT_SHARE * characters
        self._left = self._limit
        self._steps_left = STEP_LIMIT
        self._until_clock = _STEPS_BETWEEN_CLOCKS
        self._deadline = 0.0  # set when the clock is first looked at: most renderings end before

    def step(self, characters: int = 0) -> None:
        """One operation that made so many ``characters`` or items."""
        self._left -= characters
        steps = 1 + characters // _CHARACTERS_OF_STEP
        self._steps_left -= steps
        self._until_clock -= steps
        if self._until_clock <= 0:
            self._until_clock = _STEPS_BETWEEN_CLOCKS
            if self._steps_left <= 0:
                raise SecurityError(f"more than {STEP_LIMIT} steps")
            now = time.thread_time()
            self._deadline = self._deadline or now + SECONDS_LIMIT
            if now > self._deadline:
                raise SecurityError(f"more than {SECONDS_LIMIT} seconds")

    def text(self, text: str) -> str:
        """One operation that made ``text``, which is given back."""
        self.foresee(len(text))
        self.step(len(text))
        return text

    def value(self, value: Any) -> Any:
        """One operation that made ``value``, which is given back."""
        if isinstance(value, str):
            return self.text(value)
        made = 0
        if isinstance(value, list | tuple | dict):
            self.foresee(size(value))
            made = len(value)
        elif isinstance(value, int) and value.bit_length() > _INT_BITS:
            raise SecurityError(f"a number of more than {_INT_BITS} bits")
        self.step(made)
        return value

    def foresee(self, characters: int) -> None:
        """So many ``characters`` are about to be made."""
        if characters > self._left:
            raise SecurityError(f"more than {self._limit} characters")


def size(value: Any) -> int:
    """About how many characters ``value`` takes when it is written out. SecurityError for more than ITEM_LIMIT items,
    and for a namespace, which may hold itself."""
    if isinstance(value, str):
        return len(value)
    characters, items, rest = 0, 0, [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            characters += len(each)
        elif isinstance(each, list | tuple | dict):
            items += len(each)
            check_items(items)
            rest.extend(each)
            rest.extend(each.values() if isinstance(each, dict) else ())
        elif isinstance(each, Namespace):
            raise SecurityError("a namespace as a value")
        else:
            characters += 1
    return characters + items


def check_items(count: int) -> None:
    """Raise SecurityError when a list may not have so many items."""
    if count > ITEM_LIMIT:
        raise SecurityError(f"a list of more than {ITEM_LIMIT} items")
