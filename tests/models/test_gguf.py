"""GGUF files: converted once, to the same model; and every lie of their headers."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

import tiny
from weitiao.errors import MachineError, ModelError
from weitiao.models import gguf as conversion
from weitiao.models.gguf import convert
from weitiao.models.gguf_header import read_gguf_header
from weitiao.models.load import load
from weitiao.models.source import resolve

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(folder: Path, path: Path) -> Path:
    """The tiny Llama of ``folder`` as llama.cpp writes it, unquantized."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    add_tokenizer(writer, folder)
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
            new = gguf_name(name)
            writer.add_tensor(new, interleaved(weight.numpy(), heads.get(new.split(".")[-2])))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer: Any, folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if number < 3 else 1 for number in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_uint32("tokenizer.ggml.eot_token_id", 0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tiny.CHAT_TEMPLATE)


def gguf_name(name: str) -> str:
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in plain:
        return plain[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(weight: np.ndarray, heads: int | None) -> np.ndarray:
    """llama.cpp keeps the halves of each head's rotary pairs beside each other."""
    if heads is None:
        return weight
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape).copy()


@pytest.fixture(scope="module")
def gguf_file(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_llama, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_converted_model_is_the_same_model(gguf_file: Path, tiny_llama: Path, capfd: Any) -> None:
    found = resolve(str(gguf_file))
    loaded = load(found, torch.float32)
    reference = AutoModelForCausalLM.from_pretrained(tiny_llama)
    ids = torch.arange(3, 43).reshape(2, 20)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, reference(ids).logits, rtol=0, atol=1e-6)
    text = "恭喜您中奖了! Call now 2024  7"
    own = Tokenizer.from_file(str(tiny_llama / "tokenizer.json"))
    assert loaded.tokenizer.decode(loaded.tokenizer(text)["input_ids"]) == text
    assert loaded.tokenizer("Call now")["input_ids"] == own.encode("Call now").ids
    assert loaded.tokenizer.chat_template == tiny.CHAT_TEMPLATE
    assert loaded.model.generation_config.eos_token_id == [2, 0]
    assert loaded.tokenizer.model_max_length == tiny.CONTEXT
    assert (found.folder / "config.json").read_text().count("quantization") == 0


def test_it_is_converted_once(gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve(str(gguf_file))
    folder = tmp_path / "sample"
    folder.mkdir()
    shutil.copy(gguf_file, folder / "model.gguf")

    def refuse(*arguments: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(conversion, "_read", refuse)
    again = resolve(str(folder))
    assert (again.folder, again.digest) == (first.folder, first.digest)


def test_a_failed_conversion_leaves_nothing(gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "_write", full_disk)
    with pytest.raises(MachineError, match="No space left"):
        convert(gguf_file, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused(gguf_file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "x.gguf"
    changed.write_bytes(gguf_file.read_bytes().replace(b"llama", b"xxxxx"))
    with pytest.raises(ModelError, match="cannot be converted") as caught:
        convert(changed, tmp_path / "out")
    assert "its kind is xxxxx" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_config_beside_the_file_is_not_read(gguf_file: Path, tmp_path: Path) -> None:
    shutil.copy(gguf_file, tmp_path / "x.gguf")
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "evil"}')
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "evil.T"}}')
    convert(tmp_path / "x.gguf", tmp_path / "out")
    assert "auto_map" not in (tmp_path / "out" / "tokenizer_config.json").read_text()


def test_the_header_is_read_without_the_arrays(gguf_file: Path) -> None:
    header = read_gguf_header(gguf_file)
    assert header.architecture == "llama"
    assert header.numbers == 33952
    assert header.facts["tokenizer.ggml.eos_token_id"] == 2
    assert "tokenizer.ggml.tokens" not in header.facts


def cut(content: bytes) -> bytes:
    return content[:-64]


def cut_in_header(content: bytes) -> bytes:
    return content[:3000]


def many_tensors(content: bytes) -> bytes:
    return content[:8] + struct.pack("<Q", 1 << 60) + content[16:]


def one_more_tensor(content: bytes) -> bytes:
    return content[:8] + struct.pack("<Q", struct.unpack("<Q", content[8:16])[0] + 1) + content[16:]


def long_text(content: bytes) -> bytes:
    place = content.index(b"general.architecture") - 8
    return content[:place] + struct.pack("<Q", 1 << 62) + content[place + 8 :]


def not_text(content: bytes) -> bytes:
    return content.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_up.w\xff\xfe\xff\xfe\xff")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "no sound GGUF file"),
        (lambda content: b"GGML" + content[4:], "does not begin with GGUF"),
        (lambda content: content[:4] + struct.pack("<I", 9) + content[8:], "its version is 9"),
        (cut, "cut off: its header promises"),
        (cut_in_header, "cut off inside its header"),
        (many_tensors, "its header claims"),
        (one_more_tensor, "no sound GGUF file"),
        (long_text, "cut off inside its header"),
        (not_text, "cut off inside its header"),
    ],
)
def test_every_lie_of_a_gguf_header_is_refused(gguf_file: Path, tmp_path: Path, damage: Any, message: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(damage(gguf_file.read_bytes()))
    with pytest.raises(ModelError, match=message) as caught:
        resolve(str(path))
    assert caught.value.exit_code == 4


@pytest.mark.slow
def test_the_real_sample_answers_after_its_conversion(users_sample: Any) -> None:
    loaded = load(resolve(str(users_sample("smollm2-135m-instruct"))), torch.float32)
    assert sum(weight.numel() for weight in loaded.model.parameters()) == 134_515_008
    question = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
    ids = loaded.tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = loaded.model.generate(**ids, max_new_tokens=20, do_sample=False)
    assert "Paris" in loaded.tokenizer.decode(output[0, ids["input_ids"].shape[1] :])
    assert loaded.tokenizer.tokenize("at 12  30") == ["at", "Ġ", "1", "2", "ĠĠ", "3", "0"]
