"""Results: what transformers and PEFT alone read back is what was trained."""

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny
from weitiao.errors import MachineError
from weitiao.methods import Full, Lora, TopLayers, merge, prepare, result, save_result, trained
from weitiao.models.fingerprint import weights_digest
from weitiao.models.load import Loaded, load
from weitiao.models.source import resolve

IDS = torch.arange(3, 43).reshape(2, 20)


def learned(model: Any, seed: int = 0) -> dict[str, Tensor]:
    """What training might have made of the weights that learn, in float32."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: weight.detach().float() + 0.05 * torch.randn(weight.shape, generator=generator)
        for name, weight in trained(model).items()
    }


def with_weights(model: Any, weights: dict[str, Tensor]) -> Tensor:
    """The logits of ``model`` with ``weights`` put in place."""
    with torch.no_grad():
        for name, weight in trained(model).items():
            weight.copy_(weights[name])
        return model.eval()(IDS).logits


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def loaded_from(folder: Path, dtype: torch.dtype = torch.float32) -> Loaded:
    return load(resolve(str(folder)), dtype)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_saved_adapter_opened_by_peft_alone_gives_the_same_logits(
    family: str, tiny_folders: Any, tmp_path: Path
) -> None:
    base = tiny_folders[family]
    loaded = loaded_from(base)
    model = prepare(loaded, Lora(rank=4), seed=1)
    weights = learned(model)
    save_result(model, loaded.tokenizer, tmp_path / "model", weights, base, torch.float32)
    expected = with_weights(model, weights)

    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "model")
    assert (logits(alone) - expected).abs().max() < 1e-5
    assert (logits(AutoPeftModelForCausalLM.from_pretrained(tmp_path / "model")) - expected).abs().max() < 1e-5
    assert (logits(AutoModelForCausalLM.from_pretrained(tmp_path / "model")) - expected).abs().max() < 1e-5
    assert torch.equal(logits(loaded_from(tmp_path / "model").model), expected)
    assert (expected - logits(AutoModelForCausalLM.from_pretrained(base))).abs().max() > 0.01


@pytest.mark.parametrize("method", [Full(), TopLayers(1)])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_saved_model_opened_by_transformers_alone_gives_the_same_logits(
    family: str, method: Full | TopLayers, tiny_folders: Any, tmp_path: Path
) -> None:
    loaded = loaded_from(tiny_folders[family])
    model = prepare(loaded, method)
    weights = learned(model)
    save_result(model, loaded.tokenizer, tmp_path / "model", weights, tiny_folders[family], torch.float32)
    expected = with_weights(model, weights)
    alone, found = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(found.values())
    assert torch.allclose(logits(alone), expected, atol=1e-5)  # its attention adds in another order
    assert torch.equal(logits(loaded_from(tmp_path / "model").model), expected)


def test_a_model_is_saved_in_the_type_that_was_asked_for(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = loaded_from(tiny_llama, torch.bfloat16)
    model = prepare(loaded, TopLayers(1))
    weights = learned(model)
    for dtype in (torch.float32, torch.bfloat16):
        save_result(model, loaded.tokenizer, tmp_path / "model", weights, tiny_llama, dtype)
        saved = load_file(tmp_path / "model" / "model.safetensors")
        assert {tensor.dtype for tensor in saved.values()} == {dtype}
        assert torch.equal(saved["model.norm.weight"], weights["model.norm.weight"].to(dtype))
        assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == str(dtype)[6:]


def test_the_tokenizer_the_template_and_the_end_are_saved(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = loaded_from(tiny_llama)
    loaded.tokenizer.chat_template = "{{ messages[0]['content'] }}\n!"
    for method in (Full(), Lora(rank=2)):
        out = tmp_path / "model"
        save_result(prepare(loaded, method), loaded.tokenizer, out, {}, tiny_llama, torch.float32)
        assert (out / "tokenizer.json").read_bytes() == (tiny_llama / "tokenizer.json").read_bytes()
        alone = AutoTokenizer.from_pretrained(out)
        assert alone.apply_chat_template([{"role": "user", "content": "天"}], tokenize=False) == "天\n!"
        assert alone.eos_token == "<|im_end|>"
        assert json.loads((out / "generation_config.json").read_text())["eos_token_id"] == 2


def test_a_generation_configuration_that_transformers_refuses_to_save_is_saved(
    tiny_llama: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_llama, base)
    (base / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.6, "eos_token_id": [2, 0]}')
    loaded = loaded_from(base)
    save_result(prepare(loaded, Full()), loaded.tokenizer, tmp_path / "out", {}, base, torch.float32)
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == [2, 0]
    assert loaded.model.generation_config.eos_token_id == [2, 0]


def test_an_adapter_is_float32_and_names_its_base(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = loaded_from(tiny_llama, torch.bfloat16)
    save_result(prepare(loaded, Lora(rank=2)), loaded.tokenizer, tmp_path / "model", {}, tiny_llama, torch.bfloat16)
    saved = load_file(tmp_path / "model" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert json.loads((tmp_path / "model" / "weitiao.json").read_text()) == {"base": weights_digest(tiny_llama)}
    config = json.loads((tmp_path / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_llama)
    assert config["target_modules"] == sorted(config["target_modules"])


def test_the_same_result_is_the_same_bytes(tiny_llama: Path, tmp_path: Path) -> None:
    for method in (Full(), Lora(rank=2)):
        for name in ("one", "two"):
            loaded = loaded_from(tiny_llama)
            save_result(prepare(loaded, method), loaded.tokenizer, tmp_path / name, {}, tiny_llama, torch.float32)
        files = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
        assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)
        for name in files:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_failed_save_leaves_the_older_result_and_nothing_else(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_from(tiny_llama)
    model = prepare(loaded, Lora(rank=2))
    save_result(model, loaded.tokenizer, tmp_path / "model", {}, tiny_llama, torch.float32)
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result, "_write_tokenizer", full_disk)
    with pytest.raises(MachineError, match="No space left") as caught:
        save_result(model, loaded.tokenizer, tmp_path / "model", learned(model), tiny_llama, torch.float32)
    assert caught.value.exit_code == 5
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_process_left_is_swept_away(tiny_llama: Path, tmp_path: Path) -> None:
    left = tmp_path / ".model.999999999.unfinished"
    left.mkdir()
    (left / "half").write_text("x")
    loaded = loaded_from(tiny_llama)
    save_result(prepare(loaded, Lora(rank=2)), loaded.tokenizer, tmp_path / "model", {}, tiny_llama, torch.float32)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert stat.S_ISREG((tmp_path / "model" / "adapter_model.safetensors").stat().st_mode)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_merged_is_unmerged(family: str, tiny_folders: Any, tmp_path: Path) -> None:
    loaded = loaded_from(tiny_folders[family])
    model = prepare(loaded, Lora(rank=4), seed=1)
    expected = with_weights(model, learned(model))
    merged = merge(model)
    assert not isinstance(merged, PeftModel)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert (logits(merged) - expected).abs().max() < 1e-5


def test_merging_rounds_once(tiny_llama: Path) -> None:
    exact = prepare(loaded_from(tiny_llama, torch.bfloat16), Lora(rank=4), seed=1)
    with_weights(exact, learned(exact))
    layer = exact.get_base_model().model.layers[0].self_attn.q_proj
    expected = (layer.base_layer.weight.float() + layer.get_delta_weight("default").float()).bfloat16()
    merged = merge(exact)
    assert torch.equal(merged.model.layers[0].self_attn.q_proj.weight, expected)


def test_unknown_names_of_weights_are_not_silently_dropped(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = loaded_from(tiny_llama)
    for method in (Full(), Lora(rank=2)):
        model = prepare(loaded, method)
        with pytest.raises(ValueError, match="surplus"):
            save_result(model, loaded.tokenizer, tmp_path / "m", {"surplus": torch.zeros(1)}, tiny_llama, torch.float32)
    assert not (tmp_path / "m").exists()
