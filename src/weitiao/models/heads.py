"""The head above a model's body that answers with categories: which modules it is, and how a new one is drawn.

Separate because methods, engines and loading must mean the same modules: what a base lacks, what always learns, what is
saved beside an adapter.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from weitiao.models.anatomy import Model, blocks, plain
from weitiao.models.use import BLANKS, WORDS, Use

POOLER = "pooler"  # between BERT's body and its classifier, inside the body as transformers divides them
_SPREAD = 0.02


def use_of(model: Model) -> Use:
    """What the head of ``model`` answers."""
    inner = plain(model)
    if inner.get_output_embeddings() is not None:
        return BLANKS if type(inner).__name__.endswith("ForMaskedLM") else WORDS
    names = {int(number): str(name) for number, name in dict(inner.config.id2label or {}).items()}
    if type(inner).__name__.endswith("ForTokenClassification"):
        return Use("tokens", tuple(names[number] for number in sorted(names)))
    several = inner.config.problem_type == "multi_label_classification"
    return Use("category", tuple(names[number] for number in sorted(names)), several)


def head_modules(model: Model) -> dict[str, nn.Module]:
    """All modules with weights that a category head consists of, by name in the plain model; none for a vocabulary."""
    inner = plain(model)
    if use_of(model).of_vocabulary:
        return {}
    body = inner.base_model
    found = {name: module for name, module in inner.named_children() if module is not body}
    found |= {f"{inner.base_model_prefix}.{name}": module for name, module in body.named_children() if name == POOLER}
    return {name: module for name, module in found.items() if any(True for _ in module.parameters())}


def belongs_to_head(model: Model, weight: str) -> bool:
    """Whether ``weight``, a name in the plain model, is one of a head's that may be drawn."""
    if use_of(model) == BLANKS:
        return not weight.startswith(f"{plain(model).base_model_prefix}.")
    return any(weight.startswith(f"{name}.") for name in head_modules(model))


def below_head(model: Model) -> nn.Module:
    """What gives the hidden states that the head reads: the body, or where a pooler is part of it, what is below."""
    body = plain(model).base_model
    if not any(name.endswith(f".{POOLER}") for name in head_modules(model)):
        return body
    held = blocks(model)
    return next(module for module in body.children() if held in module.modules())


def two_way(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of several categories each is a question of its own: the pair (0, logit) for no and yes, and the right answer.

    Pairs [asked * categories, 2] of ``logits`` [asked, categories], answers [asked * categories] out of the bits of
    ``targets`` [asked]. Cross-entropy over a pair is that of a sigmoid.
    """
    pairs = torch.stack([torch.zeros_like(logits), logits], dim=-1).flatten(0, 1)
    bits = torch.arange(logits.shape[1], device=targets.device)
    return pairs, (targets[:, None] >> bits & 1).flatten()


def draw(model: Model, names: Iterable[str], seed: int) -> None:
    """Fill the weights called ``names``: matrices from a normal distribution of ``seed`` alone, norms with ones, the
    rest with zeros."""
    weights: dict[str, Tensor] = dict(plain(model).named_parameters())
    scales = {f"{name}.weight" for name, module in plain(model).named_modules() if isinstance(module, nn.LayerNorm)}
    stated = plain(model).config.to_dict().get("initializer_range")
    spread = stated if isinstance(stated, float) else _SPREAD
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in sorted(names):
            drawn = torch.randn(weights[name].shape, generator=generator) * spread
            weights[name].copy_(drawn if drawn.dim() > 1 else torch.full_like(drawn, float(name in scales)))
