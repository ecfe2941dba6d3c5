"""The category objective: a text is read once, and one position of it is asked for the text's category.

The discriminative way: the head has an answer for each category and none for words, so no question stands before the
text. Encoders are asked at their first token, decoders at their last, which alone has seen the whole text: where
transformers' own classifiers read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weitiao.codec import Codec, Encoding
from weitiao.data.ledger import Dropped
from weitiao.example import Example, Task, names_of
from weitiao.objectives.causal import Encoded
from weitiao.objectives.row import IGNORE, Row
from weitiao.words import t

MOST_SEVERAL = 31  # a target is 32 bits wide, and below zero it means that nothing is asked


def encode(
    examples: Sequence[Example], task: Task, codec: Codec, cutoff_len: int, first: bool
) -> list[Encoded | Dropped]:
    """Rows of at most ``cutoff_len`` tokens, in order, asked at the ``first`` token or the last.

    The target is the category's number; where a text may have several, the sum of 2 to the power of each. Of a text
    that is too long the end is left out.
    """
    number = {name: index for index, name in enumerate(task.categories)}
    texts = codec.encode_texts([example.text for example in examples], cutoff_len)
    results: list[Encoded | Dropped] = []
    for example, text in zip(examples, texts, strict=True):
        if not len(text.tokens):
            results.append(Dropped(example.source, "nothing_to_learn", t("no token of it would be learned")))
            continue
        answers = [number[name] for name in names_of(example.label)]
        answer = sum(1 << one for one in set(answers)) if task.several else next(iter(answers), 0)
        asked = np.arange(len(text.tokens)) == (0 if first else len(text.tokens) - 1)
        encoding = Encoding(text.tokens, asked, complete=True, control_tokens=text.control_tokens)
        targets = np.where(asked, answer, IGNORE).astype(np.int32)
        shortened = ""
        if text.whole_length > cutoff_len:
            shortened = t("the first {limit} of {count} tokens are used", limit=cutoff_len, count=text.whole_length)
        results.append(Encoded(Row(example.id, text.tokens, targets), encoding, shortened))
    return results
