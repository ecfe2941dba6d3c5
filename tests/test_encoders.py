"""The fast path of encoders against transformers' own modules: the same loss and gradients, whatever the head.

The reference is transformers' model over one padded batch with its mask, and torch's cross-entropy at the asked places.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from torch import Tensor, nn

import tiny
from weitiao.models.anatomy import Model, blocks, plain
from weitiao.models.fast.layout import lay_out
from weitiao.models.fast.parts import UnlikeError
from weitiao.models.fast.pattern import skeleton
from weitiao.models.fast.stack import Stack
from weitiao.models.precision import one_precision
from weitiao.objectives.row import IGNORE, Row
from weitiao.training.exact import Exact
from weitiao.training.fast import engine_for, fitting

LABELS = 5
SIZES: dict[str, Any] = {
    "vocab_size": tiny.VOCABULARY,
    "hidden_size": tiny.WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": tiny.CONTEXT,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "num_labels": LABELS,
}
FAMILIES = {
    "bert": (transformers.BertConfig(**SIZES), "Bert"),
    "roberta": (transformers.RobertaConfig(**SIZES, pad_token_id=1), "Roberta"),
    "xlm-roberta": (transformers.XLMRobertaConfig(**SIZES, pad_token_id=1), "XLMRoberta"),
}
TASKS = {
    "SequenceClassification": peft.TaskType.SEQ_CLS,
    "TokenClassification": peft.TaskType.TOKEN_CLS,
    "MaskedLM": None,
}
METHODS = ("full", "top_layers", "lora", "lora everywhere", "head")


def model_of(family: str, task: str, method: str, dtype: torch.dtype) -> Model:
    """Random weights, norms, biases and adapters too: zeros and ones would hide a wrong sign."""
    torch.manual_seed(0)
    config, prefix = FAMILIES[family]
    model: Any = getattr(transformers, f"{prefix}For{task}")._from_config(config, attn_implementation="eager")
    if method.startswith("lora"):
        targets = ["query", "value", *(["key", "dense"] if method == "lora everywhere" else [])]
        model = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=targets, task_type=TASKS[task]))
    elif method != "full":
        model.base_model.embeddings.requires_grad_(False)  # and with them what shares their weights
        blocks(model).requires_grad_(False)
        if method == "top_layers":
            blocks(model)[-1].requires_grad_(True)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            drawn = torch.randn(weight.shape) * 0.08
            weight.copy_(drawn if weight.dim() > 1 or "bias" in name else weight + drawn)
    one_precision(model, dtype)
    return model.eval()


def rows(task: str, lengths: list[int]) -> list[Row]:
    """A category at the first token, or at some tokens; or other tokens at some."""
    draw = np.random.default_rng(0)
    made = []
    for length in lengths:
        targets = np.full(length, IGNORE, dtype=np.int32)
        asked = draw.choice(length, int(draw.integers(1, length + 1)), replace=False)
        if task == "SequenceClassification":
            asked = asked[:1] * 0
        targets[asked] = draw.integers(0, tiny.VOCABULARY if task == "MaskedLM" else LABELS, len(asked))
        made.append(Row("", draw.integers(3, tiny.VOCABULARY, length, dtype=np.int32), targets))
    return made


def transformers_loss(model: Model, some: list[Row]) -> Tensor:
    """Over one padded batch."""
    longest = max(len(row.tokens) for row in some)
    padding = plain(model).config.pad_token_id
    tokens, mask = torch.full((len(some), longest), padding), torch.zeros(len(some), longest, dtype=torch.long)
    targets = torch.full((len(some), longest), IGNORE)
    for number, row in enumerate(some):
        tokens[number, : len(row.tokens)] = torch.from_numpy(row.tokens)
        targets[number, : len(row.tokens)] = torch.from_numpy(row.targets)
        mask[number, : len(row.tokens)] = 1
    logits = model(input_ids=tokens, attention_mask=mask).logits
    wanted = targets[:, 0] if logits.dim() == 2 else targets
    return nn.functional.cross_entropy(logits.flatten(0, -2).float(), wanted.flatten(), reduction="sum")


def taken(model: Model) -> dict[str, Tensor]:
    found = {name: weight.grad.float() for name, weight in model.named_parameters() if weight.grad is not None}
    for weight in model.parameters():
        weight.grad = None
    return found


def apart(some: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    difference = sum(float((some[name] - others[name]).square().sum()) for name in some)
    return (difference / sum(float(gradient.square().sum()) for gradient in others.values())) ** 0.5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_loss_and_gradients_are_transformers_own(family: str, task: str, method: str, dtype: torch.dtype) -> None:
    """Rows of one length and of several, in one group and in many, longer than a chunk of queries too."""
    for lengths in ([9, 9, 9, 4, 30], [300, 7, 140, 140, 5]):
        some = rows(task, lengths)
        exact = model_of(family, task, method, torch.float32)
        wanted_loss = transformers_loss(exact, some)
        wanted_loss.backward()
        wanted = taken(exact)
        model = model_of(family, task, method, dtype)
        share = 1e-5 if dtype == torch.float32 else 5e-2
        for groups in ([[0, 1, 2, 3, 4]], [[0], [4, 1], [2, 3]]):
            loss = Stack(skeleton(model)).learn(lay_out(some, groups, 0))
            assert loss == pytest.approx(wanted_loss.item(), rel=share / 5)
            found = taken(model)
            assert found.keys() == wanted.keys()
            assert apart(found, wanted) < share
            if dtype == torch.float32:
                for name, gradient in wanted.items():
                    tiny_one = 1e-7 if ".key." in name else 0  # a key's bias changes nothing: its gradient is rounding
                    assert (found[name] - gradient).abs().max() <= 1e-4 * gradient.abs().max() + tiny_one, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_what_is_read_is_what_transformers_reads(family: str, task: str) -> None:
    """The same logits, from the asked places alone, and from what the frozen blocks have left."""
    some = rows(task, [9, 9, 30, 4])
    model = model_of(family, task, "top_layers", torch.float32)
    layout = lay_out(some, [[0, 1, 2], [3]], 0)
    stack = Stack(skeleton(model))
    assert stack.border == 2 and not stack.causal
    wanted = []
    with torch.no_grad():
        for row in some:
            logits = model(input_ids=torch.from_numpy(row.tokens.astype(np.int64))[None]).logits
            wanted.append(logits if logits.dim() == 2 else logits[0, row.targets != IGNORE])
    for below in (None, stack.below(layout)):
        found = stack.head.reader()(stack.hidden(layout, below))
        assert torch.allclose(found, torch.cat(wanted), atol=1e-5)
    stack.learn(layout)
    gradients = taken(model)
    stack.learn(layout, stack.below(layout))
    assert apart(taken(model), gradients) < 1e-6


@pytest.mark.parametrize("task", ["TokenClassification", "MaskedLM"])
def test_rows_that_are_read_from_both_sides_are_what_an_encoder_is_for(task: str) -> None:
    some = [replace(row, prefix=len(row.tokens)) for row in rows(task, [9, 9, 30, 4])]
    model = model_of("bert", task, "full", torch.bfloat16)
    engine, note = engine_for(model, "auto", some)
    assert (engine.name, note) == ("fast", "")
    found, wanted = dict(engine.read(some, "targets")), dict(Exact(model).read(some, "targets"))
    assert all(np.abs(found[number] - wanted[number]).max() < 0.1 for number in range(4))


def test_transformers_reads_the_same_weights_afterwards() -> None:
    model = model_of("bert", "SequenceClassification", "lora", torch.float32)
    tokens = torch.arange(3, 30)[None]
    before = model(input_ids=tokens).logits.detach()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Stack(skeleton(model))
    assert torch.equal(model(input_ids=tokens).logits, before)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())


def test_an_encoder_keeps_less_for_the_way_back_under_fewer_blocks() -> None:
    kept = {
        method: Stack(skeleton(model_of("bert", "TokenClassification", method, torch.float32))).kept_bytes
        for method in METHODS
    }
    assert kept["head"] == 0 < kept["top_layers"] < kept["full"] < kept["lora everywhere"]
    assert kept["full"] == 3 * kept["top_layers"]


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("gelu_new", {"hidden_act": "gelu_new"}, "BertForMaskedLM"),
        ("is_decoder", {"is_decoder": True}, "BertForMaskedLM"),
        ("dropout", {"hidden_dropout_prob": 0.1}, "BertForMaskedLM"),
        ("dropout", {"attention_probs_dropout_prob": 0.1}, "BertForMaskedLM"),
        ("dropout", {"classifier_dropout": 0.1}, "BertForSequenceClassification"),
        ("BertForNextSentencePrediction", {}, "BertForNextSentencePrediction"),
        ("BertModel", {}, "BertModel"),
    ],
)
def test_an_encoder_that_differs_is_refused(name: str, change: dict[str, Any], kind: str) -> None:
    config = transformers.BertConfig(**{**SIZES, **change})
    model = getattr(transformers, kind)._from_config(config, attn_implementation="eager")
    with pytest.raises(UnlikeError, match=name):
        fitting(model)


def test_an_adapter_on_the_head_itself_is_refused() -> None:
    model = transformers.BertForTokenClassification._from_config(FAMILIES["bert"][0], attn_implementation="eager")
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["query", "classifier"]))
    with pytest.raises(UnlikeError, match="head"):
        fitting(adapted)
