"""Tuning a tuned model: the parent's method and the new one, in every pairing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from weitiao.errors import SettingsError
from weitiao.methods import Full, Lora, TopLayers, prepare, save_result, trained
from weitiao.models.load import Loaded, load
from weitiao.models.source import resolve

IDS = torch.arange(3, 43).reshape(2, 20)


def learned(model: Any, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: weight.detach().float() + 0.05 * torch.randn(weight.shape, generator=generator)
        for name, weight in trained(model).items()
    }


def tune(base: Path, method: Any, out: Path, seed: int = 0) -> Path:
    loaded = load(resolve(str(base)), torch.float32)
    model = prepare(loaded, method, seed)
    save_result(model, loaded.tokenizer, out, learned(model, seed), loaded.source.folder, torch.float32)
    return out


def logits(loaded: Loaded) -> Tensor:
    with torch.no_grad():
        return loaded.model.eval()(IDS).logits


@pytest.fixture
def parent(tiny_llama: Path, tmp_path: Path) -> Path:
    return tune(tiny_llama, Lora(rank=4, targets=("q_proj", "v_proj")), tmp_path / "parent", seed=1)


@pytest.mark.parametrize("trainable", [False, True])
def test_lora_on_lora_goes_on_with_the_parents_adapter(parent: Path, tiny_llama: Path, trainable: bool) -> None:
    loaded = load(resolve(str(parent)), torch.float32, trainable_adapter=trainable)
    before = logits(loaded)
    model = prepare(loaded, Lora())
    assert list(model.peft_config) == ["default"]
    assert len(trained(model)) == 2 * 2 * 2
    assert all("lora_" in name for name in trained(model))
    with torch.no_grad():
        assert torch.equal(model.eval()(IDS).logits, before)


def test_the_grandchild_stands_on_the_first_base(parent: Path, tiny_llama: Path, tmp_path: Path) -> None:
    child = resolve(str(tune(parent, Lora(rank=4, alpha=8), tmp_path / "child", seed=2)))
    assert child.folder == tiny_llama
    assert child.digest != resolve(str(parent)).digest
    assert not torch.equal(logits(load(child, torch.float32)), logits(load(resolve(str(parent)), torch.float32)))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Lora(rank=8), "lora_rank is 8, and the adapter that goes on learning has 4"),
        (Lora(alpha=1), "lora_alpha is 1, and the adapter that goes on learning has 8"),
        (Lora(targets=("q_proj",)), "lora_targets is q_proj, and the adapter .* has q_proj, v_proj"),
    ],
)
def test_another_shape_than_the_parents_is_refused_with_a_way_out(parent: Path, method: Lora, message: str) -> None:
    loaded = load(resolve(str(parent)), torch.float32)
    with pytest.raises(SettingsError, match=message) as caught:
        prepare(loaded, method)
    assert "leave lora_" in caught.value.hint


def test_dropout_is_the_new_runs_own(parent: Path) -> None:
    def dropouts(model: Any) -> set[float]:
        layers = [module for name, module in model.named_modules() if name.endswith("lora_dropout.default")]
        return {layer.p if isinstance(layer, nn.Dropout) else 0.0 for layer in layers}

    loaded = load(resolve(str(parent)), torch.float32)
    assert dropouts(prepare(loaded, Lora(dropout=0.25))) == {0.25}
    assert loaded.model.peft_config["default"].lora_dropout == 0.25
    assert dropouts(prepare(loaded, Lora())) == {0.0}


@pytest.mark.parametrize("method", [Full(), TopLayers(1)])
def test_any_other_method_merges_the_adapter_first(parent: Path, tiny_llama: Path, tmp_path: Path, method: Any) -> None:
    loaded = load(resolve(str(parent)), torch.float32)
    before = logits(loaded)
    model = prepare(loaded, method)
    assert not any("lora" in name for name, _ in model.named_parameters())
    with torch.no_grad():
        assert (model.eval()(IDS).logits - before).abs().max() < 1e-5
    out = tune(parent, method, tmp_path / "child")
    assert resolve(str(out)).adapter is None
    assert (out / "model.safetensors").is_file()


@pytest.mark.parametrize("first", [Full(), TopLayers(1)])
def test_lora_on_a_fully_tuned_model_stands_on_that_model(first: Any, tiny_llama: Path, tmp_path: Path) -> None:
    whole = tune(tiny_llama, first, tmp_path / "whole", seed=1)
    found = resolve(str(tune(whole, Lora(rank=2), tmp_path / "adapter", seed=2)))
    assert found.folder == whole
    assert torch.isfinite(logits(load(found, torch.float32))).all()
    again = resolve(str(tune(whole, first, tmp_path / "again", seed=3)))
    assert again.adapter is None
