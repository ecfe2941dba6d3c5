"""Which blocks have BERT's pattern (arXiv:1810.04805), and where its families and heads keep their parts.

A norm stands behind each half of a block and in the stream. Seen from the block above it stands before: the norm behind
a block's unit is the first of the next one, the embeddings' own that of the lowest, and the last block's the final one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from weitiao.models.anatomy import ADAPTER, Model, blocks, plain
from weitiao.models.fast.norm import LayerNorm
from weitiao.models.fast.parts import Embeddings, HeadParts, Parts, Skeleton, UnlikeError, simple
from weitiao.models.fast.unit import Gelu

FAMILIES = {  # whether positions are counted from behind the padding's number, and the heads built as RoBERTa's
    "BertLayer": False,
    "RobertaLayer": True,
    "XLMRobertaLayer": True,
    "CamembertLayer": True,
}


def encoder_skeleton(model: Model) -> Skeleton:
    """The parts of ``model``, an encoder under a head. Raises UnlikeError."""
    inner: Any = plain(model)
    layers: Any = blocks(model)
    roberta = FAMILIES[type(layers[0]).__name__]
    config = inner.config.to_dict()
    if config.get("is_decoder"):
        raise UnlikeError("is_decoder")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise UnlikeError(config["position_embedding_type"])
    if config.get("hidden_act") != "gelu":
        raise UnlikeError(str(config.get("hidden_act")))
    base = inner.base_model
    norms = [base.embeddings.LayerNorm, *(layer.output.LayerNorm for layer in layers)]
    return Skeleton(
        _embeddings(base.embeddings, config["pad_token_id"] + 1 if roberta else 0),
        None,
        [_parts(layer, _norm(first)) for layer, (first, _) in zip(layers, pairwise(norms), strict=True)],
        _norm(norms[-1]),
        _roberta_head(inner) if roberta else _bert_head(inner),
    )


def _parts(layer: Any, before_attention: LayerNorm) -> Parts:
    attention = layer.attention.self
    return Parts(
        queries=[simple(each) for each in (attention.query, attention.key, attention.value)],
        output=simple(layer.attention.output.dense),
        gates=[simple(layer.intermediate.dense)],
        down=simple(layer.output.dense),
        unit=Gelu(),
        before_attention=before_attention,
        before_unit=_norm(layer.attention.output.LayerNorm),
        key_heads=int(attention.num_attention_heads),
        group=1,
        depth=int(attention.attention_head_size),
        scale=float(attention.scaling),
        causal=False,
    )


def _embeddings(module: Any, first_position: int) -> Embeddings:
    tables = (module.word_embeddings, module.position_embeddings, module.token_type_embeddings)
    if any(type(table) is not nn.Embedding for table in tables):
        raise UnlikeError("embeddings")
    return Embeddings(*tables, first_position)


def _norm(module: Any) -> LayerNorm:
    if type(module) is not nn.LayerNorm or module.weight is None or module.bias is None:
        raise UnlikeError(type(module).__name__)
    return LayerNorm(module.weight, module.bias, module.eps)


def _bert_head(model: Any) -> HeadParts:
    match _task(model):
        case "SequenceClassification":
            pooler = _active(model.base_model.pooler)
            return HeadParts(_linear(model.classifier), lambda hidden: pooler(hidden[:, None]))
        case "TokenClassification":
            return HeadParts(_linear(model.classifier))
        case _:
            return HeadParts(_linear(model.cls.predictions.decoder), model.cls.predictions.transform)


def _roberta_head(model: Any) -> HeadParts:
    match _task(model):
        case "SequenceClassification":
            given = _active(model.classifier)
            return HeadParts(_linear(given.out_proj), lambda hidden: torch.tanh(given.dense(hidden)))
        case "TokenClassification":
            return HeadParts(_linear(model.classifier))
        case _:
            found = model.lm_head
            return HeadParts(_linear(found.decoder), lambda hidden: _transformed(found, hidden))


def _transformed(head: Any, hidden: Tensor) -> Tensor:
    made: Tensor = head.layer_norm(nn.functional.gelu(head.dense(hidden)))
    return made


def _task(model: nn.Module) -> str:
    task = type(model).__name__.rpartition("For")[2]
    if task not in ("SequenceClassification", "TokenClassification", "MaskedLM"):
        raise UnlikeError(type(model).__name__)
    return task


def _active(module: nn.Module) -> Any:
    """The copy that PEFT trains beside an adapter, where there is one."""
    return module.modules_to_save[ADAPTER] if isinstance(module, ModulesToSaveWrapper) else module


def _linear(module: nn.Module) -> nn.Linear:
    found = _active(module)
    if type(found) is not nn.Linear:
        raise UnlikeError("head")
    return found
