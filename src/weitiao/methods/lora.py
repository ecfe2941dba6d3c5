"""LoRA (Hu et al., 2021, arXiv:2106.09685): small matrices beside the linear layers learn, the model itself stays.

PEFT builds the layers, so that what is saved opens in PEFT, transformers and vLLM as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from weitiao.errors import SettingsError
from weitiao.models.anatomy import blocks, embeddings, linear_names
from weitiao.models.chatter import silenced
from weitiao.models.heads import head_modules
from weitiao.words import t

ADAPTER = "default"  # PEFT's name of a model's only adapter
DEFAULT_RANK = 16


@dataclass(frozen=True)
class Lora:
    """Matrices of ``rank`` beside each target; their product, times ``alpha / rank``, is added to what the target says.

    ``rank`` None is 16, ``alpha`` None is twice the rank; a model that already has an adapter keeps that one's.
    ``targets`` are the last names of linear layers inside the blocks, or all of them.
    """

    rank: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    targets: Literal["all"] | tuple[str, ...] = "all"

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PeftModel:
        """The model with a fresh adapter, float32 whatever the model is, drawn from ``seed`` alone.

        A category head learns whole, and is saved beside the adapter.
        Raises SettingsError for a rank over the model's width and for targets that are not there.
        """
        rank = self.rank or DEFAULT_RANK
        width = embeddings(model).embedding_dim
        if not 1 <= rank <= width:
            raise SettingsError(
                t("lora_rank is {rank}, and the model is {width} wide", rank=rank, width=width),
                t("choose from 1 to {width}; 8 to 64 is usual", width=width),
            )
        own_head = sorted({name.rpartition(".")[2] for name in head_modules(model)})
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS if own_head else TaskType.CAUSAL_LM,
            modules_to_save=own_head or None,
            r=rank,
            lora_alpha=cast(int, 2 * rank if self.alpha is None else _whole(self.alpha)),
            lora_dropout=self.dropout,
            target_modules=self._targets(model),
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in blocks(model).modules()),
        )
        with silenced(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cast(PeftModel, get_peft_model(model, config, adapter_name=ADAPTER))

    def resume(self, model: PeftModel) -> PeftModel:
        """The model whose own adapter goes on learning. Raises SettingsError where that has another shape."""
        config = cast(LoraConfig, model.peft_config[ADAPTER])
        _check_same("lora_rank", self.rank, config.r)
        _check_same("lora_alpha", self.alpha, config.lora_alpha)
        if self.targets != "all":
            own = config.target_modules  # a pattern, in some adapters of others
            _check_same("lora_targets", _joined(self.targets), own if isinstance(own, str) else _joined(own or ()))
        model.set_adapter(ADAPTER)
        for name, module in list(model.named_modules()):
            if name.endswith(f".lora_dropout.{ADAPTER}"):
                _replace(model, name, nn.Dropout(self.dropout) if self.dropout else nn.Identity(), module)
        config.lora_dropout = self.dropout
        return model

    def _targets(self, model: PreTrainedModel) -> list[str]:
        there = linear_names(model)
        if self.targets == "all":
            return there
        lost = [name for name in self.targets if name not in there]
        if lost or not self.targets:
            raise SettingsError(
                t("lora_targets: the model has no linear layer named {names}", names=", ".join(lost) or '""'),
                t("there are: {names}", names=", ".join(there)),
            )
        return sorted(set(self.targets))


def _check_same(name: str, asked: float | str | None, own: float | str) -> None:
    if asked not in (None, own):
        raise SettingsError(
            t("{name} is {asked}, and the adapter that goes on learning has {own}", name=name, asked=asked, own=own),
            t("leave {name} out, or tune with another method, which merges the adapter first", name=name),
        )


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _replace(model: nn.Module, name: str, new: nn.Module, old: nn.Module) -> None:
    new.train(old.training)
    model.set_submodule(name, new)
