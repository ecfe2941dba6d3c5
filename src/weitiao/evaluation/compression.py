"""How many characters a tokenizer puts into a token, for each script apart, on texts that it was not made of.

Separate because it measures a tokenizer, without any model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from weitiao.evaluation.metric_group import Metric, MetricGroup, Resampling, group_scores
from weitiao.evaluation.overlap import han_share
from weitiao.evaluation.statistics import Floats, Score

Script = Literal["han", "latin", "other"]


def characters_per_token(tokenizer: Tokenizer, texts: Sequence[str], seed: int = 0) -> dict[Script, Score]:
    """By the script of most letters of a text; all characters over all tokens, so that a long text counts for more.

    The interval is over texts; a script with fewer than two texts is left out.
    """
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    sums: defaultdict[Script, list[tuple[int, int]]] = defaultdict(list)
    for text, encoding in zip(texts, encodings, strict=True):
        if text:
            sums[script_of(text)].append((len(text), len(encoding.ids)))
    found: dict[Script, Score] = {}
    for script, counts in sorted(sums.items()):
        table = np.array(counts, dtype=np.float64)

        def ratio(weights: Floats, table: Floats = table) -> Floats:
            total = weights @ table
            return total[:, :1] / total[:, 1:]

        group = MetricGroup((Metric(script, len(counts), top=None),), np.arange(len(counts)), ratio)
        scores = group_scores(group, Resampling(seed))
        if script in scores:
            found[script] = scores[script]
    return found


def script_of(text: str) -> Script:
    """``han`` where at least half of the letters are Han characters, ``latin`` where half are Latin ones."""
    if han_share([text]) >= 0.5:
        return "han"
    letters = [character for character in text if character.isalpha()]
    latin = sum(character < "\u0250" for character in letters)
    return "latin" if letters and 2 * latin >= len(letters) else "other"
