"""The objectives' losses against references that share no code with them: transformers' BERT, and a GLM by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM, LlamaForCausalLM, PreTrainedModel

import tiny
from weitiao.errors import ModelError
from weitiao.models.load import load
from weitiao.models.source import resolve
from weitiao.objectives.infill import BlankTokens, Infill
from weitiao.objectives.masked import Masked
from weitiao.objectives.prefix import Prefix
from weitiao.objectives.row import IGNORE, NEVER_HIDDEN, Row
from weitiao.training.batches import packed, padded
from weitiao.training.fast import engine_for
from weitiao.training.loss import asked_hidden, learn
from weitiao.training.prefix import shared_length

TOLERANCE = 1e-5
MARKS = BlankTokens(span=3, sentence=4, document=5, begin=6, end=7)
Sees = Callable[[Row, int, int], bool]


def texts(count: int = 5, longest: int = 40) -> list[Row]:
    """Random texts that know their units, of different lengths."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(count):
        tokens = draw.integers(10, tiny.VOCABULARY, int(draw.integers(8, longest)), dtype=np.int32)
        units = np.where(np.arange(len(tokens)) == 0, NEVER_HIDDEN, np.arange(len(tokens)) // 5).astype(np.int32)
        rows.append(Row(str(number), tokens, np.append(tokens[1:], np.int32(2)), units=units))
    return rows


def drawn(objective: Masked | Infill | Prefix) -> list[Row]:
    return [objective.draw(row, np.random.default_rng(number)) for number, row in enumerate(texts())]


def random_model(family: str = "llama") -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(tiny.tiny_config(family), dtype=torch.float32)
        for weight in model.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.2)
    model.config._attn_implementation = "eager"
    return model


def test_masked_is_the_loss_of_transformers_bert() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"hidden_size": tiny.WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2}
        model = BertForMaskedLM(BertConfig(vocab_size=tiny.VOCABULARY, **sizes, **quiet))
    rows = drawn(Masked(mask=4, ordinary=np.arange(10, tiny.VOCABULARY, dtype=np.int32)))
    total, count = learn(model, padded(rows, both_ways=True))
    ours = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    summed, asked = torch.zeros(()), 0
    for row in rows:  # one at a time, without padding
        labels = torch.from_numpy(row.targets.astype(np.int64))[None]
        loss = model(input_ids=torch.from_numpy(row.tokens.astype(np.int64))[None], labels=labels).loss
        summed, asked = summed + loss * row.asked, asked + row.asked
    summed.backward()
    assert count == asked
    assert total == pytest.approx(summed.item(), rel=TOLERANCE)
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            assert (ours[name] - weight.grad).abs().max() <= TOLERANCE * weight.grad.abs().max() + 1e-5, (
                name
            )  # of a key's bias it is nothing but rounding


@pytest.mark.parametrize("blanks", ["spans", "sentences", "document"])
def test_infill_is_the_loss_of_a_glm_by_hand(blanks: str) -> None:
    model = random_model()
    rows = drawn(Infill(MARKS, blanks))  # type: ignore[arg-type]

    def sees(row: Row, one: int, other: int) -> bool:
        if row.tokens[other] != MARKS.begin and other < row.prefix:
            return True  # the corrupted text is seen from everywhere
        return one >= row.prefix and other <= one  # a span sees those before it, and itself up to here

    total, count = learn(model, padded(rows))
    assert count == sum(row.asked for row in rows)
    assert total == pytest.approx(sum(by_hand(model, row, sees) for row in rows), rel=TOLERANCE)


def test_prefix_is_the_loss_of_a_mask_by_hand() -> None:
    model = random_model()
    rows = drawn(Prefix())
    total, _ = learn(model, padded(rows))
    expected = sum(by_hand(model, row, lambda row, one, other: other < row.prefix or other <= one) for row in rows)
    assert total == pytest.approx(expected, rel=TOLERANCE)


def test_without_blanks_two_positions_are_those_of_the_model_itself() -> None:
    model = random_model("qwen3")
    rows = texts()
    places = [np.column_stack([np.arange(len(row.tokens)), np.zeros(len(row.tokens))]).astype(np.int32) for row in rows]
    two = [Row("", row.tokens, row.targets, 0, place) for row, place in zip(rows, places, strict=True)]
    assert learn(model, padded(two)) == learn(model, padded(rows))


@pytest.mark.parametrize("family", [family for family in tiny.FAMILIES if family != "gpt2"])
def test_both_positions_matter_in_every_family(family: str) -> None:
    model = random_model(family)
    row = drawn(Infill(MARKS, "spans"))[0]
    assert row.positions is not None
    losses = {learn(model, padded([row]))[0]}
    for column in (0, 1):
        changed = row.positions.copy()
        changed[row.prefix :, column] += 3
        losses.add(learn(model, padded([Row("", row.tokens, row.targets, row.prefix, changed)]))[0])
    assert len(losses) == 3


def by_hand(model: PreTrainedModel, row: Row, sees: Sees) -> float:
    """The summed loss of ``row`` by a Llama written out, in float64; ``sees`` says who attends to whom."""
    assert isinstance(model, LlamaForCausalLM)
    weights = {name: weight.detach().double() for name, weight in model.named_parameters()}
    heads, width, epsilon = 4, tiny.WIDTH // 4, model.config.rms_norm_eps
    length = len(row.tokens)
    places = np.column_stack([np.arange(length), np.zeros(length)]) if row.positions is None else row.positions
    frequencies = [10000.0 ** (-2 * pair / width) for pair in range(width // 2)]
    angles = torch.tensor(
        [[f * (first + (second if pair % 2 else 0)) for pair, f in enumerate(frequencies)] for first, second in places],
        dtype=torch.float64,
    )
    allowed = torch.tensor([[sees(row, one, other) for other in range(length)] for one in range(length)])

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return weight * x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt()

    def turned(x: Tensor) -> Tensor:
        one, other = x[:, : width // 2], x[:, width // 2 :]
        return torch.cat([one * angles.cos() - other * angles.sin(), other * angles.cos() + one * angles.sin()], -1)

    hidden = weights["model.embed_tokens.weight"][torch.from_numpy(row.tokens.astype(np.int64))]
    for number in range(tiny.LAYERS):
        own = {name.removeprefix(f"model.layers.{number}."): weight for name, weight in weights.items()}
        x = norm(hidden, own["input_layernorm.weight"])
        queries, keys, values = (
            (x @ own[f"self_attn.{part}_proj.weight"].T).split(width, -1) for part in ("q", "k", "v")
        )
        mixed = []
        for head in range(heads):
            key, value = keys[head // 2], values[head // 2]
            scores = (turned(queries[head]) @ turned(key).T / width**0.5).masked_fill(~allowed, -torch.inf)
            mixed.append(scores.softmax(-1) @ value)
        hidden = hidden + torch.cat(mixed, -1) @ own["self_attn.o_proj.weight"].T
        x = norm(hidden, own["post_attention_layernorm.weight"])
        gate = torch.nn.functional.silu(x @ own["mlp.gate_proj.weight"].T)
        hidden = hidden + (gate * (x @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
    logits = norm(hidden, weights["model.norm.weight"]) @ weights["model.embed_tokens.weight"].T
    asked = row.targets != IGNORE
    chosen = logits.log_softmax(-1)[torch.from_numpy(asked)]
    targets = torch.from_numpy(row.targets[asked].astype(np.int64))
    return -float(chosen.gather(1, targets[:, None]).sum())


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_position_sees_the_prefix_and_what_stands_before_it(family: str, implementation: str) -> None:
    model = random_model(family)
    model.config._attn_implementation = implementation
    length, prefix = 9, 4
    tokens = np.arange(20, 20 + length, dtype=np.int32)
    row = Row("", tokens, np.arange(30, 30 + length, dtype=np.int32), prefix)
    longer = Row("", np.arange(40, 55, dtype=np.int32), np.arange(15, dtype=np.int32), 2)  # makes it stand with padding

    def hidden(changed: Row) -> Tensor:
        with torch.inference_mode():
            return asked_hidden(model, padded([changed, longer]))[0][:length]

    before = hidden(row)
    seen = np.zeros((length, length), dtype=np.bool_)
    for other in range(length):
        changed = tokens.copy()
        changed[other] += 100
        seen[:, other] = ((hidden(replace(row, tokens=changed)) - before).abs().amax(-1) > 1e-6).numpy()
    place = np.arange(length)
    assert (seen == ((place <= place[:, None]) | (place < prefix))).all()


def test_rows_longer_than_a_models_window_are_refused() -> None:
    model = random_model("gemma3")  # sees 64 tokens
    tokens = np.zeros(65, dtype=np.int32)
    with pytest.raises(ModelError, match="65 tokens, and some layers of the model see only 64"):
        learn(model, padded([Row("", tokens, tokens, 3)]))


def test_a_model_without_rotation_has_no_positions_inside_a_blank() -> None:
    with pytest.raises(ModelError, match="GPT2LMHeadModel has no rotary positions"):
        learn(random_model("gpt2"), padded(drawn(Infill(MARKS, "spans"))))


def test_rows_with_a_prefix_share_no_beginning_and_are_never_packed() -> None:
    tokens = np.arange(20, dtype=np.int32)
    rows = [Row("", tokens, np.where(tokens > 17, tokens, IGNORE), 5)] * 4
    assert shared_length(rows) == 0
    assert shared_length([replace(row, prefix=0) for row in rows]) > 0
    with pytest.raises(AssertionError):
        packed(rows)


def test_the_fast_engine_leaves_rows_with_a_prefix_to_the_exact_one(tiny_llama: Path) -> None:
    model = load(resolve(str(tiny_llama)), torch.float32).model
    engine, note = engine_for(model, "auto", drawn(Prefix()))
    assert engine.name == "exact"
    assert note == "the exact engine is used: the fast one does not fit this model (its rows are read from both sides)"
