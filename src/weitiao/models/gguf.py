"""GGUF, llama.cpp's format of quantized models: turned once into a transformers folder that can be loaded and tuned.

Separate because it happens once for each file: afterwards the model is like any other, and loads a hundred times
faster. The numbers are kept as float32, which loses nothing of what the file holds.
"""

from __future__ import annotations

import shutil
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedModel, PreTrainedTokenizerFast

from weitiao.errors import MachineError, ModelError
from weitiao.models.chatter import silenced
from weitiao.models.files import check_folder
from weitiao.models.gguf_header import GgufHeader, read_gguf_header
from weitiao.models.whole_folder import whole_folder
from weitiao.words import t

# llama.cpp splits each digit off in these vocabularies; transformers' reader of GGUF does not know that.
_SINGLE_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
_FLOAT32 = 4  # bytes
_NOT_OURS = ("quantization_config", "_model_name_or_path", "_name_or_path")


def convert(gguf_file: Path, out: Path) -> Path:
    """Write the model of ``gguf_file`` as the transformers folder ``out``: float32, tokenizer, template, end tokens.

    The folder appears whole or not at all; one that another process finished first is kept. Raises ModelError for a
    file that cannot be read or is of a kind that transformers does not know, MachineError when the disk is too full.
    """
    header = read_gguf_header(gguf_file)
    out.parent.mkdir(parents=True, exist_ok=True)
    _check_room(gguf_file, header, out)
    with whole_folder(out, replace=False) as folder:
        # Alone in a folder: transformers would also read a config.json or an adapter that lies beside the file.
        with TemporaryDirectory() as alone:
            (Path(alone) / "model.gguf").symlink_to(gguf_file.resolve())
            model, tokenizer = _read(gguf_file, Path(alone), header)
        _write(model, tokenizer, folder)
        check_folder(folder)
    return out


def _read(gguf_file: Path, folder: Path, header: GgufHeader) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    where: dict[str, Any] = {"gguf_file": "model.gguf", "local_files_only": True, "trust_remote_code": False}
    try:
        with silenced(), redirect_stderr(StringIO()):  # a progress bar that knows no switch
            # Not AutoTokenizer: it makes the same one, and reads the whole file once more to find out its class.
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, **where)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
                **where,
            )
    except Exception as error:  # the reader raises whatever it meets, KeyError and struct.error included
        raise ModelError(
            t("{path} cannot be converted: {reason}", path=gguf_file, reason=f"{type(error).__name__}: {error}"[:300]),
            t("its kind is {kind}; take the model's own safetensors if there are any", kind=header.architecture[:80]),
        ) from error
    model, found = loaded
    lost = sorted(found["missing_keys"]) + sorted(found["unexpected_keys"])
    if lost:
        raise ModelError(
            t("{path} does not hold the model it describes: {names}", path=gguf_file, names=", ".join(lost[:3])),
            t("fetch the file again"),
        )
    _mend_tokenizer(tokenizer, header, model)
    _mend_stops(model, header)
    return model, tokenizer


def _mend_tokenizer(tokenizer: PreTrainedTokenizerFast, header: GgufHeader, model: PreTrainedModel) -> None:
    if header.facts.get("tokenizer.ggml.pre") in _SINGLE_DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    for incidental in ("is_local", "local_files_only", "gguf_file"):
        tokenizer.init_kwargs.pop(incidental, None)
    tokenizer.model_max_length = model.config.get_text_config().max_position_embeddings


def _mend_stops(model: PreTrainedModel, header: GgufHeader) -> None:
    """Generation stops at the end of the text and at the end of a turn, which some files state apart."""
    names = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    stops = list(dict.fromkeys(int(header.facts[name]) for name in names if name in header.facts))
    if stops:
        model.generation_config.eos_token_id = stops[0] if len(stops) == 1 else stops


def _write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    # A model that came out of GGUF refuses to be saved or trained; the same weights in a model made anew do not.
    settings = {key: value for key, value in model.config.to_dict().items() if key not in _NOT_OURS}
    config = type(model.config).from_dict(settings)
    config.architectures = [type(model).__name__]
    with silenced(), torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    with silenced():
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _check_room(gguf_file: Path, header: GgufHeader, out: Path) -> None:
    need, free = header.numbers * _FLOAT32, shutil.disk_usage(out.parent).free
    if need > free:
        raise MachineError(
            t(
                "{path} needs {need} MB in {folder}, and {free} MB are free",
                path=gguf_file,
                need=need >> 20,
                folder=out.parent,
                free=free >> 20,
            ),
            t("free some disk space, or point WEITIAO_HOME at a folder on a larger disk"),
        )
