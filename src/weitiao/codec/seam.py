"""The seam between a prompt and its reply, in tokens: a row must begin with the very tokens that are asked in use.

Separate because it is a promise of its own. A text is tokenized as one whole, and a tokenizer may join the end of the
prompt with the beginning of the reply (two line breaks, a space and a word), while in use the prompt stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Encoding as RawEncoding

from weitiao.codec.control import ControlTokens


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text. ``borders`` are the characters where each learned reply begins and ends, in turn."""

    text: str
    borders: list[int]
    aliased: bool = False  # to be tokenized by ControlTokens.encode
    control_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a prompt that decides its last tokens: from its last control token on, for that parts the text."""

    text: str
    aliased: bool


def ending(
    rendered: Rendered, raw: RawEncoding, ids: list[int], place: int, control: ControlTokens
) -> tuple[int, Ending]:
    """The ending of the prompt before character ``place``, and the number of its first token.

    It is the whole prompt where no control token stands in that.
    """
    for number in range(first_ending_after(raw, place) - 1, -1, -1):
        if ids[number] in control.names:
            start, end = raw.token_to_chars(number) or (0, 0)
            # A character that the tokenizer does not know has the id of <unk>, and parts nothing.
            if end <= place and control.written(ids[number], rendered.aliased) in rendered.text[start:end]:
                return number, Ending(rendered.text[start:place], rendered.aliased)
    return 0, Ending(rendered.text[:place], rendered.aliased)


def first_ending_after(raw: RawEncoding, place: int) -> int:
    """The first token that ends beyond character ``place``."""
    found = raw.char_to_token(place)  # None where white space was dropped
    if found is not None:
        return int(found)
    return next((number for number, (_, end) in enumerate(raw.offsets) if end > place), len(raw))
