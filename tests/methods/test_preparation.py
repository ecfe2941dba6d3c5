"""Tuning a tuned model: the parent's method and the new one, in every pairing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tiny_training import EVERY_METHOD, learned
from weitiao.errors import SettingsError
from weitiao.methods import IA3, AdaLora, BitFit, Full, Lora, TopLayers, VirtualTokens, prepare, save_result, trained
from weitiao.models.load import Loaded, load
from weitiao.models.source import resolve
from weitiao.models.use import Use

IDS = torch.arange(3, 43).reshape(2, 20)


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


# --- adapters of other kinds ---


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (IA3(), IA3()),
        *((VirtualTokens(kind, 5), VirtualTokens(kind)) for kind in ("prefix", "prompt", "p_tuning")),
        (VirtualTokens("p_tuning", 5), VirtualTokens("prompt")),
        (VirtualTokens("prompt", 5), VirtualTokens("p_tuning", 5)),
        (Lora(4, variant="rslora"), Lora(variant="rslora")),
        (Lora(4, variant="dora"), Lora(variant="dora")),
        (Lora(4, variant="dora"), Lora()),
        (Lora(4, start="pissa"), Lora(start="pissa")),
        (Lora(4, start="olora"), Lora(ratio=16)),
        (AdaLora(4), AdaLora(4)),
        (AdaLora(4), Lora()),
        (Lora(8), AdaLora(4)),
        (Lora(20, variant="rslora"), AdaLora(4)),  # wider than some layers
    ],
)
def test_an_adapter_goes_on_learning_from_where_it_was(
    first: Any, second: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    def whole(loaded: Loaded) -> Tensor:
        with torch.no_grad():
            return loaded.model.eval()(input_ids=IDS).logits[:, -IDS.shape[1] :]

    parent = tune(tiny_llama, first, tmp_path / "parent", seed=1)
    before = whole(load(resolve(str(parent)), torch.float32))
    loaded = load(resolve(str(parent)), torch.float32)
    model = prepare(loaded, second)
    assert trained(model)
    with torch.no_grad():
        assert (model.eval()(input_ids=IDS).logits[:, -IDS.shape[1] :] - before).abs().max() < 1e-5
    child = resolve(str(tune(parent, second, tmp_path / "child", seed=2)))
    assert child.folder == tiny_llama
    assert (whole(load(child, torch.float32)) - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("first", "second", "hint"),
    [
        (Lora(4), IA3(), "go on with method lora"),
        (Lora(4), VirtualTokens("prompt", 5), "go on with method lora"),
        (IA3(), Lora(), "go on with method ia3"),
        (VirtualTokens("prefix", 5), VirtualTokens("prompt", 5), "go on with method prefix"),
        (VirtualTokens("p_tuning", 5), Full(), "go on with method prompt"),
        (VirtualTokens("prefix", 5), BitFit(), "go on with method prefix"),
        (VirtualTokens("prompt", 5), VirtualTokens("prompt", 6), "leave virtual_tokens out"),
        (Lora(4), Lora(variant="dora"), "leave method out"),
        (Lora(4, variant="dora"), AdaLora(4), "use method lora"),
    ],
)
def test_what_cannot_follow_an_adapter_says_what_can(
    first: Any, second: Any, hint: str, tiny_llama: Path, tmp_path: Path
) -> None:
    parent = tune(tiny_llama, first, tmp_path / "parent", seed=1)
    with pytest.raises(SettingsError) as caught:
        prepare(load(resolve(str(parent)), torch.float32), second)
    assert hint in caught.value.hint


@pytest.mark.parametrize("first", [IA3(), Lora(4, variant="dora"), AdaLora(4), Lora(4, start="olora")])
@pytest.mark.parametrize("second", [Full(), BitFit()])
def test_factors_and_every_lora_are_merged_for_methods_that_change_the_weights(
    first: Any, second: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    parent = tune(tiny_llama, first, tmp_path / "parent", seed=1)
    before = logits(load(resolve(str(parent)), torch.float32))
    model = prepare(load(resolve(str(parent)), torch.float32), second)
    with torch.no_grad():
        assert (model.eval()(IDS).logits - before).abs().max() < 1e-5
    assert resolve(str(tune(parent, second, tmp_path / "child"))).adapter is None


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_a_category_head_learns_or_the_method_says_that_it_cannot(name: str, tiny_llama: Path) -> None:
    loaded = load(resolve(str(tiny_llama)), torch.float32, False, Use("category", ("ham", "spam")), 1)
    if name in ("pissa", "olora", "adalora", "ia3", "prefix", "prompt", "p_tuning"):
        with pytest.raises(SettingsError, match="cannot learn a category head") as caught:
            prepare(loaded, EVERY_METHOD[name])
        assert "head: words" in caught.value.hint
    else:
        assert any("score" in weight for weight in trained(prepare(loaded, EVERY_METHOD[name])))
