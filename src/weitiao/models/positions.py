"""GLM's two positions of a token, in the text and inside a blank, for any model that turns its heads by rotation.

Every second frequency turns by the sum of both, the others by the first alone. So a text without blanks is read exactly
as by the model itself, and no weight is added. Why: docs/decisions/0018.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from weitiao.errors import ModelError
from weitiao.words import t

_NAME = "rotary_emb"


@contextmanager
def inside_blanks(model: PreTrainedModel, within: Tensor) -> Iterator[None]:
    """Passes made inside have ``within`` [rows, length] as second positions, besides those that they are told."""
    rotations = rotations_of(model)
    if not rotations:
        raise ModelError(
            t("a {kind} has no rotary positions, and so none inside a blank", kind=type(model).__name__),
            t("use objective causal or prefix, or a model of the Llama pattern"),
        )

    def turn(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], given: Any) -> tuple[Tensor, ...]:
        arguments = dict(zip(("x", "position_ids", "layer_type"), inputs, strict=False)) | named
        arguments["position_ids"] = arguments["position_ids"] + within
        return tuple(map(_interleaved, given, module.forward(**arguments)))

    with ExitStack() as stack:
        for rotation in rotations:
            stack.callback(rotation.register_forward_hook(turn, with_kwargs=True).remove)
        yield


def rotations_of(model: PreTrainedModel) -> list[nn.Module]:
    """The modules that make the angles of rotation."""
    return [module for name, module in model.named_modules() if name.rpartition(".")[2] == _NAME]


def _interleaved(first: Tensor, second: Tensor) -> Tensor:
    """[…, width] whose halves hold the same frequencies: of each half, every other one of ``second``."""
    odd = torch.arange(first.shape[-1] // 2, device=first.device) % 2 == 1
    return torch.where(torch.cat([odd, odd]), second, first)
