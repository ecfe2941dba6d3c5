"""The marking objective: offsets are code points, whatever the tokenizer does to the characters."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tiny import tiny_tokenizer
from weitiao.codec import Codec, open_codec
from weitiao.data.ledger import Dropped
from weitiao.example import Example, Message, Span, Spans, Task, make_example
from weitiao.objectives.mark import (
    OVERLAPPING,
    UNEVEN,
    Pieces,
    encode,
    gold_labels,
    gold_spans,
    joined,
    marks,
    pieces_of,
    readings,
    runs_in,
    windows,
)
from weitiao.objectives.row import IGNORE

TASK = Task("mark", "", ("person", "place"))
TEXT = "Anna lives in 苏州市 😀‍👩, not in New\nYork"
SPANS = (Span(0, 4, "person"), Span(14, 17, "place"), Span(18, 21, "person"), Span(30, 38, "place"))


@pytest.fixture(params=["bytes", "words"])
def codec(request: pytest.FixtureRequest, tmp_path: Path) -> Codec:
    """Of bytes, several for one Chinese character; or of lower-case words, where what is unknown is one token."""
    folder = tiny_tokenizer(tmp_path)
    if request.param == "words":
        _words().save(str(folder / "tokenizer.json"))
    return open_codec(folder)


@pytest.mark.parametrize("both_ways", [True, False])
def test_what_is_learned_is_read_back_to_the_code_point(codec: Codec, both_ways: bool) -> None:
    example = marked(TEXT, SPANS)
    (learned,) = encode([example], TASK, codec, 512, both_ways)
    (reading,) = readings([example], codec, 512, both_ways)
    assert not isinstance(learned, Dropped)
    assert learned.notes == ()
    logs = _sure(learned.row.targets[learned.row.targets != IGNORE])
    found = marks(reading.pieces, joined(reading, [logs]), TASK)
    assert [one.span for one in found] == list(SPANS)
    assert all(one.confidence is not None and one.confidence > 0.9 for one in found)


def test_a_character_split_over_tokens_is_asked_once(tmp_path: Path) -> None:
    codec = open_codec(tiny_tokenizer(tmp_path))
    text = "苏州"
    (encoding,) = codec.encode_with_places([text])
    assert len(encoding.tokens) > 2
    first, last = (pieces_of(text, encoding, both_ways) for both_ways in (True, False))
    for pieces in (first, last):
        assert (pieces.starts.tolist(), pieces.ends.tolist()) == ([0, 1], [1, 2])
    assert first.tokens[0] == 0
    assert last.tokens[1] == len(encoding.tokens) - 1


def test_pieces_hold_every_character_that_is_no_white_space(codec: Codec) -> None:
    for text in (TEXT, " \u200bé\u0301 x\ufe0f", "a\u00adb", "<|im_end|> 你 好"):
        (encoding,) = codec.encode_with_places([text])
        pieces = pieces_of(text, encoding, both_ways=True)
        held = "".join(text[start:end] for start, end in zip(pieces.starts, pieces.ends, strict=True))
        assert held == "".join(text.split())


def test_of_overlapping_spans_the_outermost_is_kept_and_the_others_are_counted(codec: Codec) -> None:
    example = marked(TEXT, (Span(30, 38, "place"), Span(34, 38, "place"), Span(30, 33, "person"), Span(0, 4, "person")))
    (learned,) = encode([example], TASK, codec, 512, True)
    assert not isinstance(learned, Dropped)
    assert learned.notes == (OVERLAPPING, OVERLAPPING)
    assert gold_spans(example) == (Span(0, 4, "person"), Span(30, 38, "place"))


def test_a_span_that_ends_inside_a_token_takes_the_whole_token_and_is_counted() -> None:
    pieces = Pieces(*(np.array(values, np.int32) for values in ([0, 4, 8], [3, 7, 10], [0, 1, 2])))
    runs, uneven = runs_in(pieces, [Span(0, 5, "person"), Span(5, 7, "place"), Span(8, 10, "place")], TASK.categories)
    assert runs == [(0, 2, 0), (2, 3, 1)]
    assert uneven == 2  # the second has nothing left


def test_white_space_at_the_ends_of_a_span_is_none_of_it(codec: Codec) -> None:
    example = marked(TEXT, (Span(4, 11, "place"),))
    (learned,) = encode([example], TASK, codec, 512, True)
    assert not isinstance(learned, Dropped)
    assert learned.notes == ()
    assert gold_spans(example) == (Span(5, 10, "place"),)
    assert UNEVEN not in learned.notes


def test_of_a_long_text_the_beginning_is_learned_and_said(codec: Codec) -> None:
    (learned,) = encode([marked(TEXT, SPANS)], TASK, codec, 8, True)
    assert not isinstance(learned, Dropped)
    assert len(learned.row.tokens) == 8
    assert "8" in learned.shortened


@pytest.mark.parametrize("both_ways", [True, False])
def test_a_long_text_is_read_whole_in_windows(codec: Codec, both_ways: bool) -> None:
    shift = len(TEXT) + 1
    spans = [Span(span.start + n * shift, span.end + n * shift, span.name) for n in range(3) for span in SPANS]
    example = marked(f"{TEXT} " * 3, spans)
    (reading,) = readings([example], codec, 12, both_ways)
    assert len(reading.rows) > 3
    assert all(len(row.tokens) <= 12 for row in reading.rows)
    asked = np.concatenate(reading.asked)
    assert sorted(asked.tolist()) == list(range(len(reading.pieces.tokens)))
    labels = gold_labels(reading.pieces, example, TASK)
    logs = [_sure(labels[asked]) for asked in reading.asked]
    assert [one.span for one in marks(reading.pieces, joined(reading, logs), TASK)] == spans


def test_windows_share_a_quarter_and_reach_the_end() -> None:
    assert windows(10, 12) == [(0, 10)]
    assert windows(20, 8) == [(0, 8), (6, 14), (12, 20)]
    assert windows(21, 8) == [(0, 8), (6, 14), (12, 20), (13, 21)]


def test_a_text_of_which_no_token_is_asked_is_dropped(codec: Codec) -> None:
    (dropped,) = encode([marked(" \n ", ())], TASK, codec, 512, True)
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "nothing_to_learn"


def marked(text: str, spans: object) -> Example:
    return make_example((Message("document", text),), Spans(tuple(spans)), "names.jsonl:1")  # type: ignore[call-overload]


def _sure(labels: np.ndarray) -> np.ndarray:
    logs = np.full((len(labels), 5), -12.0)
    logs[np.arange(len(labels)), labels] = -1e-4
    return logs


def _words() -> Tokenizer:
    """As BERT's: lower case, accents and formatting characters gone, Chinese characters one by one, [CLS] and [SEP]."""
    vocabulary = ["[UNK]", "[CLS]", "[SEP]", "anna", "lives", "in", "苏", "市", ",", "not", "new", "york", "a", "b"]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))  # type: ignore[assignment]
    return tokenizer


def test_a_word_is_one_piece_and_a_chinese_character_is_one(tmp_path: Path) -> None:
    codec = open_codec(tiny_tokenizer(tmp_path))
    text = "unbelievable Łódź-Việt 苏州市 서울에서"
    (encoding,) = codec.encode_with_places([text])
    for both_ways in (True, False):
        pieces = pieces_of(text, encoding, both_ways)
        parts = [text[start:end] for start, end in zip(pieces.starts, pieces.ends, strict=True)]
        assert parts == ["unbelievable", "Łódź", "-", "Việt", *"苏州市서울에서"]
    assert pieces.tokens[0] > 0  # of a word of several tokens the last one has read all
