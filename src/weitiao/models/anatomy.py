"""Where a model keeps its embeddings, blocks, final norm and head: found by structure, not by lists of names.

Separate because methods, plans and fast paths all ask, over every family that transformers has, adapter or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D

from weitiao.errors import ModelError
from weitiao.words import t

ADAPTER = "default"  # PEFT's name of a model's only adapter
START = "start"  # beside it, what an adapter began with and is subtracted; see weitiao.methods.lora
_ADDED = ("lora_", "ia3_", ".ranknum.", "prompt_encoder.")  # in the names of what an adapter adds
_SPARE = ".original_module."  # the head as it was, beside the one that learns

Model = PreTrainedModel | PeftModel


def plain(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The transformers model inside, with the adapter's layers in place where there is one."""
    if isinstance(model, PeftModel):
        return cast(PreTrainedModel, model.get_base_model())
    return model


def embeddings(model: PreTrainedModel | PeftModel) -> nn.Embedding:
    """Token ids to vectors."""
    found = plain(model).get_input_embeddings()
    if not isinstance(found, nn.Embedding):
        raise _unknown(model, t("its token embeddings"))
    return found


def head(model: PreTrainedModel | PeftModel) -> nn.Module:
    """Vectors to logits: a vocabulary's, whose weight may be the embeddings' own, or the last layer of another head."""
    inner = plain(model)
    found = inner.get_output_embeddings()
    if isinstance(found, nn.Module):
        return found
    above = [module for module in inner.children() if module is not inner.base_model]
    linear = [layer for module in above for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise _unknown(model, t("its output head"))
    return linear[-1]  # beside an adapter a head stands twice: as it was, and then as it learns


def head_width(model: PreTrainedModel | PeftModel) -> int:
    """How many logits the head gives: tokens, or categories."""
    weight = head(model).weight
    assert isinstance(weight, Tensor)
    return weight.shape[0]


def blocks(model: PreTrainedModel | PeftModel) -> nn.ModuleList:
    """The transformer blocks, bottom first: of all lists of modules the one that holds the most weights."""
    return _blocks_and_owner(model)[0]


def lowest_learning(model: PreTrainedModel | PeftModel) -> int:
    """The lowest block that gradients pass through: 0 where the embeddings learn, as many as there are for none."""
    if embeddings(model).weight.requires_grad:
        return 0
    layers = blocks(model)
    learning = (any(weight.requires_grad for weight in layer.parameters()) for layer in layers)
    return next((number for number, learns in enumerate(learning) if learns), len(layers))


def final_norm(model: PreTrainedModel | PeftModel) -> nn.Module | None:
    """The norm between the last block and the head; None where a model has none with weights."""
    found, owner = _blocks_and_owner(model)
    children = list(owner.children())
    place = children.index(found)
    # Registered after the blocks, but for OPT, which has none before them either.
    return next(filter(_is_norm, (*reversed(children[place:]), *reversed(children[:place]))), None)


def sees_both_sides(model: Model) -> bool:
    """Whether every token of the model sees all others: an encoder, which reads and does not write."""
    config = plain(model).config
    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)


def linear_names(model: PreTrainedModel | PeftModel) -> list[str]:
    """The last names of all linear layers inside the blocks, sorted: ``["down_proj", …]``. Never the head."""
    names = set()
    for name, module in blocks(model).named_modules():
        if isinstance(module, nn.Linear | Conv1D) and not _is_added(name):
            names.add(name.removesuffix(".base_layer").rpartition(".")[2])
    return sorted(names)


def parameter_count(model: PreTrainedModel | PeftModel) -> int:
    """How many numbers the model itself has: shared ones once, an adapter's not."""
    return sum(
        weight.numel() for name, weight in model.named_parameters() if not _is_added(name) and _SPARE not in name
    )


def _is_added(name: str) -> bool:
    return any(mark in name for mark in _ADDED)


def _blocks_and_owner(model: PreTrainedModel | PeftModel) -> tuple[nn.ModuleList, nn.Module]:
    found = list(_lists(plain(model)))
    if not found:
        raise _unknown(model, t("its blocks"))
    return found[0] if len(found) == 1 else max(found, key=lambda pair: sum(map(Tensor.numel, pair[0].parameters())))


def _lists(owner: nn.Module) -> Iterator[tuple[nn.ModuleList, nn.Module]]:
    """Every list of modules with its owner; none that is inside another, as experts are inside blocks."""
    for child in owner.children():
        if isinstance(child, nn.ModuleList) and len(child):
            yield child, owner
        else:
            yield from _lists(child)


def _is_norm(module: nn.Module) -> bool:
    weights = list(module.parameters())
    return bool(weights) and not list(module.children()) and all(weight.dim() == 1 for weight in weights)


def _unknown(model: PreTrainedModel | PeftModel, part: str) -> ModelError:
    return ModelError(
        t("{part} cannot be found in a {kind}", part=part, kind=type(plain(model)).__name__),
        t("it is built unlike any known model: use another one"),
    )
