"""LoRA (Hu et al., 2021, arXiv:2106.09685) and its kin: small matrices beside the linear layers learn, the model stays.

PEFT builds the layers, so that what is saved opens in PEFT, transformers and vLLM as it is. The kin differ in little:
in how the product of the matrices counts (rsLoRA, Kalajdzievski, 2023, arXiv:2312.03732; DoRA, Liu et al., 2024,
arXiv:2402.09353), in what they begin with (PiSSA, Meng et al., 2024, arXiv:2404.02948; OLoRA, Büyükakyüz, 2024,
arXiv:2406.01775), and in how fast the second matrix learns (LoRA+, Hayou et al., 2024, arXiv:2402.12354).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from weitiao.errors import SettingsError
from weitiao.models.anatomy import ADAPTER, START, blocks, embeddings, linear_names
from weitiao.models.chatter import silenced
from weitiao.models.heads import head_modules, use_of
from weitiao.models.use import TASK_TYPES
from weitiao.words import t

DEFAULT_RANK = 16
_ALPHA_OF_RSLORA = 8  # as much as LoRA's at rank 16
_OVERSAMPLED, _ITERATIONS = 8, 16  # of the randomised decomposition (Halko et al., 2011, arXiv:0909.4061)


@dataclass(frozen=True)
class Lora:
    """Matrices of ``rank`` beside each target; their product, times a scale, is added to what the target says.

    The scale is ``alpha / rank``, for rsLoRA ``alpha / √rank``. ``rank`` None is 16, ``alpha`` None twice the rank or,
    for rsLoRA, 8; a model that already has an adapter keeps that one's. ``targets`` are the last names of linear layers
    inside the blocks, or all of them. PiSSA and OLoRA begin with the largest part of each weight, and what they begin
    with is subtracted: the model says at first what it said.
    """

    rank: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    targets: Literal["all"] | tuple[str, ...] = "all"
    variant: Literal["plain", "rslora", "dora"] = "plain"
    start: Literal["zero", "pissa", "olora"] = "zero"
    ratio: float = 1.0  # how much faster the second matrices learn

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PeftModel:
        """The model with a fresh adapter, float32 whatever the model is, drawn from ``seed`` alone.

        A category head learns whole, and is saved beside the adapter.
        Raises SettingsError for a rank over the model's width and for targets that are not there.
        """
        rank = self.rank or DEFAULT_RANK
        check_rank(rank, model)
        own_head = sorted({name.rpartition(".")[2] for name in head_modules(model)})
        config = LoraConfig(
            task_type=TaskType(TASK_TYPES[use_of(model).head]),
            modules_to_save=own_head or None,
            r=rank,
            lora_alpha=cast(int, whole(self.alpha or (_ALPHA_OF_RSLORA if self.variant == "rslora" else 2 * rank))),
            lora_dropout=self.dropout,
            target_modules=targets_in(model, self.targets),
            fan_in_fan_out=transposed(model),
            use_rslora=self.variant == "rslora",
            use_dora=self.variant == "dora",
        )
        with silenced(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapted = cast(PeftModel, get_peft_model(model, config, adapter_name=ADAPTER))
            if self.start != "zero":
                _begin(adapted, self.start)
            return adapted

    def resume(self, model: PeftModel) -> PeftModel:
        """The model whose own adapter goes on learning. Raises SettingsError where that has another shape."""
        config = cast(LoraConfig, model.peft_config[ADAPTER])
        _check_same("lora_rank", self.rank, config.r)
        _check_same("lora_alpha", self.alpha, config.lora_alpha)
        if self.targets != "all":
            own = config.target_modules  # a pattern, in some adapters of others
            _check_same("lora_targets", _joined(self.targets), own if isinstance(own, str) else _joined(own or ()))
        if self.variant != "plain":
            own_variant = "dora" if config.use_dora else "rslora" if config.use_rslora else "lora"
            _check_same("method", self.variant, own_variant)
        model.set_adapter(ADAPTER)
        for name, module in list(model.named_modules()):
            if name.endswith(f".lora_dropout.{ADAPTER}"):
                _replace(model, name, nn.Dropout(self.dropout) if self.dropout else nn.Identity(), module)
        config.lora_dropout = self.dropout
        return model

    def rates(self, names: Iterable[str]) -> dict[str, float]:
        """By the names of weights that learn, how much faster than the others they do."""
        return {name: self.ratio for name in names if self.ratio != 1 and ".lora_B." in name}


def check_rank(rank: int, model: PreTrainedModel) -> None:
    """Raise SettingsError where ``rank`` is more than ``model`` is wide."""
    width = embeddings(model).embedding_dim
    if not 1 <= rank <= width:
        raise SettingsError(
            t("lora_rank is {rank}, and the model is {width} wide", rank=rank, width=width),
            t("choose from 1 to {width}; 8 to 64 is usual", width=width),
        )


def targets_in(model: PreTrainedModel, targets: Literal["all"] | tuple[str, ...]) -> list[str]:
    """The names of the linear layers that are meant. Raises SettingsError for one that is not there."""
    there = linear_names(model)
    if targets == "all":
        return there
    lost = [name for name in targets if name not in there]
    if lost or not targets:
        raise SettingsError(
            t("lora_targets: the model has no linear layer named {names}", names=", ".join(lost) or '""'),
            t("there are: {names}", names=", ".join(there)),
        )
    return sorted(set(targets))


def transposed(model: PreTrainedModel) -> bool:
    """Whether the linear layers hold their weights the other way round, as those of GPT-2 do."""
    return any(isinstance(module, Conv1D) for module in blocks(model).modules())


def whole(value: float) -> float | int:
    """``value``, as the whole number that it is."""
    return int(value) if float(value).is_integer() else value


def _begin(model: PeftModel, start: Literal["pissa", "olora"]) -> None:
    """Give the adapter the largest part of each weight, and subtract the same by a second one that never learns.

    PEFT's own way writes the difference into the model, which bfloat16 rounds, and which then is no longer the base.
    """
    model.add_adapter(START, model.peft_config[ADAPTER])
    cast(BaseTuner, model.base_model).set_adapter([ADAPTER, START])
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            _begin_layer(layer, start)


def _begin_layer(layer: Any, start: Literal["pissa", "olora"]) -> None:
    weight = layer.get_base_layer().weight.detach().float()
    oriented = weight.T if isinstance(layer.get_base_layer(), Conv1D) else weight
    rank, scale = layer.r[ADAPTER], layer.scaling[ADAPTER]
    down, up = _principal(oriented, rank, scale) if start == "pissa" else _orthogonal(oriented, rank)
    with torch.no_grad():
        for name, sign in ((ADAPTER, 1), (START, -1)):
            layer.lora_A[name].weight.copy_(down)
            layer.lora_B[name].weight.copy_(sign * up)
    layer.lora_A[START].requires_grad_(False)
    layer.lora_B[START].requires_grad_(False)


def _principal(weight: Tensor, rank: int, scale: float) -> tuple[Tensor, Tensor]:
    """The largest singular values and vectors of ``weight`` [outputs, inputs], half of each value in each matrix."""
    left, values, right = torch.svd_lowrank(weight, min(rank + _OVERSAMPLED, *weight.shape), _ITERATIONS)
    root = (values[:rank] / scale).sqrt()
    return root[:, None] * right[:, :rank].T, left[:, :rank] * root


def _orthogonal(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The first columns of an orthonormal basis of what ``weight`` returns, and what it returns in them."""
    basis, coordinates = torch.linalg.qr(weight)
    return coordinates[:rank], basis[:, :rank]


def _check_same(name: str, asked: float | str | None, own: float | str) -> None:
    if asked not in (None, own):
        raise SettingsError(
            t("{name} is {asked}, and the adapter that goes on learning has {own}", name=name, asked=asked, own=own),
            t("leave {name} out, or tune with another method, which merges the adapter first", name=name),
        )


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _replace(model: nn.Module, name: str, new: nn.Module, old: nn.Module) -> None:
    new.train(old.training)
    model.set_submodule(name, new)
