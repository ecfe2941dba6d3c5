"""Control tokens that people write out in their texts: they stay plain text, wherever a template puts them.

Separate because it is a promise of its own, with a tokenizer of its own. Before rendering, each such token is replaced
by a stand-in; afterwards, what still looks like a control token is the template's. Then the text is tokenized by a copy
of the tokenizer that takes no control token for one, but knows an alias of each for the template's: so the text is
divided exactly where it always is.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property

from tokenizers import AddedToken, Tokenizer
from tokenizers import Encoding as RawEncoding

MARK = "\ue0f8"  # a private-use character on both sides of a stand-in; people's own are replaced too


class ControlTokens:
    """The control tokens of one tokenizer, by text."""

    def __init__(self, tokenizer: Tokenizer, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        self.names = {number: name for name, number in ids.items()}
        self._tokenizer = tokenizer
        self._names = [MARK, *sorted(ids, key=len, reverse=True)]  # the longest of several that match
        self._any = re.compile("|".join(map(re.escape, self._names)))
        self._parts = re.compile("|".join([f"{MARK}([0-9]+){MARK}", *map(re.escape, self._names[1:])]))
        self._number = {name: number for number, name in enumerate(self._names)}

    def count(self, text: str) -> int:
        """How many are written out in ``text``."""
        return sum(found[0] != MARK for found in self._any.finditer(text))

    def first(self, text: str, start: int) -> int | None:
        """The id of the first one in ``text`` from character ``start`` on."""
        found = self._any.search(text, start)
        return self.ids.get(found[0]) if found else None

    def written(self, number: int, aliased: bool) -> str:
        """How the one with id ``number`` is written in a rendered text, or in an aliased one."""
        return self._aliases[self.names[number]] if aliased else self.names[number]

    def covered(self, text: str) -> str:
        """``text`` with a stand-in for each."""
        if self._any.search(text) is None:
            return text
        return self._any.sub(lambda found: f"{MARK}{self._number[found[0]]}{MARK}", text)

    def aliased(self, text: str, places: Sequence[int]) -> tuple[str, list[int]]:
        """A rendered text for :meth:`encode`, and where in it the ascending ``places`` of ``text`` are."""
        pieces: list[str] = []
        moved: list[int] = []
        cursor = length = 0
        for found in self._parts.finditer(text):
            while len(moved) < len(places) and places[len(moved)] <= found.start():
                moved.append(length + places[len(moved)] - cursor)
            pieces += [text[cursor : found.start()], self._meant(found)]
            length += len(pieces[-2]) + len(pieces[-1])
            cursor = found.end()
        moved += [length + place - cursor for place in places[len(moved) :]]
        return "".join([*pieces, text[cursor:]]), moved

    def encode(self, texts: Sequence[str], add_special_tokens: bool = False) -> list[RawEncoding]:
        """Tokens of aliased texts, or of texts that come from people alone; see :meth:`ids_of`."""
        return self._blind.encode_batch(list(texts), add_special_tokens=add_special_tokens)

    def ids_of(self, raw: RawEncoding) -> list[int]:
        """The token ids of what :meth:`encode` gave for an aliased text."""
        return [self._control_of.get(number, number) for number in raw.ids]

    def _meant(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return self._aliases[found[0]]
        number = int(found[1])
        return self._names[number] if number < len(self._names) else found[0]

    @cached_property
    def _aliases(self) -> dict[str, str]:
        secret = secrets.token_hex(8)  # or else a text could name an alias, and so become a control token after all
        return {name: f"{MARK}{secret}.{number}{MARK}" for name, number in self.ids.items()}

    @cached_property
    def _blind(self) -> Tokenizer:
        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.encode_special_tokens = True
        known = copy.get_added_tokens_decoder()
        copy.add_tokens(
            [
                AddedToken(
                    alias,
                    single_word=known[self.ids[name]].single_word,
                    lstrip=known[self.ids[name]].lstrip,
                    rstrip=known[self.ids[name]].rstrip,
                    normalized=known[self.ids[name]].normalized,
                    special=False,
                )
                for name, alias in self._aliases.items()
            ]
        )
        return copy

    @cached_property
    def _control_of(self) -> dict[int, int]:
        names = {alias: name for name, alias in self._aliases.items()}
        known = self._blind.get_added_tokens_decoder()
        return {number: self.ids[names[token.content]] for number, token in known.items() if token.content in names}
