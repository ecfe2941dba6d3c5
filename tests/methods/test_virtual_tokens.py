"""Prompt learning where upstream breaks it: with a cache, in batches, at generation; against whole plain passes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny
from conftest import TinyFolders
from test_equivalence import CATEGORIES, QUESTION, brute_force, examples
from tiny_training import EVERY_METHOD, gradients, learner, pace, random_rows
from weitiao.codec import open_codec
from weitiao.evaluation.score import category_log_probabilities, row_losses
from weitiao.example import Message, Task
from weitiao.models.anatomy import Model, embeddings, plain
from weitiao.models.generate import Sampling, generate
from weitiao.models.virtual import virtual_pairs
from weitiao.objectives.row import IGNORE, Row
from weitiao.training import exact
from weitiao.training.exact import Exact
from weitiao.training.fast import engine_for

KINDS = ("prefix", "prompt", "p_tuning")
QUESTIONS = ("What is the capital of France?", "你好", "a", "Which animal jumps over the lazy dog, and why? " * 3)

kinds = pytest.mark.parametrize("kind", KINDS)
families = pytest.mark.parametrize("family", tiny.FAMILIES)


def whole_pass(model: Any, tokens: list[int]) -> Tensor:
    """The logits of one row by PEFT's own forward, which knows no batch, no padding and no cache from before."""
    with torch.no_grad():
        found: Tensor = model(input_ids=torch.tensor([tokens])).logits[0, -len(tokens) :].float()
    return found


def greedy(model: Any, prompt: list[int], stops: frozenset[int], count: int) -> list[int]:
    """Token by token, the whole sequence calculated anew for each."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(whole_pass(model, tokens)[-1].argmax()))
        if tokens[-1] in stops:
            return tokens[len(prompt) : -1]
    return tokens[len(prompt) :]


def taught(folder: Path, kind: str) -> Model:
    model, _ = learner(folder, EVERY_METHOD[kind])
    return model.eval()


@families
@kinds
def test_what_is_generated_in_a_batch_is_what_whole_passes_say(
    tiny_folders: TinyFolders, family: str, kind: str
) -> None:
    """Prompts of 4 to 80 tokens, some longer than the tiny Gemma's window."""
    model, codec = taught(tiny_folders[family], kind), open_codec(tiny_folders[family])
    prompts = codec.encode_prompts([[Message("user", question)] for question in QUESTIONS])
    assert max(map(len, prompts)) > 64
    wanted = [codec.decode(greedy(model, prompt.tolist(), codec.stop_ids, 8)) for prompt in prompts]
    sampling = Sampling(max_new_tokens=8)
    assert generate(model, codec, prompts, sampling) == wanted
    assert [generate(model, codec, [prompt], sampling)[0] for prompt in prompts] == wanted
    pieces: list[str] = []
    generate(model, codec, prompts[:1], sampling, pieces.append)
    assert "".join(pieces) == wanted[0]


@kinds
def test_virtual_tokens_change_what_is_generated(tiny_llama: Path, kind: str) -> None:
    model, codec = taught(tiny_llama, kind), open_codec(tiny_llama)
    prompts = codec.encode_prompts([[Message("user", question)] for question in QUESTIONS])
    sampling = Sampling(max_new_tokens=8)
    assert generate(model, codec, prompts, sampling) != generate(plain(model), codec, prompts, sampling)


@families
@kinds
def test_losses_and_gradients_are_those_of_whole_passes(tiny_folders: TinyFolders, family: str, kind: str) -> None:
    """Rows of many lengths behind a shared prefix, padded and cut into batches, against PEFT's own forward."""
    head = np.arange(20, dtype=np.int32)
    rows = [
        Row("", np.concatenate([head, row.tokens]), np.concatenate([head * 0 + IGNORE, row.targets]))
        for row in random_rows(6, longest=70)
    ]
    model, masters = learner(tiny_folders[family], EVERY_METHOD[kind])
    total = 0.0
    for row in rows:
        logs = model(input_ids=torch.from_numpy(row.tokens[None].astype(np.int64))).logits[0, -len(row.tokens) :]
        targets = torch.from_numpy(row.targets.astype(np.int64))
        loss = torch.nn.functional.cross_entropy(logs, targets, ignore_index=IGNORE, reduction="sum")
        loss.backward()
        total += loss.item()
    masters.collect()
    wanted = gradients(masters)
    for shares in (True, False):
        masters.step(0.0, 1, 0.0)
        assert all(np.abs(gradient).max() == 0 for gradient in gradients(masters).values())
        found, count = Exact(model).learn(rows, masters, pace(1, capacity=200, share_prefix=shares), 0)
        assert count == sum(row.asked for row in rows)
        assert found == pytest.approx(total, rel=1e-6)
        for name, gradient in gradients(masters).items():
            assert np.abs(gradient - wanted[name]).max() <= 1e-4 * np.abs(wanted[name]).max() > 0, name
    assert row_losses(Exact(model), rows, tiny.CONTEXT).sum() == pytest.approx(total, rel=1e-5)


@families
@kinds
def test_the_words_of_categories_are_scored_behind_virtual_tokens(
    tiny_folders: TinyFolders, family: str, kind: str
) -> None:
    model, folder = taught(tiny_folders[family], kind), tiny_folders[family]
    for question in ("Which?", QUESTION):  # with a shared prefix, and with none
        task = Task("classify", question, CATEGORIES["both"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "CAPACITY", 300)
            found = category_log_probabilities(Exact(model), examples(), task, open_codec(folder), tiny.CONTEXT)
        assert np.abs(found - brute_force(_AlignedLogits(model), folder, task)).max() < 1e-4


class _AlignedLogits:
    """PEFT's forward without the logits of the virtual tokens, which it puts first where they are embeddings."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, input_ids: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self._model(input_ids=input_ids).logits[:, -input_ids.shape[1] :])


def test_packing_gives_way_to_virtual_tokens(tiny_llama: Path) -> None:
    rows = random_rows(6)
    model, masters = learner(tiny_llama, EVERY_METHOD["prompt"])
    found = []
    for packing in (True, False):
        found.append(Exact(model).learn(rows, masters, pace(1, packing=packing), 0))
        masters.step(0.0, 1, 0.0)
    assert found[0] == found[1]


def test_the_fast_engine_leaves_virtual_tokens_to_the_exact_one(tiny_llama: Path) -> None:
    engine, note = engine_for(taught(tiny_llama, "prefix"), "auto", random_rows(4))
    assert engine.name == "exact"
    assert "virtual tokens" in note


def test_a_fresh_prefix_is_what_the_model_makes_of_words(tiny_llama: Path) -> None:
    """Not random numbers: keys as large as those that the model makes itself."""
    model, _ = learner(tiny_llama, EVERY_METHOD["prefix"])
    _, values = virtual_pairs(model)[0]
    inner = plain(model)
    every = inner.base_model.layers[0]  # type: ignore[union-attr, index]
    words = every.self_attn.v_proj(every.input_layernorm(embeddings(model).weight))  # [vocabulary, heads × depth]
    drawn = values[0].transpose(0, 1).flatten(1)  # [tokens, heads × depth]
    assert all((words - value).abs().max(1).values.min() < 1e-5 for value in drawn)
