"""What each method learned, opened by PEFT or transformers alone: the same logits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

import tiny
from conftest import TinyFolders
from tiny_training import EVERY_METHOD, learned
from weitiao.errors import ModelError
from weitiao.methods import prepare, save_result, trained
from weitiao.models.load import load
from weitiao.models.precision import one_precision
from weitiao.models.source import resolve
from weitiao.models.virtual import cache_of, virtual_pairs, virtual_tokens

IDS = torch.arange(3, 43).reshape(2, 20)


def logits(model: Any) -> Tensor:
    """Of the rows in ``IDS``, as ours are calculated: behind the virtual tokens, where there are any."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    past = cache_of(virtual_pairs(model), len(IDS)) if virtual_tokens(model) else None
    with torch.no_grad():
        found: Tensor = inner.eval()(IDS, past_key_values=past).logits
    return found


def tuned(folder: Path, out: Path, method: Any, dtype: torch.dtype = torch.float32) -> Any:
    """The model after some learning, and the same saved in ``out``."""
    loaded = load(resolve(str(folder)), dtype)
    model: Any = one_precision(prepare(loaded, method, seed=1), dtype)
    weights = learned(model, seed=2)
    save_result(model, loaded.tokenizer, out, weights, folder, dtype)
    with torch.no_grad():
        for name, weight in trained(model).items():
            weight.copy_(weights[name])
    return model


@pytest.mark.parametrize("name", EVERY_METHOD)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_peft_or_transformers_alone_open_the_result_with_equal_logits(
    tiny_folders: TinyFolders, tmp_path: Path, family: str, name: str
) -> None:
    base, out = tiny_folders[family], tmp_path / "out"
    wanted = logits(tuned(base, out, EVERY_METHOD[name]))
    assert (wanted - logits(load(resolve(str(base)), torch.float32).model)).abs().max() > 1e-2
    if (out / "adapter_config.json").exists():
        untouched = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        alone: Any = PeftModel.from_pretrained(untouched, str(out)).eval()
    else:
        alone = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    with torch.no_grad():
        theirs = alone(input_ids=IDS).logits[:, -IDS.shape[1] :]  # of prompts, logits of the virtual tokens come first
    assert (theirs - wanted).abs().max() < 2e-5
    assert (logits(load(resolve(str(out)), torch.float32).model) - wanted).abs().max() < 2e-5


@pytest.mark.parametrize("name", ["pissa", "olora", "adalora"])
def test_what_is_learned_in_another_form_is_kept_as_plain_lora(tiny_llama: Path, tmp_path: Path, name: str) -> None:
    tuned(tiny_llama, tmp_path / "out", EVERY_METHOD[name])
    config = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_llama), str(tmp_path / "out")
    ).peft_config["default"]
    assert (config.peft_type, config.init_lora_weights, config.rank_pattern) == ("LORA", True, {})


@pytest.mark.parametrize("kind", ["prefix", "prompt", "p_tuning"])
def test_virtual_tokens_are_saved_as_the_model_read_them(tiny_llama: Path, tmp_path: Path, kind: str) -> None:
    """In bfloat16 too: what the network of P-tuning makes is rounded there, once."""
    wanted = logits(tuned(tiny_llama, tmp_path / "out", EVERY_METHOD[kind], torch.bfloat16))
    again = one_precision(load(resolve(str(tmp_path / "out")), torch.bfloat16).model, torch.bfloat16)
    assert torch.equal(logits(again), wanted)


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_an_adapter_that_describes_more_than_it_holds_is_refused(tiny_llama: Path, tmp_path: Path, kind: str) -> None:
    tuned(tiny_llama, tmp_path / "out", EVERY_METHOD[kind])
    config = tmp_path / "out" / "adapter_config.json"
    config.write_text(config.read_text().replace('"num_virtual_tokens": 5', '"num_virtual_tokens": 500000000'))
    with pytest.raises(ModelError, match="500000000 virtual tokens"):
        resolve(str(tmp_path / "out"))
