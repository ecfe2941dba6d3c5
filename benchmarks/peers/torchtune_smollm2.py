"""SmolLM2 for torchtune, which does not know it: Qwen2 with biases of zero, and its chat format."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
_SHAPE: dict[str, Any] = {
    "vocab_size": 49152,
    "num_layers": 30,
    "num_heads": 9,
    "num_kv_heads": 3,
    "embed_dim": 576,
    "intermediate_dim": 1536,
    "max_seq_len": 8192,
    "norm_eps": 1e-5,
    "rope_base": 100000.0,
    "tie_word_embeddings": True,
    "attn_dropout": 0.0,
}


def full() -> Any:
    """The model, every weight of it trained."""
    from torchtune.models.qwen2._component_builders import qwen2

    return qwen2(**_SHAPE)


def lora(lora_attn_modules: Sequence[str], apply_lora_to_mlp: bool, lora_rank: int, lora_alpha: float) -> Any:
    """The model with LoRA."""
    from torchtune.models.qwen2._component_builders import lora_qwen2

    return lora_qwen2(list(lora_attn_modules), apply_lora_to_mlp, lora_rank=lora_rank, lora_alpha=lora_alpha, **_SHAPE)


class ChatTokenizer:
    """Chats to tokens, and which of them are not learned; what torchtune calls a model tokenizer."""

    def __init__(self, path: str, max_seq_len: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(path)
        self.max_seq_len = max_seq_len
        self.pad_id = self._tokenizer.token_to_id("<|im_end|>")

    def __call__(self, sample: Mapping[str, Any], inference: bool = False) -> dict[str, Any]:
        """A sample with ``messages`` becomes one with ``tokens`` and ``mask``."""
        parts = [(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", True)]
        for message in sample["messages"]:
            parts += [(f"<|im_start|>{message.role}\n", True), (f"{message.text_content}<|im_end|>", message.masked)]
            parts.append(("\n", True))
        tokens: list[int] = []
        mask: list[bool] = []
        for text, masked in parts:
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
            tokens += ids
            mask += [masked] * len(ids)
        return {"tokens": tokens[: self.max_seq_len], "mask": mask[: self.max_seq_len]}


def convert(source: Path, folder: Path) -> Path:
    """The model's folder with biases of zero in it, made the first time."""
    if not (folder / "model.safetensors").exists():
        import torch
        from safetensors.torch import load_file, save_file

        folder.mkdir(parents=True, exist_ok=True)
        for file in source.glob("*.json"):
            shutil.copy(file, folder)
        tensors = load_file(source / "model.safetensors")
        for name in [name for name in tensors if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight"))]:
            tensors[name.replace(".weight", ".bias")] = torch.zeros(tensors[name].shape[0])
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"] == _SHAPE["embed_dim"]
    return folder
