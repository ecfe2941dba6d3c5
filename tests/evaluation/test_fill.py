"""Blanks filled in: the same as reading the whole row at once, and written where the mark stood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from weitiao.codec import Codec, open_codec
from weitiao.evaluation.fill import blanked, fill
from weitiao.models.load import load
from weitiao.models.source import resolve
from weitiao.objectives.infill import BlankTokens, Infill, cut_out
from weitiao.objectives.masked import Masked
from weitiao.objectives.row import Row
from weitiao.training.batches import padded
from weitiao.training.loss import asked_hidden, logits_of

MARKS = BlankTokens(span=0, sentence=0, document=0, begin=1, end=2)  # the tiny tokenizer's three control tokens
TEXT = "The quick ____ fox jumps over ____ dog.今天____很好。"


@pytest.fixture(scope="module")
def model(tiny_llama: Path) -> PreTrainedModel:
    return load(resolve(str(tiny_llama)), torch.float32).model  # type: ignore[return-value]


@pytest.fixture(scope="module")
def codec(tiny_llama: Path) -> Codec:
    return open_codec(tiny_llama)


def test_marks_are_three_underscores_or_more_and_take_the_space_before_them() -> None:
    text = blanked("a_b __init__ is ____, and___")
    assert text.pieces == ("a_b __init__ is", ", and", "")
    assert text.spaces == (" ", "")
    assert blanked("nothing").pieces == ("nothing",)


def test_what_stands_around_a_blank_is_read_as_it_was_learned(codec: Codec) -> None:
    whole = codec.tokenizer.encode("The quick brown fox").ids
    assert whole == codec.tokenizer.encode("The quick").ids + codec.tokenizer.encode(" brown fox").ids
    (tokens,) = codec.encode_blanks([blanked("The quick ____ fox").pieces], 0)
    brown = codec.tokenizer.encode(" brown").ids
    assert [*tokens[tokens != 0]] == [*whole[:2], *whole[2 + len(brown) :]] or len(tokens) < len(whole)
    assert (tokens == 0).sum() == 1


def test_control_tokens_that_a_person_writes_are_no_blanks(codec: Codec) -> None:
    (tokens,) = codec.encode_blanks([blanked("<|endoftext|> is ____.").pieces], 0)
    assert (tokens == 0).sum() == 1


def test_spans_written_with_a_cache_are_those_of_the_whole_row_at_once(model: PreTrainedModel, codec: Codec) -> None:
    text = blanked(TEXT)
    (filled,) = fill(model, codec, Infill(MARKS), [text], most=5, length=500)
    assert filled is not None
    (tokens,) = codec.encode_blanks([text.pieces], MARKS.span)
    spans, rest = [], filled
    for piece, following, space in zip(text.pieces, text.pieces[1:], text.spaces, strict=False):
        rest = rest[len(piece) + len(space) :]
        end = rest.index(following)
        spans.append(rest[:end])
        rest = rest[end:]
    assert all(spans)
    # The row that training would make of the spans: its likeliest token at each place is the one that was written.
    places = np.flatnonzero(tokens == MARKS.span)
    written = [likely_span(model, codec, tokens, places, number) for number in range(len(places))]
    assert [codec.decode(span).strip() for span in written] == [span.strip() for span in spans]


def likely_span(model: PreTrainedModel, codec: Codec, tokens: np.ndarray, places: np.ndarray, number: int) -> list[int]:
    """The ``number``-th span, written token by token without a cache, after those before it."""
    spans: list[list[int]] = []
    for _ in range(number + 1):
        span: list[int] = []
        while len(span) < 5:
            row = whole_row(tokens, places, [*spans, span])
            hidden, _ = asked_hidden(model, padded([row]))
            logits = logits_of(model, hidden)[-1]
            logits[[0, 1]] = -torch.inf
            token = int(logits.argmax())
            if token == MARKS.end:
                break
            span.append(token)
        spans.append(span)
    return spans[-1]


def whole_row(tokens: np.ndarray, places: np.ndarray, spans: list[list[int]]) -> Row:
    """As :func:`cut_out` lays a row out, from spans that are only known now."""
    parts, targets, positions = [tokens], [np.full(len(tokens), -100)], [(place, 0) for place in range(len(tokens))]
    for place, span in zip(places, spans, strict=False):
        parts.append(np.array([MARKS.begin, *span]))
        targets.append(np.array([*span, MARKS.end]))
        positions += [(int(place), inside) for inside in range(1, len(span) + 2)]
    joined = [np.concatenate(part).astype(np.int32) for part in (parts, targets)]
    return Row("", joined[0], joined[1], len(tokens), np.array(positions, dtype=np.int32))


def test_the_row_of_a_filled_text_is_that_of_training() -> None:
    text = np.arange(10, 20, dtype=np.int32)
    units = np.arange(10, dtype=np.int32)
    made = cut_out(Row("", text, text, units=units), [(2, 4), (7, 8)], [0, 1], MARKS.span, MARKS)
    corrupted = np.array([10, 11, 0, 14, 15, 16, 0, 18, 19], dtype=np.int32)
    again = whole_row(corrupted, np.array([2, 6]), [[12, 13], [17]])
    for name in ("tokens", "targets", "positions"):
        assert np.array_equal(getattr(made, name), getattr(again, name))
    assert made.prefix == again.prefix


def test_a_masked_model_fills_each_blank_with_one_token(model: PreTrainedModel, codec: Codec) -> None:
    masked = Masked(0, np.arange(3, codec.vocabulary, dtype=np.int32))
    texts = [blanked("A small model can ____ a small task."), blanked("你什么时候____吃饭？"), blanked("none")]
    filled = fill(model, codec, masked, texts, most=5, length=500)
    assert filled[2] == "none"
    for text, found in zip(texts, filled, strict=True):
        assert found is not None
        assert found.startswith(text.pieces[0] + "".join(text.spaces))
        assert found.endswith(text.pieces[-1])


def test_a_text_that_is_too_long_is_not_filled(model: PreTrainedModel, codec: Codec) -> None:
    texts = [blanked("word " * 50 + "____"), blanked("a ____")]
    filled = fill(model, codec, Infill(MARKS), texts, most=2, length=20)
    assert filled[0] is None
    assert filled[1] is not None
