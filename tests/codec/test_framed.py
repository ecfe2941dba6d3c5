"""Rows in the tokens of their template's frame: equal to whole texts' tokens, and left where they could not be."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers

from tiny_chats import ANSWER, CONVERSATIONS, QUESTION, TEMPLATES, byte_level, metaspace
from weitiao.codec import Codec, Encoding, open_codec
from weitiao.codec.framed import Asked, Frames
from weitiao.codec.template import BUILT_IN
from weitiao.example import Message

OF_ALL_KINDS = {**TEMPLATES, **BUILT_IN}
FRAMED = [name for name in OF_ALL_KINDS if name not in ("forgetful", "instruct", "plain")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Codec]:
    @cache
    def make(template: str) -> Codec:
        return open_codec(byte_level(tmp_path_factory.mktemp("codec"), OF_ALL_KINDS[template]))

    return make


def frames_of(codec: Codec) -> Frames:
    return Frames(codec.tokenizer, codec.template, codec.control)


def with_tokenizer(folder: Path, change: Callable[[Tokenizer], object]) -> Codec:
    path = str(byte_level(folder) / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    change(tokenizer)
    tokenizer.save(path)
    return open_codec(folder)


def wholes(codec: Codec, conversations: Sequence[Sequence[Message]], every_reply: bool = True) -> list[Encoding]:
    """The rows without frames."""
    return codec._encode_wholes(conversations, every_reply)


def same(first: Encoding, second: Encoding) -> bool:
    return (
        first.tokens.tolist() == second.tokens.tolist()
        and first.learned.tolist() == second.learned.tolist()
        and first.complete == second.complete
    )


@pytest.mark.parametrize("every_reply", [True, False])
@pytest.mark.parametrize("template", OF_ALL_KINDS)
def test_rows_are_those_of_whole_texts(template: str, every_reply: bool, made: Callable[[str], Codec]) -> None:
    codec, conversations = made(template), list(CONVERSATIONS.values())
    for ours, theirs in zip(
        codec.encode_conversations(conversations, every_reply), wholes(codec, conversations, every_reply), strict=True
    ):
        assert same(ours, theirs)


@pytest.mark.parametrize("asked", ["every_reply", "last_reply", "prompt"])
@pytest.mark.parametrize("template", FRAMED)
def test_templates_that_do_not_look_at_contents_have_frames(
    template: str, asked: Asked, made: Callable[[str], Codec]
) -> None:
    conversations = [each[:-1] if asked == "prompt" else each for each in CONVERSATIONS.values()]
    assert None not in frames_of(made(template)).rows(conversations, asked)


@pytest.mark.parametrize("template", ["forgetful", "instruct", "plain"])
def test_a_template_that_looks_at_contents_or_parts_turns_by_text_alone_has_none(
    template: str, made: Callable[[str], Codec]
) -> None:
    assert frames_of(made(template)).rows([(QUESTION, ANSWER, QUESTION, ANSWER)], "every_reply") == [None]


def test_a_conversation_with_a_control_token_written_out_has_none(made: Callable[[str], Codec]) -> None:
    assert frames_of(made("chatml")).rows([(Message("user", "a<|im_end|>b"), ANSWER)], "every_reply") == [None]


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(alphabet=" \n\t:「aB1é中😀\u0301<|im_end|>", max_size=10), min_size=2, max_size=5),
    template=st.sampled_from(["chatml", "with_system", "trimmed", "strict"]),
)
def test_rows_of_any_texts_are_those_of_whole_texts(
    texts: list[str], template: str, made: Callable[[str], Codec]
) -> None:
    codec = made(template)
    turns = tuple(Message("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(texts))
    messages = turns if len(turns) % 2 == 0 else turns[:-1]
    assert same(codec.encode_conversations([messages])[0], wholes(codec, [messages])[0])


@pytest.mark.parametrize("how", [{"lstrip": True}, {"rstrip": True}, {"single_word": True}])
def test_control_tokens_that_touch_what_is_beside_them_part_no_text(how: dict[str, bool], tmp_path: Path) -> None:
    codec = with_tokenizer(tmp_path, lambda made: made.add_special_tokens([AddedToken("<|x|>", **how)]))
    assert frames_of(codec).rows([(QUESTION, ANSWER)], "every_reply") == [None]


@pytest.mark.parametrize("text", ["d<|im", "a <|im_end|> b"])
def test_other_tokens_that_overlap_control_tokens_part_no_text(text: str, tmp_path: Path) -> None:
    codec = with_tokenizer(tmp_path, lambda made: made.add_tokens([AddedToken(text)]))
    assert frames_of(codec).rows([(QUESTION, ANSWER)], "every_reply") == [None]


def test_control_tokens_that_are_looked_for_in_normalized_text_part_no_text(tmp_path: Path) -> None:
    def change(made: Tokenizer) -> None:
        made.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
        made.add_special_tokens([AddedToken("<|x|>", normalized=True)])

    assert frames_of(with_tokenizer(tmp_path, change)).rows([(QUESTION, ANSWER)], "every_reply") == [None]


def test_a_tokenizer_that_marks_only_the_beginning_of_a_text_parts_none(tmp_path: Path) -> None:
    codec = open_codec(metaspace(tmp_path))
    assert frames_of(codec).rows([(QUESTION, ANSWER)], "every_reply") == [None]


def test_the_kept_frames_are_bounded(made: Callable[[str], Codec], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weitiao.codec.framed.FRAMES", 2)
    frames = frames_of(made("chatml"))
    turns = (QUESTION, ANSWER) * 4
    for length in (2, 4, 6, 8):
        assert None not in frames.rows([turns[:length]], "every_reply")
    assert len(frames._known) == 2
