"""Words and sentences: what is hidden as a whole, in English and Chinese."""

from __future__ import annotations

import numpy as np

from weitiao.objectives.row import NEVER_HIDDEN
from weitiao.objectives.units import sentences_of, units_of, words_of


def cut(text: str, starts: list[int]) -> list[str]:
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def in_pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(0, len(run), 2)]


def test_words_are_runs_of_letters_pieces_of_han_and_single_signs() -> None:
    text = "Don't stop: 今天天气2024年好, naïve"
    assert cut(text, words_of(text, in_pairs)) == [
        "Don't ", "stop", ": ", "今天", "天气", "2024", "年好", ", ", "naïve",
    ]  # fmt: skip


def test_letters_before_han_are_a_word_of_their_own() -> None:
    assert cut("abc中文", words_of("abc中文", in_pairs)) == ["abc", "中文"]


def test_sentences_end_where_both_languages_end_them() -> None:
    text = "It is 3.5 km. Is it? “Yes.” 今天很好。他说：“走吧！”好的\n完"
    assert cut(text, sentences_of(text)) == [
        "It is 3.5 km. ",
        "Is it? ",
        "“Yes.” ",
        "今天很好。",
        "他说：“走吧！”",
        "好的\n",
        "完",
    ]


def test_a_text_without_an_end_is_one_sentence_and_nothing_is_none() -> None:
    assert sentences_of("no end") == [0]
    assert sentences_of("") == []


def test_a_token_belongs_to_the_word_of_its_last_character() -> None:
    text = "a big dog"
    offsets = np.array([(0, 0), (0, 1), (1, 3), (3, 5), (5, 9), (0, 0)], dtype=np.int32)  # " b", "ig", " dog"
    assert units_of(offsets, words_of(text, in_pairs)).tolist() == [NEVER_HIDDEN, 0, 1, 1, 2, NEVER_HIDDEN]
