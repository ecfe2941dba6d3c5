"""Loading: a checked source becomes a model and a tokenizer, or one clear error.

Separate because this is where transformers and PEFT open what :mod:`weitiao.models.files` let pass, and where their
warnings become errors: a tensor that is missing, extra, of another shape or not finite; an adapter that does not fit.
Nothing is fetched from a hub, no code of a model's folder runs, and no random state is touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from peft import (
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
)

from weitiao.errors import MachineError, ModelError
from weitiao.models.anatomy import embeddings
from weitiao.models.chatter import silenced
from weitiao.models.dropout import without_dropout
from weitiao.models.files import (
    ADAPTER_WEIGHTS,
    TOKEN_KINDS,
    check_adapter,
    check_folder,
    inspect_safetensors,
    read_object,
    weight_files,
)
from weitiao.models.heads import POOLER, belongs_to_head, draw, head_modules
from weitiao.models.source import ModelSource
from weitiao.models.use import BLANKS, TASK_TYPES, Head, Use, head_settings, needs_words, own_use
from weitiao.words import t

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

# For each head transformers' class, and the architectures that have it.
_CLASSES: dict[Head, tuple[Any, Mapping[str, Any]]] = {
    "words": (AutoModelForCausalLM, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    "blanks": (AutoModelForMaskedLM, MODEL_FOR_MASKED_LM_MAPPING_NAMES),
    "category": (AutoModelForSequenceClassification, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
    "tokens": (AutoModelForTokenClassification, MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES),
}


@dataclass
class Loaded:
    """A model in memory, in evaluation mode, and what it was loaded from."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What for, and from which seed a head is drawn that the files do not have; None where they must have it."""

    use: Use
    seed: int | None


def load(
    source: ModelSource, dtype: torch.dtype, trainable_adapter: bool = False, use: Use | None = None, seed: int = 0
) -> Loaded:
    """The model of ``source`` in ``dtype`` on the CPU; an adapter's own weights are float32 whatever the model's are.

    ``use`` None is what the files are made for. A head that they lack, or whose categories are others, is drawn from
    ``seed``. Weights in the file's own type are mapped, not copied. Raises ModelError for anything that does not fit
    together.
    """
    check_folder(source.folder)
    own = own_use(source)
    if use is None:
        use = own or Use()
    if use.head == "words":
        needs_words(source)
    wanted = _Wanted(use, None if use == own else seed)
    with silenced(), torch.random.fork_rng(devices=[]):
        tokenizer = load_tokenizer(source.tokenizer_folder)
        brought = source.adapter is not None and use == own and not use.of_vocabulary  # the head, by the adapter
        whole = _load_model(source.folder, dtype, _Wanted(use, seed) if brought else wanted, tokenizer)
        model = whole if source.adapter is None else _load_adapter(whole, source.adapter, trainable_adapter, wanted)
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


def _load_model(
    folder: Path, dtype: torch.dtype, wanted: _Wanted, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    config = _configuration(folder, wanted.use, tokenizer)
    kind, _ = _CLASSES[wanted.use.head]
    try:
        _check_described(folder, config, kind)
        loaded: Any = kind.from_pretrained(
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
    found = {kind: {_name(name) for name in names} for kind, names in loaded[1].items()}
    if wanted.use == BLANKS:  # published files hold the pooler, and the head of BERT's other task
        found["unexpected_keys"] = {name for name in found["unexpected_keys"] if _in_body(model, name)}
    if wanted.seed is not None:
        lacking = {name for name in found["missing_keys"] | found["mismatched_keys"] if belongs_to_head(model, name)}
        draw(model, lacking, wanted.seed)
        others = {name for name in found["unexpected_keys"] if not _in_body(model, name)}
        found = {kind: names - lacking - others for kind, names in found.items()}
    _check_complete(folder, found)
    return model


def _in_body(model: PreTrainedModel, name: str) -> bool:
    """Whether ``name``, which the model has no place for, is of its body: not of the head that the folder has."""
    parts = name.removeprefix(f"{model.base_model_prefix}.").split(".")
    below = {child for child, _ in model.base_model.named_children()} - {POOLER}
    return parts[0] in below or (name.startswith(f"{model.base_model_prefix}.") and parts[0] != POOLER)


def _name(found: Any) -> str:
    """Of a tensor; those of another shape come with both shapes."""
    return str(found[0] if isinstance(found, tuple) else found)


def _configuration(folder: Path, use: Use, tokenizer: PreTrainedTokenizerBase) -> Any:
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
    if config.model_type not in _CLASSES[use.head][1]:
        if use.head == "words":
            problem = t("{folder} is a {kind}, which does not write text", folder=folder, kind=config.model_type)
            raise ModelError(problem, t("use a causal language model"))
        if use.head == "blanks":
            problem = t("{folder} is a {kind}, which fills no blanks", folder=folder, kind=config.model_type)
            raise ModelError(problem, t("use objective causal, or another model"))
        problem = t("{folder} is a {kind}, which has no category head", folder=folder, kind=config.model_type)
        raise ModelError(problem, t("transformers has none for it: use head: words, or another model"))
    if not use.of_vocabulary:
        _set_head(config, use, tokenizer)
    without_dropout(config)
    return config


def _set_head(config: Any, use: Use, tokenizer: PreTrainedTokenizerBase) -> None:
    for name, value in head_settings(use).items():
        setattr(config, name, value)
    if "classifier_pooling" in config.to_dict():  # ModernBERT's may be a mean over all tokens
        config.classifier_pooling = "cls"
    # Where a text ends transformers knows by the padding, so both must mean the same one.
    padding = tokenizer.pad_token_id
    config.get_text_config().pad_token_id = tokenizer.eos_token_id if padding is None else padding


def _check_described(folder: Path, config: Any, kind: Any) -> None:
    """What config.json describes is compared with what the files hold before any memory is taken for it."""
    held = sum(prod(tensor.shape) for tensors in weight_files(folder).values() for tensor in tensors.values())
    with torch.device("meta"):
        empty = kind.from_config(config)
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


def _check_complete(folder: Path, found: Mapping[str, Set[str]]) -> None:
    for kind, problem in (
        ("mismatched_keys", t("tensors have another shape than config.json says")),
        ("missing_keys", t("tensors are missing")),
        ("unexpected_keys", t("tensors are there that the model has no place for")),
        ("error_msgs", t("tensors cannot be read")),
    ):
        names = sorted(found[kind])
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


def _load_adapter(model: PreTrainedModel, adapter: Path, trainable: bool, wanted: _Wanted) -> PeftModel:
    config = check_adapter(adapter)
    names = set(inspect_safetensors(adapter / ADAPTER_WEIGHTS))
    _check_modules(model, adapter, names)
    try:
        if wanted.seed is not None:
            return _with_new_head(model, adapter, trainable, wanted.use.head)
        learns = trainable and config["peft_type"] not in TOKEN_KINDS  # those learn without the network that made them
        wrapped = PeftModel.from_pretrained(model, str(adapter), is_trainable=learns, torch_device="cpu")
        expected = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    except ModelError:
        raise
    except Exception as error:  # PEFT's ways of saying that shapes or names do not fit
        raise _misfit(adapter, model, _reason(error)) from error
    if names != expected:
        raise _misfit(adapter, model, _few(sorted(names ^ expected)))
    if not names:
        raise _misfit(adapter, model, t("it is empty; it is for {modules}", modules=config.get("target_modules")))
    return wrapped


def _with_new_head(model: PreTrainedModel, adapter: Path, trainable: bool, head: Head) -> PeftModel:
    """The adapter of another head: its matrices alone; the head beside them is the model's, which was drawn anew."""
    config = PeftConfig.from_pretrained(str(adapter))
    config.task_type, config.inference_mode = TASK_TYPES[head], not trainable
    config.modules_to_save = sorted(name.rpartition(".")[2] for name in head_modules(model))
    wrapped = get_peft_model(model, config)
    matrices = {name: tensor for name, tensor in load_file(adapter / ADAPTER_WEIGHTS).items() if ".lora_" in name}
    fresh = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    differing = set(matrices) ^ {name for name in fresh if ".lora_" in name}
    if differing:
        raise _misfit(adapter, model, _few(sorted(differing)))
    set_peft_model_state_dict(wrapped, {**fresh, **matrices})
    return wrapped


def _check_modules(model: PreTrainedModel, adapter: Path, names: set[str]) -> None:
    modules = {name for name, _ in model.named_modules()}
    inside = [re.split(r"\.(?:lora|ia3)_", name.removeprefix("base_model.model.")) for name in names]
    meant = {parts[0] for parts in inside if len(parts) > 1}
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
