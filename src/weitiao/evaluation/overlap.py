"""Overlap of a text with its reference: chrF, BLEU and ROUGE-L, in English and in Chinese.

Separate because these are measures of two texts and of nothing else. chrF (Popović, 2015) and BLEU (Papineni et al.,
2002) are sacrebleu's with its defaults, split in two: counts for each text, and the score of summed counts, so that a
bootstrap need not count again. ROUGE-L (Lin, 2004) is our own, because the usual packages drop every character that
is not English.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from weitiao.evaluation.statistics import Floats

BLEU_COUNTS = 10  # length, reference length, matches of 1 to 4 words, words in all of 1 to 4
_ORDERS = 6  # of chrF
_BETA = 2.0
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3040-\u30ff"
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
# Han and kana are written without spaces: one token each. Elsewhere a run of letters and digits is a token.
_TOKEN = re.compile(f"[{_HAN}{_KANA}]|[^\\W_{_HAN}{_KANA}]+")


def bleu_tokenizer(references: Sequence[str]) -> Literal["zh", "13a"]:
    """sacrebleu's tokenizer for these references: its Chinese one when at least half of the letters are Han."""
    return "zh" if han_share(references) >= 0.5 else "13a"


def han_share(texts: Sequence[str]) -> float:
    """The share of the letters that are Han characters; 0 when there are none."""
    han = sum(len(_HAN_CHARACTER.findall(text)) for text in texts)
    letters = sum(sum(map(str.isalpha, text)) for text in texts)
    return han / letters if letters else 0.0


def bleu_counts(predicted: Sequence[str], references: Sequence[str], tokenizer: Literal["zh", "13a"]) -> Floats:
    """What BLEU sums over the corpus: ``[texts, 10]``."""
    from sacrebleu.metrics.bleu import BLEU  # not at import: most commands need no BLEU

    metric = BLEU(tokenize=tokenizer, effective_order=True)
    scores = [metric.sentence_score(text, [reference]) for text, reference in zip(predicted, references, strict=True)]
    rows = [[one.sys_len, one.ref_len, *one.counts, *one.totals] for one in scores]
    return np.array(rows, dtype=np.float64).reshape(-1, BLEU_COUNTS)


def bleu(sums: Floats) -> Floats:
    """BLEU, 0 to 100, of summed counts ``[corpora, 10]``; orders without a match get sacrebleu's smoothing (exp)."""
    length, reference, matches, words = sums[:, 0], sums[:, 1], sums[:, 2:6], sums[:, 6:10]
    smoothing = 2.0 ** np.cumsum(matches == 0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matches > 0, matches, 1 / smoothing) / words
        brevity = np.where(length < reference, np.exp(1 - reference / length), 1.0)
        score = 100 * brevity * np.exp(np.log(precision).mean(axis=1))
    return np.where((matches.sum(axis=1) > 0) & (words > 0).all(axis=1), score, 0.0)


def chrf_counts(predicted: Sequence[str], references: Sequence[str]) -> Floats:
    """What chrF sums over the corpus, ``[texts, 18]``: for 1 to 6 characters our runs, the reference's, the matches."""
    rows = []
    for text, reference in zip(predicted, references, strict=True):
        row: list[int] = []
        for order in range(1, _ORDERS + 1):
            ours, theirs = _runs(text, order), _runs(reference, order)
            matches = sum(min(count, theirs[run]) for run, count in ours.items() if run in theirs)
            # sacrebleu counts no runs where the reference has none.
            row += [ours.total() if theirs else 0, theirs.total(), matches]
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 3 * _ORDERS)


def chrf(sums: Floats) -> Floats:
    """chrF, 0 to 100, of summed counts ``[corpora, 18]``."""
    ours, theirs, matches = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    counted = (ours > 0) & (theirs > 0)
    orders = np.maximum(counted.sum(axis=1), 1)
    precision = np.where(counted, matches / np.maximum(ours, 1), 0.0).sum(axis=1) / orders
    recall = np.where(counted, matches / np.maximum(theirs, 1), 0.0).sum(axis=1) / orders
    factor = _BETA * _BETA
    below = factor * precision + recall
    return np.where(below > 0, 100 * (1 + factor) * precision * recall / np.where(below > 0, below, 1.0), 0.0)


def rouge_l(predicted: Sequence[str], references: Sequence[str]) -> Floats:
    """ROUGE-L of each text, 0 to 1: F1 of the longest common subsequence of tokens.

    Tokens are Han characters and kana one by one, and words of other scripts, without case or punctuation. Two texts
    without any token count as alike when they are the same.
    """
    return np.array([_rouge_l(text, reference) for text, reference in zip(predicted, references, strict=True)])


def rouge_tokens(text: str) -> list[str]:
    """The tokens that ROUGE-L compares."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a whole row of the table at a time as the bits of one integer.

    Hyyrö (2004, "Bit-parallel LCS-length computation revisited").
    """
    places: dict[str, int] = {}
    for index, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << index
    every = (1 << len(one)) - 1
    row = every
    for token in other:
        kept = row & places.get(token, 0)
        row = ((row + kept) | (row - kept)) & every
    return len(one) - row.bit_count()


def _rouge_l(text: str, reference: str) -> float:
    ours, theirs = rouge_tokens(text), rouge_tokens(reference)
    if not ours and not theirs:
        return float(text.split() == reference.split())
    return 2 * common_subsequence(ours, theirs) / (len(ours) + len(theirs))


def _runs(text: str, length: int) -> Counter[str]:
    joined = "".join(text.split())
    return Counter(joined[start : start + length] for start in range(len(joined) - length + 1))
