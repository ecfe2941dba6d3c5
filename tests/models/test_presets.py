"""Fresh models: every size from one dial, weights from the seed alone, folders that transformers opens by itself."""

from pathlib import Path

import pytest
import torch

import tiny
from weitiao.codec.tokenizer import train_tokenizer
from weitiao.errors import ModelError
from weitiao.models.files import check_folder
from weitiao.models.fingerprint import folder_digest
from weitiao.models.fresh import write_fresh
from weitiao.models.presets import Preset, names, preset_of
from weitiao.models.source import resolve

TOKENIZER = train_tokenizer(tiny.SENTENCES * 4, 480)


def made(name: str, folder: Path, seed: int = 0) -> Path:
    preset = preset_of(name)
    assert preset is not None
    write_fresh(preset, TOKENIZER, seed, folder)
    check_folder(folder)
    return folder


def test_sizes_follow_from_the_number_of_layers() -> None:
    for name in names():
        preset = preset_of(name)
        assert preset is not None
        config = preset.config(8192, {})
        assert config["hidden_size"] == 64 * preset.layers
        assert config["num_attention_heads"] == config["num_hidden_layers"] == preset.layers
        assert config["max_position_embeddings"] == 256 * preset.layers
        assert config["intermediate_size"] % 64 == 0
    assert preset_of("preset:small") == preset_of("preset:8") == Preset("decoder", 8)
    assert preset_of("preset:encoder-tiny") == preset_of("preset:encoder-4") == Preset("encoder", 4)
    assert preset_of("models/tiny") is None


@pytest.mark.parametrize("name", ["preset:huge", "preset:0", "preset:49", "preset:", "preset:encoder-", "preset:6x"])
def test_an_unknown_preset_is_an_error_that_names_those_there_are(name: str) -> None:
    with pytest.raises(ModelError, match=r"no preset") as caught:
        preset_of(name)
    assert "preset:encoder-base" in caught.value.hint


def test_a_preset_is_no_model_that_is_there() -> None:
    with pytest.raises(ModelError, match="fresh") as caught:
        resolve("preset:tiny")
    assert "weitiao train" in caught.value.hint


def test_transformers_alone_opens_a_fresh_decoder(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = made("preset:2", tmp_path / "made")
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = AutoTokenizer.from_pretrained(folder)("今天天气很好", return_tensors="pt")["input_ids"]
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.config.vocab_size >= TOKENIZER.get_vocab_size()
    assert model.config.vocab_size % 64 == 0
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    with torch.no_grad():  # it knows nothing yet: every token is about as likely as any other
        loss = float(model(ids, labels=ids).loss)
    assert loss == pytest.approx(torch.log(torch.tensor(float(model.config.vocab_size))).item(), abs=0.3)


def test_transformers_alone_opens_a_fresh_encoder(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    folder = made("preset:encoder-2", tmp_path / "made")
    read = AutoTokenizer.from_pretrained(folder)
    filled = AutoModelForMaskedLM.from_pretrained(folder)
    assert type(filled).__name__ == "BertForMaskedLM"
    assert AutoModel.from_pretrained(folder)(**read("你好", return_tensors="pt")).last_hidden_state.shape[-1] == 128
    assert read.mask_token_id < filled.config.vocab_size


def test_weights_come_from_the_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = folder_digest(made("preset:1", tmp_path / "a", seed=3))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    assert folder_digest(made("preset:1", tmp_path / "b", seed=3)) == first
    assert folder_digest(made("preset:1", tmp_path / "c", seed=4)) != first
