"""Where a reply begins in a row's tokens: asked, the model reads exactly the tokens that it learned behind."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers, trainers

import tiny
from tiny_chats import CHATML, CONVERSATIONS, QUESTION, TEMPLATES, byte_level, metaspace, with_config
from weitiao.cli import main
from weitiao.codec import Codec, open_codec
from weitiao.codec.template import BUILT_IN
from weitiao.errors import ModelError
from weitiao.evaluation.score import answer_tokens
from weitiao.example import Message, Task


def joining(folder: Path, template: str | None = CHATML) -> Path:
    """The byte-level tokenizer with what large vocabularies have: tokens of several breaks, spaces or marks."""
    byte_level(folder, template)
    pairs = ("\n\n", "\n ", "  ", "\t ", "：「", "：《", "::", ":)", "\n\t", ": ")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*tiny.SENTENCES, *(pair for pair in pairs for _ in range(50))], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


TOKENIZERS = {"byte_level": byte_level, "metaspace": metaspace, "joining": joining}
NAMED = CHATML.replace("'<|im_start|>' +", "").replace("'<|im_start|>assistant\n'", "'assistant\n'")
COLON = "{% for m in messages %}{{ m.role ~ '：' ~ m.content ~ eos_token }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant：' }}{% endif %}"  # noqa: E501
OF_ALL_KINDS = {**TEMPLATES, **BUILT_IN, "named": NAMED, "colon": COLON}
PAIRS = [  # a prompt that ends in two line breaks is refused where they are one token, see below
    (tokenizer, template)
    for tokenizer in ("byte_level", "metaspace", "joining")
    for template in OF_ALL_KINDS
    if (tokenizer, template) != ("joining", "trimmed")
]
SPACE = (  # what a user writes who has not thought of tokens
    "{% for m in messages %}{% if m.role == 'user' %}{{ 'User: ' ~ m.content ~ '\n' }}"
    "{% else %}{{ 'Assistant: ' ~ m.content ~ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
MENDED = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ 'User: ' ~ m.content ~ '\n' }}"
    "{% else %}{{ 'Assistant:' ~ ' ' ~ m.content ~ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
HARD = (
    "\n\nfive",
    "  five",
    "\n five",
    " 五",
    "：「是」",
    ":)",
    "\tx",
    "\n",
    " ",
    "  \n ",
    "<|im_end|> no",
    "\n<|im_end|>",
    "1",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Codec]:
    @cache
    def make(tokenizer: str, template: str) -> Codec:
        return open_codec(TOKENIZERS[tokenizer](tmp_path_factory.mktemp("codec"), OF_ALL_KINDS[template]))

    return make


def check(codec: Codec, messages: tuple[Message, ...], every_reply: bool = True) -> None:
    """The prompt begins the row, what follows is learned, and no text is lost at the seam."""
    row = codec.encode_conversations([messages], every_reply)[0]
    prompt = codec.encode_prompts([messages[:-1]])[0].tolist()
    assert row.tokens[: len(prompt)].tolist() == prompt
    assert row.learned[len(prompt) :].all()
    assert not every_reply or not row.learned[len(prompt) - 1]
    whole = codec.template.render(messages)
    text = "".join(codec.pieces(row.tokens.tolist()))
    assert "".join(whole.split()).startswith("".join(text.split())), "white space aside, which some tokenizers fold"


@pytest.mark.parametrize("reply", HARD)
@pytest.mark.parametrize(("tokenizer", "template"), PAIRS)
def test_the_prompt_begins_the_row_whatever_the_reply_begins_with(
    tokenizer: str, template: str, reply: str, made: Callable[[str, str], Codec]
) -> None:
    check(made(tokenizer, template), (QUESTION, Message("assistant", reply)))
    check(made(tokenizer, template), (QUESTION, Message("assistant", "Paris."), QUESTION, Message("assistant", reply)))


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize(("tokenizer", "template"), PAIRS)
def test_the_prompt_begins_the_row_of_ordinary_conversations(
    tokenizer: str, template: str, name: str, made: Callable[[str, str], Codec]
) -> None:
    for every_reply in (True, False):
        check(made(tokenizer, template), CONVERSATIONS[name], every_reply)


@settings(max_examples=150, deadline=None)
@given(
    reply=st.text(alphabet=" \n\t:：《「aB1é中😀<|im_end>", min_size=1, max_size=8),
    question=st.text(min_size=1, max_size=8),
    template=st.sampled_from(("chatml", "plain", "named", "colon", "strict")),
)
def test_the_prompt_begins_the_row_of_any_texts(
    reply: str, question: str, template: str, made: Callable[[str, str], Codec]
) -> None:
    check(made("joining", template), (Message("user", question), Message("assistant", reply)))


def test_an_earlier_reply_that_joins_with_its_prompt_is_read_and_not_learned(
    made: Callable[[str, str], Codec],
) -> None:
    """In use the history is tokenized as one text, so no row may part it."""
    codec = made("joining", "chatml")
    messages = (QUESTION, Message("assistant", "  four"), QUESTION, Message("assistant", "five"))
    row = codec.encode_conversations([messages])[0]
    learned = codec.pieces(row.tokens[row.learned].tolist())
    assert "".join(learned) == "five<|im_end|>"
    assert row.complete


@pytest.mark.parametrize("tokenizer", ["byte_level", "joining"])
def test_a_generation_prompt_that_ends_in_a_space_is_refused_with_the_way_to_mend_it(
    tokenizer: str, tmp_path: Path
) -> None:
    codec = open_codec(with_config(TOKENIZERS[tokenizer](tmp_path), SPACE))
    with pytest.raises(ModelError, match="“Assistant: ”, the model would read other tokens than it learned") as caught:
        codec.encode_conversations([(QUESTION, Message("assistant", "spam"))])
    assert "--template" in caught.value.hint and "beginning of the reply" in caught.value.hint
    check(open_codec(with_config(tmp_path, MENDED)), (QUESTION, Message("assistant", "spam")))


def test_training_on_such_a_template_does_not_begin(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.jinja").write_text(SPACE, encoding="utf-8")
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    given = [f"model={tiny_llama}", f"data={data}", f"output_dir={tmp_path / 'run'}"]
    assert main(["train", *given, f"template={tmp_path / 'mine.jinja'}"]) == 4
    said = capsys.readouterr().err
    assert "rows.csv:2: asked for a reply after “Assistant: ”" in said and "--template plain" in said
    assert not (tmp_path / "run").exists()


def test_two_line_breaks_before_a_reply_are_refused_where_they_are_one_token(made: Callable[[str, str], Codec]) -> None:
    with pytest.raises(ModelError, match=r"assistant\\n\\n”, the model would read other tokens"):
        made("joining", "trimmed").encode_conversations([(QUESTION, Message("assistant", "spam"))])


def test_categories_are_asked_in_the_tokens_that_were_learned(made: Callable[[str, str], Codec]) -> None:
    task = Task("classify", "Which?", ("spam", "  ham", "《好》"))
    for template in ("chatml", "plain", "colon"):
        codec = made("joining", template)
        for name, asked in zip(task.categories, answer_tokens(codec, task), strict=True):
            row = codec.encode_conversations([(Message("user", "Which?\n\nA text."), Message("assistant", name))])[0]
            assert row.tokens[row.learned][: len(asked)].tolist() == list(asked)


def test_categories_under_a_template_that_ends_in_a_space_are_not_asked(tmp_path: Path) -> None:
    codec = open_codec(with_config(byte_level(tmp_path), SPACE))
    with pytest.raises(ModelError, match="other tokens"):
        answer_tokens(codec, Task("classify", "Which?", ("ham", "spam")))


def test_a_conversation_may_still_be_held_under_such_a_template(tmp_path: Path) -> None:
    codec = open_codec(with_config(byte_level(tmp_path), SPACE))
    assert codec.decode(codec.encode_prompts([(QUESTION,)])[0].tolist()).endswith("Assistant: ")


def test_rows_are_parted_no_more_than_they_must_be(made: Callable[[str, str], Codec]) -> None:
    """Where the prompt begins the row anyway, the row is the whole text's tokens."""
    codec = made("byte_level", "chatml")
    messages = CONVERSATIONS["turns"]
    row = codec.encode_conversations([messages])[0]
    whole = codec.tokenizer.encode(codec.template.render(messages), add_special_tokens=False).ids
    assert row.tokens.tolist() == whole[: len(row.tokens)]
    assert np.flatnonzero(row.learned).size
