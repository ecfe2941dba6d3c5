"""The causal objective: what each position predicts, and how what is too long is shortened, never in its reply."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_chats import CHATML, TRIMMED, byte_level, with_config
from weitiao.codec import Codec, open_codec
from weitiao.data.ledger import Dropped
from weitiao.example import Category, Example, Label, Message, Reply, Task, make_example
from weitiao.objectives.causal import Encoded, Learn, encode
from weitiao.objectives.row import IGNORE, parts

REPLY, CONTINUE = Task("reply"), Task("continue")
CLASSIFY = Task("classify", "Is the following message spam or ham?", ("ham", "spam"))


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return open_codec(byte_level(tmp_path_factory.mktemp("codec")))


def example(*turns: tuple[str, str], label: Label | None = None) -> Example:
    return make_example(tuple(Message(role, text) for role, text in turns), label, "a.jsonl:7")  # type: ignore[arg-type]


def row(item: Example, codec: Codec, limit: int = 10_000, task: Task = REPLY, learn: Learn = "replies") -> Encoded:
    (result,) = encode([item], task, codec, limit, learn)
    assert isinstance(result, Encoded), result
    assert len(result.encoding.tokens) <= limit
    return result


def dropped(item: Example, codec: Codec, limit: int = 10_000, task: Task = REPLY) -> Dropped:
    (result,) = encode([item], task, codec, limit)
    assert isinstance(result, Dropped), result
    assert result.source == item.source
    return result


def read(result: Encoded, codec: Codec) -> str:
    return "".join(codec.pieces(result.encoding.tokens.tolist()))


def learned(result: Encoded, codec: Codec) -> str:
    return "".join(codec.pieces(result.encoding.tokens[result.encoding.learned].tolist()))


def test_every_position_predicts_the_next_token_where_that_is_learned(codec: Codec) -> None:
    result = row(example(("user", "Are we still meeting?"), label=Reply("Yes, today.")), codec)
    tokens, mask = result.encoding.tokens, result.encoding.learned
    assert result.row.tokens.tolist() == tokens[:-1].tolist()
    for position, target in enumerate(result.row.targets.tolist()):
        assert target == (tokens[position + 1] if mask[position + 1] else IGNORE)
    assert result.row.asked == mask.sum() > 2
    assert result.row.targets[-1] == codec.end_id
    assert result.row.tokens.dtype == result.row.targets.dtype == np.int32


def test_a_category_is_a_reply_to_the_question_above_the_text(codec: Codec) -> None:
    result = row(example(("document", "Call now"), label=Category("spam")), codec, task=CLASSIFY)
    asked = "<|im_start|>user\nIs the following message spam or ham?\n\nCall now<|im_end|>\n<|im_start|>assistant\n"
    assert read(result, codec) == f"{asked}spam<|im_end|>"
    assert learned(result, codec) == "spam<|im_end|>"


def test_of_a_plain_text_all_but_the_first_token_is_learned(codec: Codec) -> None:
    result = row(example(("document", "A small model can learn.")), codec, task=CONTINUE)
    assert (result.row.targets != IGNORE).all()
    assert read(result, codec) == "A small model can learn.<|im_end|>"


def test_every_reply_or_only_the_last_is_learned(codec: Codec) -> None:
    turns = example(("user", "a"), ("assistant", "first"), ("user", "b"), label=Reply("second"))
    assert learned(row(turns, codec), codec) == "first<|im_end|>second<|im_end|>"
    assert learned(row(turns, codec, learn="last_reply"), codec) == "second<|im_end|>"


def test_the_oldest_turns_go_first_and_the_system_prompt_stays(codec: Codec) -> None:
    turns = [("system", "Be brief.")]
    for number in range(6):
        turns += [("user", f"question {number}"), ("assistant", f"answer {number}")]
    item = example(*turns[:-1], label=Reply("the last answer"))
    whole = len(row(item, codec).encoding.tokens)
    result = row(item, codec, whole - 1)
    assert "question 0" not in read(result, codec)
    assert "answer 0" not in read(result, codec)
    assert "question 1" in read(result, codec)
    assert read(result, codec).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nquestion 1")
    assert result.shortened == "the oldest 2 turns are left out"
    least = row(item, codec, 60)
    assert "question 5" in read(least, codec)
    assert least.shortened == "the oldest 10 turns are left out"


def test_what_just_fits_is_left_whole(codec: Codec) -> None:
    item = example(("user", "question"), label=Reply("answer"))
    whole = row(item, codec)
    same = row(item, codec, len(whole.encoding.tokens))
    assert same.shortened == ""
    assert same.encoding.tokens.tolist() == whole.encoding.tokens.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog. " * 60,
        "今天天气很好，我们去公园散步吧。" * 60,
        "👩‍👩‍👧‍👦😀" * 200,
        "word " * 30 + " " * 3000,
        " " * 3000 + "word " * 200,
        "a" * 20_000,
    ],
    ids=["english", "chinese", "emoji", "spaces behind", "spaces before", "one letter"],
)
@pytest.mark.parametrize("limit", [64, 200])
def test_then_the_end_of_the_question_is_cut_no_more_than_needed(text: str, limit: int, codec: Codec) -> None:
    result = row(example(("system", "Be brief."), ("user", text), label=Reply("不客气。")), codec, limit)
    assert learned(result, codec) == "不客气。<|im_end|>"
    kept = read(result, codec).split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
    assert text.startswith(kept)
    assert kept
    assert result.shortened == f"the last {len(text) - len(kept)} characters of the question are left out"
    fuller = example(
        ("system", "Be brief."), ("user", text[: len(kept) + len(text) // 20 + 40]), label=Reply("不客气。")
    )
    assert len(row(fuller, codec).encoding.tokens) > limit, "a twentieth more would not fit"


def test_of_turns_that_cannot_go_the_longest_question_is_cut(codec: Codec) -> None:
    item = example(("user", "short"), ("tool", "long result " * 100), label=Reply("done"))
    result = row(item, codec, 80)
    assert "<|im_start|>user\nshort<|im_end|>" in read(result, codec)
    assert "characters of the question" in result.shortened


def test_the_reply_is_never_cut(codec: Codec) -> None:
    reply = "The capital of France is Paris. " * 40
    item = example(("user", "a " * 500), label=Reply(reply))
    needed = len(row(example(("user", "a"), label=Reply(reply)), codec).encoding.tokens)
    assert learned(row(item, codec, needed), codec) == f"{reply}<|im_end|>"
    gone = dropped(item, codec, needed - 1)
    assert gone.reason == "too_long"
    assert gone.detail == f"{needed} tokens do not fit into {needed - 1}, even without its prompt"


def test_an_earlier_reply_is_not_cut_either(codec: Codec) -> None:
    item = example(("user", "a"), ("assistant", "long answer " * 100), ("tool", "b"), label=Reply("c"))
    assert dropped(item, codec, 80).reason == "too_long"


def test_the_system_prompt_is_not_cut(codec: Codec) -> None:
    item = example(("system", "rule " * 200), ("user", "a question"), label=Reply("c"))
    assert dropped(item, codec, 80).reason == "too_long"


def test_of_a_text_to_classify_the_question_stays(codec: Codec) -> None:
    item = example(("document", "Call now to claim your cash. " * 50), label=Category("spam"))
    result = row(item, codec, 60, CLASSIFY)
    assert "Is the following message spam or ham?\n\nCall now" in read(result, codec)
    assert dropped(item, codec, 20, CLASSIFY).reason == "too_long"


def test_a_long_plain_text_is_used_whole(codec: Codec) -> None:
    item = example(("document", "Call now to claim your cash. " * 50))
    (result,) = encode([item], CONTINUE, codec, 40)
    assert isinstance(result, Encoded)
    assert result.shortened == ""
    assert result.row.tokens.tolist() == row(item, codec, task=CONTINUE).row.tokens.tolist()
    cut = parts(result.row, 40)
    assert len(cut) == -(-len(result.row.tokens) // 40)
    assert max(len(part.tokens) for part in cut) <= 40
    assert min(len(part.tokens) for part in cut) >= len(result.row.tokens) // len(cut)
    assert np.concatenate([part.tokens for part in cut]).tolist() == result.row.tokens.tolist()
    assert np.concatenate([part.targets for part in cut]).tolist() == result.row.targets.tolist()


def test_a_text_of_one_token_teaches_nothing(tmp_path: Path) -> None:
    codec = open_codec(byte_level(tmp_path))
    assert dropped(example(("document", "")), codec, task=CONTINUE).reason == "nothing_to_learn"


def test_a_reply_that_never_ends_is_told(tmp_path: Path) -> None:
    endless = open_codec(with_config(byte_level(tmp_path), CHATML.replace("'<|im_end|>' + ", "")))
    gone = dropped(example(("user", "a"), label=Reply("b")), endless)
    assert (gone.reason, gone.detail) == ("no_end", "the reply never ends with the token that ends a reply")


def test_two_bos_tokens_are_told(tmp_path: Path) -> None:
    double = open_codec(with_config(byte_level(tmp_path), "{{ bos_token }}" + TRIMMED))
    assert dropped(example(("user", "a"), label=Reply("b")), double).reason == "double_bos"
    single = open_codec(with_config(byte_level(tmp_path), TRIMMED))
    assert row(example(("user", "a"), label=Reply("b")), single).encoding.tokens[0] == single.bos_id


TEXT = st.text(st.sampled_from("ab 中文😀\n<|im_end|>\ue0f8"), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    system=st.none() | TEXT, turns=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), limit=st.integers(8, 120)
)
def test_whatever_comes_out_fits_and_holds_its_whole_reply(
    system: str | None, turns: list[tuple[str, str]], limit: int, codec: Codec
) -> None:
    messages = [("system", system)] if system is not None else []
    for question, answer in turns:
        messages += [("user", question), ("assistant", answer)]
    item = example(*messages[:-1], label=Reply(turns[-1][1]))
    (whole,), (result,) = (
        encode([item], REPLY, codec, 10**6, "last_reply"),
        encode([item], REPLY, codec, limit, "last_reply"),
    )
    assert isinstance(whole, Encoded)
    if isinstance(result, Dropped):
        assert result.reason == "too_long"
        assert len(whole.encoding.tokens) > limit
    else:
        assert len(result.encoding.tokens) <= limit
        assert learned(result, codec) == learned(whole, codec) == f"{turns[-1][1]}<|im_end|>"
        assert bool(result.shortened) == (len(whole.encoding.tokens) > limit)
