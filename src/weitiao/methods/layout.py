"""An adapter in the layout in which PEFT opens it on the untouched base.

Separate because some methods learn in another form than they are kept in: the product of what AdaLoRA learns, and what
PiSSA and OLoRA learn less what they began with, are plain LoRA.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.adalora import SVDLinear
from torch import Tensor

from weitiao.methods.adalora import scale_of
from weitiao.models.anatomy import ADAPTER, START


def as_saved(model: PeftModel, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the adapter by PEFT's names, with ``weights`` in place of its own, and its configuration."""
    config: Any = model.peft_config[ADAPTER]
    if config.is_prompt_learning:
        return _tokens_as_calculated(model, weights), config.to_dict()
    state = {**model.state_dict(), **weights}
    if isinstance(config, AdaLoraConfig):
        return _product(model, state), _plain(config, config.init_r, config.init_r)
    if START in model.peft_config:
        return _difference(model, state), _plain(config, 2 * config.r, 2 * config.lora_alpha)
    return _of(model, state, ADAPTER), config.to_dict()


def _tokens_as_calculated(model: PeftModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rounded as the model reads them, and after the network of P-tuning, which calculates in the model's precision."""
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
    return _of(model, None, ADAPTER)


def _product(model: PeftModel, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """AdaLoRA's three matrices as two: ``B`` and ``A`` with its rows times the singular values and the scale."""
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, SVDLinear):
            down, values, up = (state[f"{name}.lora_{letter}.{ADAPTER}"].float() for letter in "AEB")
            found[f"{name}.lora_A.weight"] = down * values * scale_of(layer)
            found[f"{name}.lora_B.weight"] = up
    return found


def _difference(model: PeftModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What was learned beside what is subtracted: ``[A; A₀]`` and ``[B, -B₀]``."""
    start = _of(model, state, START)
    return {
        name: torch.cat([tensor.float(), start[name].float()], dim=0 if ".lora_A." in name else 1)
        for name, tensor in _of(model, state, ADAPTER).items()
    }


def _of(model: PeftModel, state: dict[str, Tensor] | None, adapter: str) -> dict[str, Tensor]:
    return cast(dict[str, Tensor], get_peft_model_state_dict(model, state, adapter, save_embedding_layers=False))


def _plain(config: LoraConfig, rank: int, alpha: float) -> dict[str, Any]:
    return LoraConfig(
        task_type=config.task_type,
        r=rank,
        lora_alpha=cast(int, alpha),
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
        fan_in_fan_out=config.fan_in_fan_out,
    ).to_dict()
