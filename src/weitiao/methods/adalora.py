"""AdaLoRA (Zhang et al., 2023, arXiv:2303.10512): LoRA in singular values, the least important of which are taken away.

Layers that need more keep more. The taking away is :mod:`weitiao.training.budget`'s. What is learned in the end is a
product of two matrices, and is saved as plain LoRA.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from peft import AdaLoraConfig, LoraConfig, PeftModel, TaskType, get_peft_model
from peft.tuners.adalora import SVDLinear
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor
from transformers import PreTrainedModel

from weitiao.errors import SettingsError
from weitiao.methods.lora import DEFAULT_RANK, check_rank, targets_in, transposed, whole
from weitiao.models.anatomy import ADAPTER
from weitiao.models.chatter import silenced
from weitiao.words import t

_AT_FIRST = 1.5  # times the rank that is left on average, as the paper has it


@dataclass(frozen=True)
class AdaLora:
    """Half as much again as ``rank`` at first, ``rank`` on average in the end. Else as :class:`Lora`."""

    rank: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    targets: Literal["all"] | tuple[str, ...] = "all"

    @property
    def final_rank(self) -> int:
        """What is left on average."""
        return self.rank or DEFAULT_RANK

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PeftModel:
        """The model with a fresh adapter, drawn from ``seed`` alone. Raises SettingsError as :meth:`Lora.adapt`."""
        check_rank(self.final_rank, model)
        return self._adapted(model, math.ceil(_AT_FIRST * self.final_rank), targets_in(model, self.targets), seed)

    def resume(self, model: PeftModel) -> PeftModel:
        """A LoRA adapter goes on learning in its singular values. Raises SettingsError for a DoRA."""
        config = cast(LoraConfig, model.peft_config[ADAPTER])
        if config.use_dora or isinstance(config.target_modules, str):
            raise SettingsError(
                t("method adalora cannot go on with this adapter"), t("use method lora, which goes on with any LoRA")
            )
        parts = {name: _decomposed(layer) for name, layer in model.named_modules() if isinstance(layer, LoraLinear)}
        plain = cast(PreTrainedModel, cast(BaseTuner, model.base_model).unload())
        adapted = self._adapted(plain, config.r, sorted(config.target_modules or ()), 0)
        for name, layer in adapted.named_modules():
            if isinstance(layer, SVDLinear):
                _take(layer, *parts[name])
        return adapted

    def _adapted(self, model: PreTrainedModel, rank: int, targets: list[str], seed: int) -> PeftModel:
        config = AdaLoraConfig(
            task_type=TaskType.CAUSAL_LM,
            init_r=rank,
            target_r=self.final_rank,
            tinit=0,
            tfinal=1,
            total_step=2,  # PEFT's own schedule, which is not used
            lora_alpha=cast(int, 2 * self.final_rank if self.alpha is None else whole(self.alpha)),
            lora_dropout=self.dropout,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
        )
        with silenced(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cast(PeftModel, get_peft_model(model, config, adapter_name=ADAPTER))


def scale_of(layer: SVDLinear) -> float:
    """What the product of the three matrices is multiplied by, to the last bit as PEFT does."""
    return float(layer.scaling[ADAPTER] / (layer.ranknum[ADAPTER].float() + 1e-5))


def _take(layer: Any, left: Tensor, values: Tensor, right: Tensor) -> None:
    there = slice(len(values))  # fewer than the rank where the layer itself is narrower
    with torch.no_grad():
        layer.lora_A[ADAPTER][there] = right
        layer.lora_E[ADAPTER][there, 0] = values / scale_of(layer)
        layer.lora_B[ADAPTER][:, there] = left


def _decomposed(layer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What the adapter adds to its weight, as orthonormal columns, singular values and orthonormal rows."""
    down, up = layer.lora_A[ADAPTER].weight.detach().float(), layer.lora_B[ADAPTER].weight.detach().float()
    left, upper = torch.linalg.qr(up)
    right, lower = torch.linalg.qr(down.T)
    inner_left, values, inner_right = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    return left @ inner_left, values * layer.scaling[ADAPTER], inner_right @ right.T
