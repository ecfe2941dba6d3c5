"""The fast engine against the exact one, and its kernels against torch: the same numbers, whatever the family.

Tolerances: float32 sums in another order differ by about 1e-6; bfloat16 keeps 8 bits, and rounds at other places.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoModelForCausalLM

import tiny
from conftest import TinyFolders
from tiny_training import METHOD, gradients, learner, pace, random_rows
from weitiao.methods import BitFit, Full, Lora, Method, TopLayers, trained
from weitiao.models import head_parts
from weitiao.models.anatomy import Model
from weitiao.models.fast import elementwise, native
from weitiao.models.fast.layout import lay_out
from weitiao.models.fast.parts import UnlikeError
from weitiao.models.fast.pattern import skeleton
from weitiao.models.fast.stack import Stack
from weitiao.models.precision import one_precision
from weitiao.objectives.row import IGNORE, Row
from weitiao.training import fast
from weitiao.training.exact import Exact
from weitiao.training.fast import Fast, engine_for
from weitiao.training.loop import train
from weitiao.training.pace import Place

FAST = ("llama", "qwen3", "mistral", "gemma3", "glm4")
SIZES: dict[str, Any] = {
    "vocab_size": tiny.VOCABULARY,
    "hidden_size": tiny.WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": tiny.CONTEXT,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "bos_token_id": None,
}
CONFIGURATIONS = {
    **{family: tiny.tiny_config(family) for family in FAST},
    "phi3": transformers.Phi3Config(**SIZES),
    "qwen2": transformers.Qwen2Config(**SIZES),  # its queries have biases
    "gemma": transformers.GemmaConfig(**SIZES, head_dim=8),
    "mistral with a window": transformers.MistralConfig(**SIZES, sliding_window=50),
    "phi3 with a window": transformers.Phi3Config(**SIZES, sliding_window=20),
    "one key head for each query head": transformers.LlamaConfig(**{**SIZES, "num_key_value_heads": 4}),
}
METHODS: dict[str, Method] = {"lora": Lora(4), "full": Full(), "top_layers": TopLayers(1)}
METHODS |= {"bitfit": BitFit(), "rslora": Lora(4, variant="rslora")}
METHODS |= {"pissa": Lora(4, start="pissa"), "olora": Lora(4, start="olora")}


@pytest.fixture(params=["compiled", "torch"], autouse=False)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With the compiled kernels, where they were built, and without them."""
    native.kernels.cache_clear()
    if request.param == "torch":
        monkeypatch.setenv("WEITIAO_KERNELS", "off")
        assert native.kernels() is None
    elif native.kernels() is None:
        pytest.skip("built without a C compiler")
    yield request.param
    native.kernels.cache_clear()


def model_of(name: str, method: str, dtype: torch.dtype) -> Model:
    """Random weights, norms and adapters too: zeros and ones would hide a wrong sign."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGURATIONS[name], dtype=torch.float32, attn_implementation="eager")
    model = METHODS[method].adapt(model, 0)
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            drawn = torch.randn(weight.shape) * 0.08
            weight.copy_(drawn if weight.dim() > 1 or "bias" in weight_name else weight + drawn)
    one_precision(model, dtype)
    return model


def rows(count: int, prefix: int, longest: int) -> list[Row]:
    head = np.arange(3, 3 + prefix, dtype=np.int32)
    return [
        Row("", np.append(head, row.tokens), np.append(head * 0 + IGNORE, row.targets))
        for row in random_rows(count, longest=longest)
    ]


def taken(model: Model) -> dict[str, Tensor]:
    found = {name: weight.grad.float() for name, weight in model.named_parameters() if weight.grad is not None}
    for weight in model.parameters():
        weight.grad = None
    return found


def apart(some: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    assert some.keys() == others.keys() and some
    difference = sum(float((some[name] - others[name]).square().sum()) for name in some)
    return (difference / sum(float(gradient.square().sum()) for gradient in others.values())) ** 0.5


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)], ids=["fp32", "bf16"])
def test_loss_and_gradients_are_transformers_own(
    kernels: str, name: str, method: str, dtype: torch.dtype, share: float
) -> None:
    """Short rows, behind a prefix, and over several chunks of queries; in one group and in many."""
    for prefix, longest in ((0, 40), (12, 40), (9, 300)):
        some = rows(5, prefix, longest)
        model = model_of(name, method, dtype)
        exact = Exact(model)
        wanted_loss = sum(exact.pass_over([row]) for row in some)
        wanted = taken(model)
        for groups in ([[0, 1, 2, 3, 4]], [[1, 4], [0], [2, 3]]):
            stack = Stack(skeleton(model))
            loss = stack.learn(lay_out(some, groups, prefix))
            assert loss == pytest.approx(wanted_loss, rel=share / 10)
            found = taken(model)
            assert apart(found, wanted) < share
            if dtype == torch.float32:
                for weight, gradient in wanted.items():
                    assert (found[weight] - gradient).abs().max() <= 1e-4 * gradient.abs().max(), weight


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("method", METHOD)
def test_learning_curves_are_the_exact_engines(tiny_folders: TinyFolders, family: str, method: str) -> None:
    """Also when steps are cut into several passes: the weights move as the optimizer says in both."""
    curves = []
    for kind in (Exact, Fast):
        model, masters = learner(tiny_folders[family], METHOD[method])
        steps = train(kind(model), rows(12, 10, 40), masters, pace(6, 8, capacity=150, peak=1e-2), Place())
        curves.append([(step.loss, step.gradient_norm, step.targets, step.tokens) for step in steps])
    for exact, fast_one in zip(*curves, strict=True):
        assert fast_one == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_what_is_read_is_what_the_exact_engine_reads(
    tiny_folders: TinyFolders, family: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "CAPACITY", 200)
    model, _ = learner(tiny_folders[family], METHOD["lora"], dtype)
    some = rows(9, 10, 50)
    some.append(Row("", some[0].tokens, some[0].targets * 0 + IGNORE))  # asks nothing
    for candidates in ("targets", [5, 7, 300]):
        wanted = dict(Exact(model).read(some, candidates))
        found = dict(Fast(model).read(some, candidates))
        assert found.keys() == wanted.keys() == set(range(10))
        for number, logs in wanted.items():
            assert found[number].shape == logs.shape
            assert np.abs(found[number] - logs).max(initial=0) < (1e-4 if dtype == torch.float32 else 0.1)


def test_an_adapter_that_has_learned_is_seen_at_once(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"])
    engine, some = Fast(model), rows(3, 0, 20)
    before = list(engine.read(some, "targets"))
    with torch.no_grad():
        for weight in trained(model).values():
            weight.mul_(1.5)
    after = dict(engine.read(some, "targets"))
    assert any(np.abs(after[number] - logs).max() > 1e-3 for number, logs in before)
    wanted = dict(Exact(model).read(some, "targets"))
    assert all(np.abs(after[number] - logs).max() < 1e-4 for number, logs in wanted.items())


def test_transformers_reads_the_same_weights_afterwards(tiny_llama: Path) -> None:
    """The fast engine moves weights into matrices of its own; the model still owns them."""
    for method in METHOD.values():
        model, _ = learner(tiny_llama, method)
        tokens = torch.arange(3, 30)[None]
        before = model(input_ids=tokens).logits.detach()
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        Fast(model)
        assert torch.equal(model(input_ids=tokens).logits, before)
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())


# --- which engine ---


def test_auto_takes_the_fast_engine_where_it_agrees(tiny_folders: TinyFolders) -> None:
    for family in FAST:
        for dtype in (torch.float32, torch.bfloat16):
            model, _ = learner(tiny_folders[family], METHOD["lora"], dtype)
            engine, note = engine_for(model, "auto", random_rows(4))
            assert (engine.name, note) == ("fast", ""), family
            assert all(weight.grad is None for weight in model.parameters())
            assert engine_for(model, "exact", random_rows(4))[0].name == "exact"


def test_an_architecture_without_the_pattern_uses_the_exact_engine_and_says_so(tiny_folders: TinyFolders) -> None:
    for wanted in ("auto", "fast"):
        engine, note = engine_for(learner(tiny_folders["gpt2"], METHOD["lora"])[0], wanted, random_rows(4))
        assert engine.name == "exact"
        assert "GPT2Block" in note


def test_what_the_fast_engine_cannot_do_is_said(tiny_folders: TinyFolders) -> None:
    dropping, _ = learner(tiny_folders["llama"], Lora(4, 8.0, dropout=0.1))
    assert "dropout" in engine_for(dropping, "auto", random_rows(4))[1]


@pytest.mark.parametrize("what", ["forward", "backward"])
def test_a_fast_engine_that_differs_is_not_used(tiny_llama: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "forward":
        right = elementwise.gate
        monkeypatch.setattr(elementwise, "gate", lambda both, tanh_gelu, out: right(both * 1.02, tanh_gelu, out))
    else:
        back = elementwise.gate_backward
        monkeypatch.setattr(
            elementwise, "gate_backward", lambda both, gradient, *rest: back(both, gradient * 0.9, *rest)
        )
    model, masters = learner(tiny_llama, METHOD["lora"])
    engine, note = engine_for(model, "auto", random_rows(4))
    assert engine.name == "exact"
    assert ("loss" if what == "forward" else "gradients") in note
    engine.learn(random_rows(4), masters, pace(1), 0)
    assert all(abs(each).max() > 0 for each in gradients(masters).values())


def test_softcapping_is_not_taken_for_the_pattern(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"])
    model.get_base_model().config.final_logit_softcapping = 30.0  # type: ignore[union-attr, operator]
    with pytest.raises(UnlikeError, match="softcapping"):
        Fast(model)


def test_a_loss_that_is_not_finite_is_not_hidden(tiny_llama: Path, kernels: str) -> None:
    model, masters = learner(tiny_llama, METHOD["full"])
    with torch.no_grad():
        next(model.parameters())[7, 3] = float("nan")
    loss, _ = Fast(model).learn(
        [Row("", np.array([5, 7, 9], np.int32), np.array([7, 9, 4], np.int32))], masters, pace(1), 0
    )
    assert not np.isfinite(loss)


# --- kernels ---


def in_torch(function: Any, *arguments: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEITIAO_KERNELS", "off")
        native.kernels.cache_clear()
        found = function(*arguments)
    native.kernels.cache_clear()
    return found


@pytest.mark.parametrize("tanh_gelu", [False, True])
def test_the_gated_unit_is_exact_over_its_whole_range(tanh_gelu: bool) -> None:
    if native.kernels() is None:
        pytest.skip("built without a C compiler")
    gates = torch.cat([torch.linspace(-120, 120, 4801), torch.tensor([0.0, -0.0, 1e-30, -1e-30, 3e4, -3e4])])
    both = torch.cat([gates, torch.linspace(-3, 3, len(gates))])[None].contiguous()
    gradient = torch.linspace(-2, 2, len(gates))[None]
    found, wanted = torch.empty(1, len(gates)), torch.empty(1, len(gates))
    back = elementwise.gate_backward(both, gradient, tanh_gelu, found)
    wanted_back = in_torch(elementwise.gate_backward, both, gradient, tanh_gelu, wanted)
    assert torch.isfinite(back).all()
    assert torch.allclose(found, wanted, rtol=2e-6, atol=1e-6)
    assert torch.allclose(back, wanted_back, rtol=1e-5, atol=1e-5)


def test_cross_entropy_is_exact_for_far_apart_logits() -> None:
    if native.kernels() is None:
        pytest.skip("built without a C compiler")
    logits = (
        torch.randn(7, 1001, generator=torch.Generator().manual_seed(0))
        * torch.tensor([0.01, 1, 5, 20, 50, 200, 1e4])[:, None]
    )
    targets = torch.tensor([0, 1000, 5, 7, 500, 3, 999])
    mine, theirs = logits.clone(), logits.clone()
    loss = elementwise.cross_entropy(mine, targets)
    wanted = in_torch(elementwise.cross_entropy, theirs, targets)
    assert torch.allclose(loss, wanted, rtol=1e-6, atol=1e-6)
    assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-7)


def test_bfloat16_is_rounded_to_the_nearest_and_ties_to_even() -> None:
    if native.kernels() is None:
        pytest.skip("built without a C compiler")
    stream = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)) * 3
    stream[0] = 0.0
    stream[1, 5] = float("nan")
    weight = torch.ones(96, dtype=torch.bfloat16)
    out = torch.empty(64, 96, dtype=torch.bfloat16)
    _, inverse = elementwise.norm(stream, None, weight, 0.0, 1e-5, out)
    assert torch.equal(out[2:], (stream * inverse[:, None]).to(torch.bfloat16)[2:])
    assert (out[0] == 0).all() and out[1].isnan().all()


# --- numbers of rows that products like ---


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_pass_has_an_even_number_of_tokens_and_those_behind_the_rows_change_nothing(
    tiny_folders: TinyFolders, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = random_rows(3, seed)
    found = []
    for even in (8, 1):
        monkeypatch.setattr(head_parts, "EVEN", even)
        model, masters = learner(tiny_folders["qwen3"], METHOD["lora"])
        engine = Fast(model)
        assert all(tokens % even == 0 for tokens, _ in engine.passes(rows, pace(1)))
        loss = engine.learn(rows, masters, pace(1), 0)[0]
        found.append((loss, gradients(masters)))
    (padded, one), (bare, other) = found
    assert padded == pytest.approx(bare, rel=1e-6)
    for name, gradient in one.items():
        np.testing.assert_allclose(gradient, other[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("asked", "size"), [(0, 0), (1, 1), (100, 100), (326, 168), (714, 240), (961, 248)])
def test_the_head_answers_in_parts_of_about_one_size(asked: int, size: int) -> None:
    parts = [len(range(asked)[part]) for part in head_parts.head_parts(asked, 49_152)]
    assert sum(parts) == asked
    assert max(parts, default=0) == size
    assert all(part % head_parts.EVEN == 0 for part in parts[:-1])
