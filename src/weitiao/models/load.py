"""Loading: a checked source becomes a model and a tokenizer, or one clear error.

Separate because this is where transformers and PEFT open what :mod:`weitiao.models.files` let pass, and where their
warnings become errors: a tensor that is missing, extra, of another shape or not finite; an adapter that does not fit.
Nothing is fetched from a hub, no code of a model's folder runs, and no random state is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from weitiao.errors import MachineError, ModelError
from weitiao.models.anatomy import embeddings
from weitiao.models.chatter import silenced
from weitiao.models.dropout import without_dropout
from weitiao.models.files import (
    ADAPTER_WEIGHTS,
    check_adapter,
    check_folder,
    inspect_safetensors,
    read_object,
    weight_files,
)
from weitiao.models.source import ModelSource
from weitiao.words import t

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


@dataclass
class Loaded:
    """A model in memory, in evaluation mode, and what it was loaded from."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource


def load(source: ModelSource, dtype: torch.dtype, trainable_adapter: bool = False) -> Loaded:
    """The model of ``source`` in ``dtype`` on the CPU; an adapter's own weights are float32 whatever the model's are.

    Weights in the file's own type are mapped, not copied. Raises ModelError for anything that does not fit together.
    """
    check_folder(source.folder)
    with silenced(), torch.random.fork_rng(devices=[]):
        whole = _load_model(source.folder, dtype)
        tokenizer = load_tokenizer(source.tokenizer_folder)
        model = whole if source.adapter is None else _load_adapter(whole, source.adapter, trainable_adapter)
    _check_finite(model, source)
    _check_vocabulary(model, tokenizer, source)
    return Loaded(model, tokenizer, source)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer in ``folder``. Raises ModelError."""
    try:
        with silenced():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **_LOCAL)
    except Exception as error:  # the Rust library raises plain Exception
        raise _unreadable(folder, t("its tokenizer"), error) from error
    if not tokenizer.is_fast:
        raise ModelError(
            t("{folder} has no fast tokenizer", folder=folder),
            t("save the model's fast tokenizer into the folder with transformers: tokenizer.save_pretrained(folder)"),
        )
    return tokenizer


def _load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    config = _configuration(folder)
    try:
        _check_described(folder, config)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            # torch's flash attention on a CPU costs a quarter of a training step more than plain products (docs/log.md)
            attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are reported below, with their names
            output_loading_info=True,
            **_LOCAL,
        )
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged file makes transformers trip over
        raise _unreadable(folder, t("its weights"), error) from error
    model: PreTrainedModel = loaded[0]
    _check_complete(folder, loaded[1])
    return model


def _configuration(folder: Path) -> Any:
    kind = read_object(folder / "config.json")["model_type"]
    if kind not in CONFIG_MAPPING_NAMES:
        raise ModelError(
            t("{folder}: transformers does not know the model type {kind}", folder=folder, kind=kind[:80]),
            t("a newer transformers may know it: pip install --upgrade transformers"),
        )
    try:
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
    except Exception as error:  # values that the type refuses
        raise _unreadable(folder, "config.json", error) from error
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            t("{folder} is a {kind}, which does not write text", folder=folder, kind=config.model_type),
            t("use a causal language model"),
        )
    without_dropout(config)
    return config


def _check_described(folder: Path, config: Any) -> None:
    """What config.json describes is compared with what the files hold before any memory is taken for it."""
    held = sum(prod(tensor.shape) for tensors in weight_files(folder).values() for tensor in tensors.values())
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    described = sum(weight.numel() for weight in empty.parameters())
    if described > 2 * held:  # a little more is a missing tensor, which is reported by name
        raise ModelError(
            t(
                "{folder}: config.json describes {described} weights, the files hold {held}",
                folder=folder,
                described=described,
                held=held,
            ),
            t("fetch the model again"),
        )


def _check_complete(folder: Path, found: dict[str, Any]) -> None:
    for kind, problem in (
        ("mismatched_keys", t("tensors have another shape than config.json says")),
        ("missing_keys", t("tensors are missing")),
        ("unexpected_keys", t("tensors are there that the model has no place for")),
        ("error_msgs", t("tensors cannot be read")),
    ):
        names = sorted(str(name[0] if isinstance(name, tuple) else name) for name in found[kind])
        if names:
            raise ModelError(
                t(
                    "{folder}: {problem}: {names} ({count})",
                    folder=folder,
                    problem=problem,
                    names=_few(names),
                    count=len(names),
                ),
                t("config.json and the weights are of different models, or something is left out: fetch it again"),
            )


def _load_adapter(model: PreTrainedModel, adapter: Path, trainable: bool) -> PeftModel:
    config = check_adapter(adapter)
    names = set(inspect_safetensors(adapter / ADAPTER_WEIGHTS))
    _check_modules(model, adapter, names)
    try:
        wrapped = PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable, torch_device="cpu")
        expected = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    except Exception as error:  # PEFT's ways of saying that shapes or names do not fit
        raise _misfit(adapter, model, _reason(error)) from error
    if names != expected:
        raise _misfit(adapter, model, _few(sorted(names ^ expected)))
    if not names:
        raise _misfit(adapter, model, t("it is empty; it is for {modules}", modules=config.get("target_modules")))
    return wrapped


def _check_modules(model: PreTrainedModel, adapter: Path, names: set[str]) -> None:
    modules = {name for name, _ in model.named_modules()}
    meant = {name.removeprefix("base_model.model.").split(".lora_")[0] for name in names if ".lora_" in name}
    lost = sorted(meant - modules)
    if lost:
        raise _misfit(adapter, model, t("no module {names} in it", names=_few(lost)))


def _check_finite(model: PreTrainedModel | PeftModel, source: ModelSource) -> None:
    for name, weight in model.named_parameters():
        # A sum is thirty times quicker than looking at each, and not finite whenever one of them is not.
        if not bool(torch.isfinite(weight.detach().sum())) and not bool(torch.isfinite(weight.detach()).all()):
            raise ModelError(
                t("{model}: tensor {name} holds NaN or infinity", model=source.name, name=name),
                t("the file is damaged or its training failed: fetch the model again, or take an earlier one"),
            )


def _check_vocabulary(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, source: ModelSource
) -> None:
    rows = embeddings(model).num_embeddings
    over = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    named = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    added = tokenizer.added_tokens_decoder
    for number, token in sorted(over.items()):
        # Gemma 3 has a control token for pictures over its text models' vocabulary; no text ever becomes it.
        unused = number in added and added[number].special and token not in str(tokenizer.chat_template or "")
        if not unused or number in named:
            raise ModelError(
                t(
                    "{model}: the tokenizer gives {token} the id {id}, and the model knows {count}",
                    model=source.name,
                    token=token,
                    id=number,
                    count=rows,
                ),
                t("tokenizer and model are of different models: fetch both again"),
            )


def _unreadable(folder: Path, part: str, error: Exception) -> MachineError | ModelError:
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return MachineError(
            t("{folder} does not fit into memory", folder=folder), t("use a smaller model, or precision bf16")
        )
    return ModelError(
        t("{folder}: {part} cannot be loaded: {reason}", folder=folder, part=part, reason=_reason(error)),
        t("fetch the model again; a newer transformers may know it: pip install --upgrade transformers"),
    )


def _misfit(adapter: Path, model: PreTrainedModel, reason: str) -> ModelError:
    return ModelError(
        t(
            "the adapter {adapter} does not fit the model {model}: {reason}",
            adapter=adapter,
            model=model.name_or_path,
            reason=reason,
        ),
        t("write the folder of its own base into base_model_name_or_path of its adapter_config.json"),
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
