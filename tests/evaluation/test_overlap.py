import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from weitiao.evaluation.overlap import (
    bleu,
    bleu_counts,
    bleu_tokenizer,
    chrf,
    chrf_counts,
    common_subsequence,
    han_share,
    rouge_l,
    rouge_tokens,
)

ENGLISH = (
    ["The cat sat on the mat today.", "Hello world", "", "a b c d e f", "Prices rose 3.5% in May."],
    ["The cat is sitting on the mat.", "Hello, world!", "nothing was said", "", "Prices rose by 3.5% last May."],
)
CHINESE = (
    ["今天天气很好，我们去公园吧。", "他说：“你好 world”！", "这是一个测试"],
    ["今天的天气非常好，我们一起去公园。", "他说“你好，world”。", "这不是测试。"],
)


def total(counts: np.ndarray) -> np.ndarray:
    return counts.sum(axis=0, keepdims=True)


@pytest.mark.parametrize(("texts", "tokenizer"), [(ENGLISH, "13a"), (CHINESE, "zh"), (CHINESE, "13a")])
def test_bleu_is_sacrebleus(texts: tuple[list[str], list[str]], tokenizer: str) -> None:
    predicted, references = texts
    theirs = BLEU(tokenize=tokenizer).corpus_score(predicted, [references]).score
    assert bleu(total(bleu_counts(predicted, references, tokenizer)))[0] == pytest.approx(theirs)


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_chrf_is_sacrebleus(texts: tuple[list[str], list[str]]) -> None:
    predicted, references = texts
    theirs = CHRF().corpus_score(predicted, [references]).score
    assert chrf(total(chrf_counts(predicted, references)))[0] == pytest.approx(theirs)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text("ab 好。", max_size=12), st.text("ab 好。", max_size=12)), min_size=1, max_size=4))
def test_both_are_sacrebleus_on_any_text(pairs: list[tuple[str, str]]) -> None:
    predicted, references = (list(side) for side in zip(*pairs, strict=True))
    words = BLEU(tokenize="zh").corpus_score(predicted, [references]).score
    assert bleu(total(bleu_counts(predicted, references, "zh")))[0] == pytest.approx(words, abs=1e-9)
    characters = CHRF().corpus_score(predicted, [references]).score
    assert chrf(total(chrf_counts(predicted, references)))[0] == pytest.approx(characters, abs=1e-9)


def test_many_corpora_are_scored_at_once() -> None:
    counts = bleu_counts(*CHINESE, "zh")
    weights = np.array([[1.0, 0, 2], [0, 3.0, 0]])
    together = bleu(weights @ counts)
    assert together == pytest.approx([bleu(row[None] @ counts)[0] for row in weights])


def test_mostly_han_references_get_the_chinese_tokenizer() -> None:
    assert bleu_tokenizer(CHINESE[1]) == "zh"
    assert bleu_tokenizer(ENGLISH[1]) == "13a"
    assert bleu_tokenizer(["", "123 …"]) == "13a"
    assert han_share(["好好 ab"]) == 0.5


def test_rouge_reads_han_characters_one_by_one_and_words_whole() -> None:
    assert rouge_tokens("我爱 Python3，真的！") == ["我", "爱", "python3", "真", "的"]
    assert rouge_tokens("ＡＢＣ don't") == ["abc", "don", "t"]


def test_rouge_of_chinese_is_the_f1_of_the_longest_common_subsequence() -> None:
    # 今天天气好 and 今天气候很好: 今天气好 is common.
    assert rouge_l(["今天天气好"], ["今天气候很好"])[0] == pytest.approx(2 * 4 / (5 + 6))


def test_rouge_is_one_for_the_same_and_zero_for_nothing_shared() -> None:
    assert rouge_l(
        ["a b", "完全一样", "x", "", "!!!", "!!!"], ["A, b", "完全一样", "y", "y", "!!!", "???"]
    ).tolist() == [
        1,
        1,
        0,
        0,
        1,
        0,
    ]


@settings(max_examples=150, deadline=None)
@given(st.text("abc", max_size=25), st.text("abcd", max_size=25))
def test_the_longest_common_subsequence_is_that_of_the_textbook(one: str, other: str) -> None:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row in range(len(one)):
        for column in range(len(other)):
            same = one[row] == other[column]
            table[row + 1][column + 1] = (
                table[row][column] + 1 if same else max(table[row][column + 1], table[row + 1][column])
            )
    assert common_subsequence(one, other) == table[-1][-1]
