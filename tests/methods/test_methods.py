"""Which weights learn, and nothing else."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM

import tiny
from tiny_training import EVERY_METHOD
from weitiao.errors import SettingsError
from weitiao.methods import METHODS, BitFit, Full, Lora, TopLayers, trained
from weitiao.models.anatomy import blocks, linear_names, parameter_count
from weitiao.settings import METHODS as NAMES

IDS = torch.arange(3, 43).reshape(2, 20)


def fresh(family: str, dtype: torch.dtype = torch.float32) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(tiny.tiny_config(family), dtype=dtype).eval()


def test_a_method_is_chosen_by_its_name() -> None:
    assert tuple(METHODS) == NAMES
    assert METHODS["dora"] == Lora(variant="dora")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_full_trains_every_weight_once(family: str) -> None:
    model = Full().adapt(fresh(family))
    assert sum(weight.numel() for weight in trained(model).values()) == parameter_count(model)
    tied = model.config.tie_word_embeddings
    assert ("lm_head.weight" in trained(model)) == (not tied)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_top_layers_trains_the_last_blocks_and_the_norm_above(family: str) -> None:
    model = TopLayers(count=1).adapt(fresh(family))
    learning = set(map(id, trained(model).values()))
    last = blocks(model)[-1]
    assert set(map(id, last.parameters())) < learning
    others = [name for name, weight in trained(model).items() if id(weight) not in set(map(id, last.parameters()))]
    assert others
    assert all("norm" in name or "ln_f" in name for name in others)
    assert not any("embed" in name or "wte" in name or "head" in name for name in trained(model))
    assert not any(weight.requires_grad for weight in blocks(model)[0].parameters())


@pytest.mark.parametrize("count", [0, 3, -1])
def test_top_layers_over_the_blocks_are_refused_with_the_bound(count: int) -> None:
    with pytest.raises(SettingsError, match=f"top_layers is {count}, and the model has 2 layers") as caught:
        TopLayers(count).adapt(fresh("llama"))
    assert caught.value.hint == "choose from 1 to 2"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_lora_trains_its_matrices_alone_and_starts_as_the_model(family: str) -> None:
    model = fresh(family)
    with torch.no_grad():
        before = model(IDS).logits
        tuned = Lora(rank=4).adapt(model, seed=7).eval()
        assert torch.equal(tuned(IDS).logits, before)
    assert all(".lora_A." in name or ".lora_B." in name for name in trained(tuned))
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained(tuned)} == set(
        tuned.peft_config["default"].target_modules
    )


def test_lora_is_float32_on_a_model_of_bfloat16() -> None:
    tuned = Lora(rank=4).adapt(fresh("llama", torch.bfloat16))
    assert {weight.dtype for weight in trained(tuned).values()} == {torch.float32}


def test_lora_is_drawn_from_its_seed_alone() -> None:
    def drawn(seed: int) -> list[torch.Tensor]:
        return [weight.detach().clone() for weight in trained(Lora(rank=4).adapt(fresh("llama"), seed)).values()]

    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = drawn(5)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert all(torch.equal(one, other) for one, other in zip(first, drawn(5), strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(first, drawn(6), strict=True))


def test_lora_takes_named_targets_and_defaults() -> None:
    tuned = Lora(targets=("v_proj", "q_proj")).adapt(fresh("llama"))
    config = tuned.peft_config["default"]
    assert (config.r, config.lora_alpha, config.target_modules) == (16, 32, {"q_proj", "v_proj"})
    assert len(trained(tuned)) == 2 * 2 * 2
    assert Lora(rank=4, alpha=6.5).adapt(fresh("llama")).peft_config["default"].lora_alpha == 6.5


@pytest.mark.parametrize("targets", [("q_proj", "nothing"), ("lm_head",), ("embed_tokens",), ()])
def test_targets_that_are_not_there_are_refused_with_those_that_are(targets: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="no linear layer named") as caught:
        Lora(rank=4, targets=targets).adapt(fresh("llama"))
    assert "q_proj" in caught.value.hint
    assert "lm_head" not in caught.value.hint


@pytest.mark.parametrize("rank", [33, -1])
def test_a_rank_over_the_width_is_refused_with_the_bound(rank: int) -> None:
    with pytest.raises(SettingsError, match=f"lora_rank is {rank}, and the model is 32 wide") as caught:
        Lora(rank=rank).adapt(fresh("llama"))
    assert "from 1 to 32" in caught.value.hint


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_bitfit_trains_the_biases_or_where_there_are_none_the_norms(family: str) -> None:
    names = set(trained(BitFit().adapt(fresh(family))))
    if any(name.endswith("bias") for name, _ in fresh(family).named_parameters()):
        assert names and all(name.endswith("bias") for name in names)
    else:
        assert names and all(name.endswith("norm.weight") for name in names)


@pytest.mark.parametrize("start", ["pissa", "olora"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_pissa_and_olora_begin_as_the_model_and_leave_its_weights(family: str, start: Any) -> None:
    model = fresh(family)
    weights = [weight.clone() for weight in model.parameters()]
    with torch.no_grad():
        before = model(IDS).logits
        tuned = Lora(rank=4, start=start).adapt(model, seed=7).eval()
        assert (tuned(IDS).logits - before).abs().max() < 1e-5
    own = [weight for name, weight in model.named_parameters() if "lora_" not in name]
    assert all(torch.equal(one, other) for one, other in zip(own, weights, strict=True))
    assert all(name.endswith(".default.weight") for name in trained(tuned))


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_pissa_and_olora_begin_with_the_matrices_that_peft_begins_with(start: Any) -> None:
    """PEFT takes them out of the weights, where here they are subtracted."""
    theirs = fresh("llama")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=linear_names(theirs), init_lora_weights=start)
    wanted = get_peft_model(theirs, config)
    ours = dict(Lora(rank=4, start=start).adapt(fresh("llama")).named_modules())
    for name, layer in wanted.named_modules():
        if isinstance(layer, LoraLayer):
            product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            found = ours[name].lora_B["default"].weight @ ours[name].lora_A["default"].weight
            assert (found - product).abs().max() < 1e-3 * product.abs().max(), name


def test_an_adapter_that_does_not_know_the_layers_says_so() -> None:
    model = fresh("llama")
    for block in blocks(model):
        block.mlp.other_proj = block.mlp.down_proj
        del block.mlp.down_proj
    with pytest.raises(SettingsError, match="other_proj"):
        METHODS["ia3"].adapt(model)


@pytest.mark.parametrize("method", EVERY_METHOD.values(), ids=EVERY_METHOD)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_what_learns_gets_a_gradient_and_nothing_else_does(family: str, method: Any) -> None:
    model = method.adapt(fresh(family))
    with torch.no_grad():
        for name, weight in trained(model).items():
            if "lora_B" in name or "lora_E" in name:
                weight.fill_(0.01)  # at zero, nothing would flow to the others
    model(IDS, labels=IDS).loss.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in trained(model).values())
    assert all(weight.grad is None for weight in model.parameters() if not weight.requires_grad)
