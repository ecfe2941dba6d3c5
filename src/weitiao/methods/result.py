"""What a run learned, written so that transformers and PEFT alone can open it.

Separate because the weights that are saved are a checkpoint's, not those that happen to be in memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from weitiao.methods.layout import as_saved
from weitiao.models.anatomy import plain
from weitiao.models.chatter import silenced
from weitiao.models.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from weitiao.models.fingerprint import weights_digest
from weitiao.models.heads import use_of
from weitiao.models.source import BASE_NOTE
from weitiao.models.whole_folder import whole_folder

_TEMPLATE = "chat_template.jinja"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    _TEMPLATE,
)


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that learn, by their names in the model; one that is used twice stands there once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def save_result(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    weights: Mapping[str, Tensor],
    base_folder: Path,
    dtype: torch.dtype,
) -> None:
    """Write ``model`` with ``weights`` (by the names of :func:`trained`) in place of its own, whole or not at all.

    A model with an adapter becomes a PEFT folder: the adapter in float32, and the base by the path and the digest of
    ``base_folder``. Any other becomes a transformers folder in ``dtype``. Both get the tokenizer's files as they are,
    its chat template and where generation stops. Raises MachineError when the disk refuses, ValueError for weights
    that the model does not have.
    """
    unknown = set(weights) - {name for name, _ in model.named_parameters()}
    if unknown:
        raise ValueError(f"weights that the model does not have: {sorted(unknown)[:3]}")
    with whole_folder(folder, replace=True) as work, silenced():
        if isinstance(model, PeftModel):
            _write_adapter(model, work, weights, base_folder)
        else:
            _write_model(model, work, weights, dtype)
        _write_tokenizer(tokenizer, work)
        if plain(model).can_generate():
            # Not save_pretrained: it refuses configurations of published models that transformers itself has loaded.
            plain(model).generation_config.to_json_file(work / "generation_config.json")


def merge(model: PeftModel) -> PreTrainedModel:
    """The plain model with the adapter in its weights: added in float32, rounded once to the weights' own type."""
    with silenced(), torch.no_grad():
        merged = cast(BaseTuner, model.base_model).merge_and_unload()
    return cast(PreTrainedModel, merged)


def _write_adapter(model: PeftModel, folder: Path, weights: Mapping[str, Tensor], base_folder: Path) -> None:
    tensors, config = as_saved(model, weights)
    whole = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    # A file of its own: more than one note in the weights' header stands in an order that changes from run to run.
    use = use_of(model)
    # PEFT keeps none.
    named = {} if use.of_vocabulary else {"categories": list(use.categories), "several": use.several}
    _write_json(folder / BASE_NOTE, {"base": weights_digest(base_folder), **named})
    stated = {"base_model_name_or_path": str(base_folder.absolute()), "inference_mode": True}
    _write_json(folder / ADAPTER_CONFIG, {**config, **stated})


def _write_model(model: PreTrainedModel, folder: Path, weights: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    state = _state(model, weights, dtype)
    with _stating_nothing(model):
        model.save_pretrained(folder, state_dict=state)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _write_json(folder / "config.json", {**config, "dtype": str(dtype).removeprefix("torch.")})


@contextmanager
def _stating_nothing(model: PreTrainedModel) -> Iterator[None]:
    """Of how text is generated; only a model that writes has that."""
    if not model.can_generate():
        yield
        return
    stated = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = stated


def _state(model: PreTrainedModel, weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Everything to save; names that share a weight share it here too, as transformers expects of tied weights."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    made: dict[int, Tensor] = {}
    state = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in made:
            value = weights.get(names.get(id(tensor), name), tensor).detach()
            made[id(tensor)] = value.to("cpu", dtype if value.is_floating_point() else value.dtype)
        state[name] = made[id(tensor)]
    return state


def _write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """The files as they were read: a tokenizer that is written anew may not be the same in another version."""
    source = Path(tokenizer.name_or_path)
    for name in _TOKENIZER_FILES:
        if tokenizer.name_or_path and (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if not (folder / "tokenizer.json").exists():
        tokenizer.save_pretrained(folder)
    if isinstance(tokenizer.chat_template, str):
        (folder / _TEMPLATE).write_text(tokenizer.chat_template, encoding="utf-8", newline="")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Sorted, so that the same result is the same file."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, default=_as_list)
    path.write_text(text + "\n", encoding="utf-8")


def _as_list(value: object) -> list[str]:
    if isinstance(value, set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
