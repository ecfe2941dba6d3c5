"""Generation: whoever watches is told of every token, may end it at any, and changes nothing by watching."""

from pathlib import Path

import pytest
import torch

from weitiao.codec import Codec, open_codec
from weitiao.example import Message
from weitiao.models.anatomy import Model
from weitiao.models.generate import Sampling, generate
from weitiao.models.load import load
from weitiao.models.source import resolve

QUESTIONS = ("What is the capital of France?", "你好", "a")


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> tuple[Model, Codec]:
    return load(resolve(str(tiny_llama)), torch.float32).model, open_codec(tiny_llama)


class Enough(Exception):  # noqa: N818 - it ends, and is no error
    """Raised by whoever watches."""


def test_watching_every_token_changes_nothing(llama: tuple[Model, Codec]) -> None:
    model, codec = llama
    prompts = codec.encode_prompts([[Message("user", question)] for question in QUESTIONS])
    seen: list[int] = []
    sampling = Sampling(max_new_tokens=9)
    watched = generate(model, codec, prompts, sampling, on_token=lambda: seen.append(1))
    assert watched == generate(model, codec, prompts, sampling)
    assert 1 <= len(seen) <= 9


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_watcher_raises_ends_the_generation_at_that_token(count: int, llama: tuple[Model, Codec]) -> None:
    model, codec = llama
    seen = 0

    def watch() -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            raise Enough

    with pytest.raises(Enough):
        generate(model, codec, codec.encode_prompts([[Message("user", "a")]]), Sampling(max_new_tokens=50), None, watch)
    assert seen == count
