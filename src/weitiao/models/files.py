"""Model folders, checked before anything in them is believed.

Separate from loading because these checks need no torch, take milliseconds, and must come first: what transformers or
PEFT would read is looked at here before they open it. Nothing here, and nothing that passes, runs code of the folder.
"""

from __future__ import annotations

import stat
from math import prod
from pathlib import Path
from typing import Any

from weitiao.errors import ModelError
from weitiao.models.header import TensorInfo, inspect_safetensors, read_json
from weitiao.words import t

__all__ = [
    "TensorInfo",
    "check_adapter",
    "check_folder",
    "inspect_safetensors",
    "read_object",
    "weight_files",
]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TOKEN_KINDS = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")  # adapters that are virtual tokens
ADAPTER_KINDS = ("LORA", "IA3", *TOKEN_KINDS)
_JSON_LIMIT = 64 << 20  # bytes; the index of a very large model has about 10 MB
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# What config.json may ask of transformers that reads other files, other repositories, or other kinds of weights.
_FOREIGN = ("transformers_weights", "fusion_config", "quantization_config", "compression_config")
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def check_folder(folder: Path) -> None:
    """Check that ``folder`` is a whole model in transformers' layout with safetensors weights. Raises ModelError."""
    _check_entries(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(t("{folder} has no config.json", folder=folder), _what_it_is(folder))
    config = _checked_config(folder / "config.json")
    parts = weight_files(folder)
    _check_sizes(folder, config, [tensor for tensors in parts.values() for tensor in tensors.values()])
    _check_tokenizer(folder)
    if (folder / ADAPTER_CONFIG).exists():
        raise ModelError(
            t("{folder} holds both a model and an adapter", folder=folder), t("keep the adapter in a folder of its own")
        )


def check_adapter(folder: Path) -> dict[str, Any]:
    """Check that ``folder`` is a PEFT adapter in safetensors; returns its configuration. Raises ModelError."""
    _check_entries(folder)
    config = read_object(folder / ADAPTER_CONFIG)
    _refuse_code(folder / ADAPTER_CONFIG, config)
    if config.get("peft_type") not in ADAPTER_KINDS:
        raise ModelError(
            t("{path} is an adapter of kind {kind}", path=folder, kind=config.get("peft_type")),
            t(
                "adapters of these kinds can be used: {kinds}; merge it into its base with PEFT, and use the result",
                kinds=", ".join(ADAPTER_KINDS),
            ),
        )
    if config.get("megatron_config") is not None:  # PEFT would import whatever module the file names
        raise ModelError(
            t("{path} asks for code that is not part of PEFT: {field}", path=folder, field="megatron_config"),
            t("remove that field if you trust the adapter"),
        )
    if not (folder / ADAPTER_WEIGHTS).exists():
        _refuse_missing_weights(folder)
    tensors = inspect_safetensors(folder / ADAPTER_WEIGHTS)
    if config["peft_type"] in TOKEN_KINDS:
        _check_virtual_tokens(folder, config, tensors)
    if (folder / "tokenizer.json").exists():
        _check_tokenizer(folder)
    return config


def kind_of_adapter(adapter: Path | None) -> str:
    """As PEFT calls it; empty for none."""
    return str(check_adapter(adapter)["peft_type"]) if adapter else ""


def virtual_tokens_of(adapter: Path | None) -> int:
    """How many tokens of the context the adapter takes for itself."""
    stated = check_adapter(adapter) if adapter else {}
    return int(stated["num_virtual_tokens"]) if stated.get("peft_type") in TOKEN_KINDS else 0


def weight_files(folder: Path) -> dict[Path, dict[str, TensorInfo]]:
    """The tensors of the model's safetensors files, headers checked, parts as their index says. Raises ModelError."""
    if (folder / WEIGHTS).exists():  # transformers looks for this one first
        tensors = inspect_safetensors(folder / WEIGHTS)
        if not tensors:
            raise ModelError(t("{path} holds no tensors", path=folder / WEIGHTS), t("fetch the model again"))
        return {folder / WEIGHTS: tensors}
    if not (folder / INDEX).exists():
        _refuse_missing_weights(folder)
    listed = _read_index(folder / INDEX)
    files = sorted({folder / name for name in listed.values()})
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise ModelError(
            t("{folder} is only part of a model: {files} missing", folder=folder, files=", ".join(missing[:5])),
            t("fetch the missing files, or fetch the model again"),
        )
    parts = {file: inspect_safetensors(file) for file in files}
    for file, held in parts.items():
        different = sorted(set(held) ^ {name for name, part in listed.items() if part == file.name})
        if different:
            raise ModelError(
                t("{file} does not hold what {index} says: {names}", file=file, index=INDEX, names=_few(different)),
                t("the parts are of different models or were not all fetched: fetch the model again"),
            )
    return parts


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, with no name twice in it. Raises ModelError."""
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise ModelError(t("{path} is larger than any real one", path=path), t("fetch the model again"))
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError(
            t("{path} cannot be read: {reason}", path=path, reason=error.strerror), t("check the folder and its rights")
        ) from error
    value = read_json(path, raw)
    if not isinstance(value, dict):
        raise ModelError(t("{path} is not a JSON object", path=path), t("fetch the model again"))
    return value


def _check_entries(folder: Path) -> None:
    """Every file is an ordinary one and lies inside the folder, or inside the same hub cache directory."""
    if not folder.is_dir():
        raise ModelError(t("there is no folder {folder}", folder=folder), t("check the path"))
    root = folder.resolve()
    allowed = [root]
    if root.parent.name == "snapshots" and root.parent.parent.name.startswith("models--"):
        allowed.append(root.parent.parent / "blobs")
    for entry in (*folder.iterdir(), *folder.glob("additional_chat_templates/*")):
        try:
            target = entry.resolve(strict=True)
            mode = target.stat().st_mode
        except (OSError, RuntimeError):
            raise ModelError(
                t("{path} is a link to nothing", path=entry), t("remove it, or fetch the model again")
            ) from None
        if not any(target.is_relative_to(place) for place in allowed):
            raise ModelError(
                t("{path} is a link that leaves the folder, to {target}", path=entry, target=target),
                t("put the file itself into the folder if you trust it"),
            )
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ModelError(t("{path} is not an ordinary file", path=entry), t("remove it"))


def _checked_config(path: Path) -> dict[str, Any]:
    config = read_object(path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise ModelError(t("{path} names no model_type", path=path), t("it is not a model that transformers can load"))
    mend = t(
        "code from a model is never run: if transformers has its own for {kind}, remove auto_map", kind=model_type[:80]
    )
    _refuse_code(path, config, mend)
    for field in _FOREIGN:
        if config.get(field) is not None:
            _refuse_field(path, field)
    for field in _KERNELS:
        if "/" in str(config.get(field)):
            _refuse_field(path, field)
    return config


def _check_sizes(folder: Path, config: dict[str, Any], tensors: list[TensorInfo]) -> None:
    """A config that describes far more than the weights hold would build for ever before anything is compared."""
    held = sum(prod(tensor.shape) for tensor in tensors)
    layers = max((config[name] for name in _LAYERS if isinstance(config.get(name), int)), default=0)
    vocabulary, width = (config.get(name) for name in ("vocab_size", "hidden_size"))
    embedding = vocabulary * width if isinstance(vocabulary, int) and isinstance(width, int) else 0
    if layers > len(tensors) or embedding > held:
        raise ModelError(
            t(
                "{folder}: config.json describes another model than its weights: {layers} layers, a vocabulary of "
                "{vocabulary}, width {width}; the files hold {count} tensors with {held} numbers",
                folder=folder,
                layers=layers,
                vocabulary=vocabulary,
                width=width,
                count=len(tensors),
                held=held,
            ),
            t("fetch the model again"),
        )


def _check_virtual_tokens(folder: Path, config: dict[str, Any], tensors: dict[str, TensorInfo]) -> None:
    """PEFT makes room for what the configuration says before it looks at what there is."""
    tokens, width, layers = (config.get(name) for name in ("num_virtual_tokens", "token_dim", "num_layers"))
    if config["peft_type"] == "PREFIX_TUNING" and isinstance(width, int) and isinstance(layers, int):
        width *= 2 * layers
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != {"prompt_embeddings": (tokens, width)}:
        raise ModelError(
            t(
                "{path}: adapter_config.json describes {tokens} virtual tokens of {width} numbers, "
                "the file holds {found}",
                path=folder,
                tokens=tokens,
                width=width,
                found=", ".join(f"{name} {list(shape)}" for name, shape in list(found.items())[:3]),
            ),
            t("fetch the adapter again"),
        )


def _refuse_field(path: Path, field: str) -> None:
    if field in ("quantization_config", "compression_config"):
        raise ModelError(
            t("{path}: the weights are quantized", path=path),
            t("use the model's own fp32 or bf16 safetensors, or a GGUF file, which is converted"),
        )
    raise ModelError(
        t("{path} asks for files from elsewhere: {field}", path=path, field=field),
        t("remove that field if the model works without it"),
    )


def _refuse_code(path: Path, config: dict[str, Any], hint: str = "") -> None:
    if "auto_map" in config:
        raise ModelError(
            t("{path} asks to run code from the model's folder (auto_map)", path=path),
            hint or t("remove auto_map from the file: the code is never run"),
        )


def _check_tokenizer(folder: Path) -> None:
    if not (folder / "tokenizer.json").exists():
        raise ModelError(
            t("{folder} has no tokenizer.json", folder=folder),
            t(
                "make one where the tokenizer can be loaded: "
                "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) with transformers"
            ),
        )
    for name in ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
        if (folder / name).exists():
            _refuse_code(folder / name, read_object(folder / name))


def _read_index(path: Path) -> dict[str, str]:
    """Tensor name to file name. Raises ModelError."""
    listed = read_object(path).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ModelError(t("{path} lists no tensors", path=path), t("fetch the model again"))
    for name, file in listed.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise ModelError(
                t("{path} puts tensor {name} into {file}", path=path, name=name, file=str(file)[:200]),
                t("parts of a model are safetensors files in its own folder"),
            )
    return listed


def _refuse_missing_weights(folder: Path) -> None:
    names = sorted(entry.name for entry in folder.iterdir())
    pickles = [
        name for name in names if name.endswith(_PICKLES) and not name.startswith(("training_args", "optimizer"))
    ]
    if any(name.endswith(".safetensors") for name in names):
        raise ModelError(
            t("{folder} is only part of a model: {files} missing", folder=folder, files=f"{WEIGHTS}, {INDEX}"),
            t("fetch the missing files, or fetch the model again"),
        )
    if pickles:
        raise ModelError(
            t("{folder} has only pickle weights: {files}", folder=folder, files=", ".join(pickles[:5])),
            t(
                "opening a pickle can run code, so it is never done here. Take the publisher's safetensors; or, if you "
                "trust the file, convert it once with transformers: "
                "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
            ),
        )
    raise ModelError(t("{folder} has no weights", folder=folder), _what_it_is(folder))


def _what_it_is(folder: Path) -> str:
    names = [entry.name for entry in folder.iterdir()]
    if not names:
        return t("the folder is empty")
    if any(name.endswith(".gguf") for name in names):
        return t("name the .gguf file itself")
    return t("a model's folder has config.json, model.safetensors and tokenizer.json")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
