"""Contents that a template may put somewhere and not look at; and the frame of text that it puts them into.

A fast path: most templates do the same with every content, so a text is rendered once for each order of roles and then
only filled in. Whether a template is one of these is not guessed: it is rendered with sealed contents, and whatever it
does with one but writing it out, trimmed or not, fails. Separate because rendering is right without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from jinja2.exceptions import SecurityError

SEAL = "\ue0f9"  # a private-use character around the number of a content
_PLACE = re.compile(f"{SEAL}([0-9]+)(t?){SEAL}")

Frame = tuple[str | tuple[int, bool], ...]
"""Literal texts, and between them the number of a content and whether it is trimmed."""

# What jinja's tests say of any text.
ANSWERS = {
    "boolean": False, "callable": False, "defined": True, "float": False, "integer": False, "iterable": True,
    "mapping": False, "none": False, "number": False, "sequence": True, "string": True, "undefined": False,
}  # fmt: skip


def refuse_to_look(*_: object) -> NoReturn:
    """Raise SecurityError."""
    raise SecurityError("a content that is looked at")


class Sealed:
    """A text with sealed contents in it. Looking at it in any way raises SecurityError."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def strip(self) -> Sealed:
        """One content, trimmed."""
        found = _PLACE.fullmatch(self.text)
        return Sealed(f"{SEAL}{found[1]}t{SEAL}") if found else refuse_to_look()

    __str__ = __repr__ = __format__ = __hash__ = __bool__ = __len__ = __iter__ = refuse_to_look
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __getitem__ = refuse_to_look
    __add__ = __radd__ = __mul__ = __rmul__ = __mod__ = __rmod__ = refuse_to_look


def sealed(number: int) -> Sealed:
    """Content ``number``."""
    return Sealed(f"{SEAL}{number}{SEAL}")


def frame_of(text: str) -> Frame:
    """The frame of a text that was rendered with sealed contents."""
    parts = _PLACE.split(text)  # a literal, a number, "t" or nothing, a literal …
    frame: list[str | tuple[int, bool]] = [parts[0]]
    for number, trimmed, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        frame += [(int(number), trimmed == "t"), literal]
    return tuple(part for part in frame if part != "")


def text_of(frame: Frame) -> str:
    """The text that :func:`frame_of` was given."""
    return "".join(part if isinstance(part, str) else f"{SEAL}{part[0]}{'t' * part[1]}{SEAL}" for part in frame)


def numbers_in(text: str) -> set[int]:
    """The numbers of the contents in a text that was rendered with sealed contents."""
    return {int(found[1]) for found in _PLACE.finditer(text)}


def filled(frame: Frame, contents: Sequence[str]) -> str:
    """The text of a frame with ``contents`` in their places."""
    pieces = []
    for part in frame:
        if isinstance(part, str):
            pieces.append(part)
        else:
            content = contents[part[0]]
            pieces.append(content.strip() if part[1] else content)
    return "".join(pieces)
