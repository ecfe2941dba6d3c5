"""Tokenizers made here: nothing is lost, the same texts give the same one, and every control token has its place."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import tiny
from weitiao.codec import open_codec
from weitiao.codec.tokenizer import (
    ALGORITHMS,
    BOS,
    CONTROL_TOKENS,
    EOS,
    LEAST,
    MOST,
    TURN_ENDS,
    Algorithm,
    sample_of,
    train_tokenizer,
    vocabulary_for,
    write_tokenizer,
)
from weitiao.example import Message

TEXTS = tuple(f"{sentence} {number}" for sentence in tiny.SENTENCES for number in range(8))
VOCABULARY = 640
MADE = {name: train_tokenizer(TEXTS, VOCABULARY, name) for name in ("bpe", "unigram")}  # type: ignore[arg-type]

HARD = (
    "<0x41><0x0A>", "▁ ▁▁", "Ġ Ċ", "\x00\x01\x7f\x85",
    "👩‍👩‍👧‍👦 😀", "𠮷龘", " \t  \r\n\n ", "\u200b\ufeff\u00a0\u3000",
    "①Ⅳ½ ٣",
    "<|bos|> [MASK] <|im_end|> <|pad|>", "e\u0301 é", "\ufffd", "我今天买了3个iPhone，很好！",
)  # fmt: skip


def read_back(tokenizer: Tokenizer, text: str) -> str:
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("text", HARD)
def test_a_hard_text_comes_back_as_it_was(algorithm: str, text: str) -> None:
    assert read_back(MADE[algorithm], text) == text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40))
@settings(max_examples=300, deadline=None)
def test_every_text_comes_back_as_it_was(algorithm: str, text: str) -> None:
    assert read_back(MADE[algorithm], text) == text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(text=st.text(alphabet="<0x41ABF>▁Ġ 中文的\n", max_size=30))
@settings(max_examples=200, deadline=None)
def test_what_looks_like_a_byte_in_a_text_is_none(algorithm: str, text: str) -> None:
    assert read_back(MADE[algorithm], text) == text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_texts_in_another_process_and_order_give_the_same_tokenizer(algorithm: Algorithm) -> None:
    code = (
        "import sys, hashlib; sys.path[:0] = sys.argv[2:]; from test_tokenizer import TEXTS, VOCABULARY;"
        "from weitiao.codec.tokenizer import train_tokenizer;"
        "made = train_tokenizer(TEXTS[::-1], VOCABULARY, sys.argv[1]); print(made.to_str())"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run([sys.executable, "-c", code, algorithm, *folders], capture_output=True, text=True, check=True)
    other = json.loads(done.stdout)
    here = json.loads(train_tokenizer(TEXTS, VOCABULARY, algorithm).to_str())
    assert other == here


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_control_tokens_come_first_and_no_text_becomes_one(algorithm: Algorithm, tmp_path: Path) -> None:
    made = train_tokenizer(TEXTS, VOCABULARY, algorithm)
    assert [made.token_to_id(name) for name in CONTROL_TOKENS] == list(range(len(CONTROL_TOKENS)))
    write_tokenizer(made, tmp_path, context=128)
    codec = open_codec(tmp_path)
    ids = codec.encode_documents(["".join(CONTROL_TOKENS)])[0].tokens.tolist()
    assert ids[0] == codec.bos_id == made.token_to_id(BOS)
    assert ids[-1] == codec.end_id == made.token_to_id(EOS)
    assert min(ids[1:-1]) >= len(CONTROL_TOKENS)
    assert codec.decode(ids) == "".join(CONTROL_TOKENS)


def test_chatml_ends_its_replies_with_a_control_token(tmp_path: Path) -> None:
    write_tokenizer(MADE["bpe"], tmp_path, context=128)
    codec = open_codec(tmp_path, "chatml")
    assert codec.end_id == MADE["bpe"].token_to_id(TURN_ENDS)
    encoding = codec.encode_conversations([(Message("user", "你好"), Message("assistant", "Hello"))])[0]
    assert encoding.complete


def test_transformers_alone_reads_it_and_closes_texts_for_an_encoder(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_tokenizer(train_tokenizer(TEXTS, VOCABULARY), tmp_path, context=128, ends_text=True)
    read = AutoTokenizer.from_pretrained(tmp_path)
    ids = read("今天天气很好")["input_ids"]
    assert read.convert_ids_to_tokens([ids[0], ids[-1]]) == [BOS, EOS]
    assert read.decode(ids, skip_special_tokens=True) == "今天天气很好"
    assert read.model_max_length == 128
    assert read.mask_token == "[MASK]"


def test_words_of_chinese_become_tokens_and_digits_never_join() -> None:
    for made in MADE.values():
        assert len(made.encode("垃圾短信", add_special_tokens=False).ids) < 4
        assert len(made.encode("2024", add_special_tokens=False).ids) == 4


def test_the_vocabulary_grows_with_the_square_root_of_the_text() -> None:
    assert vocabulary_for(1000) == LEAST
    assert vocabulary_for(4_000_000) == 8000
    assert vocabulary_for(16_000_000) == 16000
    assert vocabulary_for(10**12) == MOST


def test_a_sample_is_bounded_and_does_not_depend_on_the_order() -> None:
    texts = [f"text number {number} " * (1 + number % 7) for number in range(400)]
    chosen = sample_of(texts, 2000)
    assert chosen == sample_of(reversed(texts), 2000) == sample_of([*texts, *texts], 2000)
    longest = max(map(len, texts))
    assert 2000 <= sum(map(len, chosen)) <= 2000 + longest
    assert sample_of(texts[:5], 10**9) == sorted(texts[:5])


def test_a_tiny_vocabulary_still_holds_every_byte() -> None:
    for name in ("bpe", "unigram"):
        made = train_tokenizer(["一二三四五六七八九十"] * 3, 400, name)  # type: ignore[arg-type]
        assert made.get_vocab_size() <= 400
        assert read_back(made, "甲乙\x00") == "甲乙\x00"
