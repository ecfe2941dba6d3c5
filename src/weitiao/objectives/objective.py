"""What every objective for plain texts is, and the one that settings name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, cast

import numpy as np

from weitiao.codec import Codec
from weitiao.data.ledger import Dropped
from weitiao.errors import ModelError
from weitiao.example import Example
from weitiao.objectives.causal import Causal, Encoded
from weitiao.objectives.infill import Blanks, BlankTokens, Infill
from weitiao.objectives.masked import Masked
from weitiao.objectives.prefix import Prefix
from weitiao.objectives.row import Row
from weitiao.words import t

ObjectiveName = Literal["causal", "masked", "infill", "prefix"]

_BLANKS = (("[MASK]",), ("[sMASK]", "[MASK]"), ("[gMASK]", "[MASK]"))  # of a span, a sentence, a document's end
_SPANS = (("<|sop|>", "<sop>", "<|startofpiece|>"), ("<|eop|>", "<eop>", "<|endofpiece|>"))  # begin and end
"""By the names of this package's own tokenizers, of GLM-4's and of the first GLM's."""


class Objective(Protocol):
    """How plain texts are learned from. What it hides it draws anew in each epoch, from the generator alone."""

    def encode(self, examples: Sequence[Example], codec: Codec) -> list[Encoded | Dropped]:
        """Rows of any length, in order, the same every time; they are kept."""
        ...

    def most(self, cutoff_len: int) -> int:
        """How many tokens a kept row may have so that a drawn one has at most ``cutoff_len``."""
        ...

    def draw(self, row: Row, rng: np.random.Generator) -> Row:
        """A kept row, or a part of one, as it is learned from or scored."""
        ...


def make_objective(name: ObjectiveName, codec: Codec, hide: str | None = None) -> Objective:
    """The objective for the model of ``codec``; ``hide`` is a value of the setting.

    Raises ModelError where its tokenizer lacks the control tokens.
    """
    if name == "masked":
        if codec.mask_id is None:
            raise ModelError(
                t("the model's tokenizer has no mask token, which objective masked needs"),
                t("use objective causal, or an encoder such as preset:encoder-tiny or minilm-l6"),
            )
        ordinary = np.setdiff1d(np.arange(codec.vocabulary, dtype=np.int32), list(codec.control.ids.values()))
        return Masked(codec.mask_id, ordinary, whole_words=hide == "words")
    if name == "infill":
        return Infill(blank_tokens(codec), cast(Blanks, hide or "mixed"))
    return Prefix() if name == "prefix" else Causal()


def blank_tokens(codec: Codec) -> BlankTokens:
    """The control tokens of blanks, by name. Raises ModelError where there are none."""
    found = [next((codec.control.ids[name] for name in names if name in codec.control.ids), None)
             for names in (*_BLANKS, *_SPANS)]  # fmt: skip
    lacking = [names[0] for names, number in zip((*_BLANKS, *_SPANS), found, strict=True) if number is None]
    if lacking:
        raise ModelError(
            t("the model's tokenizer lacks {names}, which objective infill needs", names=", ".join(lacking)),
            t("use a model made with weitiao's own tokenizer, such as preset:tiny, or objective prefix"),
        )
    return BlankTokens(*(number for number in found if number is not None))
