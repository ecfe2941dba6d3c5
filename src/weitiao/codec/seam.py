"""The seam between a prompt and its reply, in tokens: a row must begin with the very tokens that are asked in use.

Separate because it is a promise of its own. A text is tokenized as one whole, and a tokenizer may join the end of the
prompt with the beginning of the reply (two line breaks, a space and a word), while in use the prompt stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenizers import Encoding as RawEncoding

from weitiao.codec.control import ControlTokens
from weitiao.errors import ModelError
from weitiao.example import Message
from weitiao.words import t


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


def borders_of(
    render: Callable[[Sequence[Message], bool], str], messages: Sequence[Message], every_reply: bool
) -> tuple[str, list[int]]:
    """The text of ``messages``, and its borders. An earlier reply that the template rewrites when more turns follow, as
    templates do that drop earlier reasoning, has none. ModelError where the last one is not where it is asked for."""
    text = render(messages, False)
    borders: list[int] = []
    for index in range(len(messages) - 1 if not every_reply else 0, len(messages)):
        last = index == len(messages) - 1
        if messages[index].role != "assistant" or (index == 0 and not last):
            continue
        prompt = render(messages[:index], True)
        upto = text if last else render(messages[: index + 1], False)
        if upto.startswith(prompt) and text.startswith(upto):
            borders += [len(prompt), len(upto)]
        elif last:
            raise ModelError(
                t("the chat template writes the reply elsewhere than where it asks for one"),
                t("its generation prompt does not begin a reply: pass --template FILE with a repaired one"),
            )
    return text, borders


def must_be_kept(messages: Sequence[Message]) -> set[int]:
    """Templates may rewrite earlier turns, never the system prompt, the last question or the reply."""
    return {0, max(len(messages) - 2, 0), len(messages) - 1}


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
