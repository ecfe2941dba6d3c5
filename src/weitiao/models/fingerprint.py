"""What a model is, as a short digest: served, resumed and tuned models are recognised by it, never by their path.

Separate because it is asked on every command and must be quick: what was computed for a large file is kept in the cache
folder, under the file's path, size and times. Weights are hashed tensor by tensor, in the order of their names, so that
the same model fetched in other parts, or converted once more, has the same digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from weitiao.data.samples import cache_folder
from weitiao.models.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_object, weight_files
from weitiao.models.header import TensorInfo, inspect_safetensors

_CONFIGS = ("config.json", "generation_config.json")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_INCIDENTAL = ("transformers_version", "peft_version", "_name_or_path", "base_model_name_or_path")
_BLOCK = 1 << 20  # bytes read at a time


def folder_digest(folder: Path) -> str:
    """16 hex digits over the model in ``folder``: weights, configuration, tokenizer, chat template, where it stops."""
    return _combined([weights_digest(folder), *_configs(folder, _CONFIGS), *_files(folder, _TOKENIZER)])


def weights_digest(folder: Path) -> str:
    """16 hex digits over every tensor of the model in ``folder``: its name, type, shape and bytes."""
    return _combined(digest for file, tensors in weight_files(folder).items() for digest in _tensors(file, tensors))


def adapter_digest(folder: Path) -> str:
    """16 hex digits over the adapter in ``folder`` and the tokenizer beside it; not over which base it names."""
    tensors = _tensors(folder / ADAPTER_WEIGHTS, inspect_safetensors(folder / ADAPTER_WEIGHTS))
    return _combined([*tensors, *_configs(folder, (ADAPTER_CONFIG,)), *_files(folder, _TOKENIZER)])


def file_digest(path: Path) -> str:
    """The sha256 of one file, in hex."""
    return _remembered(path, lambda: [_sha256(path)])[0]


def _combined(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:16]


def _files(folder: Path, names: Iterable[str]) -> list[str]:
    return [f"{name} {file_digest(folder / name)}" for name in names if (folder / name).is_file()]


def _configs(folder: Path, names: Iterable[str]) -> list[str]:
    """Configurations as text, without the versions and paths that say nothing of what the model does."""
    digests = []
    for name in names:
        if (folder / name).is_file():
            config = read_object(folder / name)
            kept = {key: value for key, value in config.items() if key not in _INCIDENTAL}
            digests.append(f"{name} {json.dumps(kept, sort_keys=True)}")
    return digests


def _tensors(file: Path, tensors: dict[str, TensorInfo]) -> list[str]:
    """One digest for each tensor."""
    return _remembered(file, lambda: _hash_tensors(file, tensors))


def _hash_tensors(file: Path, tensors: dict[str, TensorInfo]) -> list[str]:
    digests = []
    with file.open("rb") as stream:
        for name, tensor in tensors.items():
            stream.seek(tensor.start)
            digest = hashlib.sha256(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
            _feed(digest.update, stream, tensor.end - tensor.start)
            digests.append(digest.hexdigest())
    return digests


def _feed(update: Callable[[bytes | memoryview], None], stream: IO[bytes], count: int) -> None:
    while count > 0:
        block = stream.read(min(count, _BLOCK))
        if not block:  # cut off since the header was checked; the digest then matches nothing
            return
        update(block)
        count -= len(block)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remembered(path: Path, compute: Callable[[], list[str]]) -> list[str]:
    """What ``compute`` gives for the file as it is now; computed again when its place, size or times differ."""
    real = path.resolve()
    facts = real.stat()
    # The time of the last change of any kind cannot be set back, as that of the last writing can.
    identity = f"{real}\n{facts.st_size}\n{facts.st_mtime_ns}\n{facts.st_ctime_ns}\n{facts.st_ino}"
    note = cache_folder() / "digests" / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    with suppress(OSError, ValueError):
        known = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(known, list) and all(isinstance(digest, str) for digest in known) and known:
            return known
    digests = compute()
    with suppress(OSError):  # a cache that cannot be written only costs time
        note.parent.mkdir(parents=True, exist_ok=True)
        unfinished = note.with_name(f".{note.name}.{os.getpid()}")
        unfinished.write_text(json.dumps(digests), encoding="utf-8")
        unfinished.replace(note)
    return digests
