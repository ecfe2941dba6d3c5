"""Which engines have been proved to agree, remembered from run to run.

Separate because a proof is worth as long as nothing changes that it is about: the model's files, what learns of them,
the code, the libraries and the processor. All of that is the name of an empty file, which may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from peft import PeftModel

from weitiao.data.samples import cache_folder
from weitiao.lineage import code_version
from weitiao.models import fast
from weitiao.models.anatomy import Model, plain
from weitiao.models.fast import native
from weitiao.training import machine

_SAYS_NOTHING = ("_name_or_path", "transformers_version", "base_model_name_or_path")  # of what configurations hold
_ENGINES = (Path(fast.__file__).parent, Path(__file__).parent)


def is_proved(model: Model, digest: str) -> bool:
    """Whether the engines have agreed before on ``model``, from files of this ``digest``; "" is never remembered."""
    return bool(digest) and _note(model, digest).is_file()


def remember(model: Model, digest: str) -> None:
    """They have agreed."""
    if digest:
        note = _note(model, digest)
        with suppress(OSError):  # a cache that cannot be written only costs time
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def circumstances(model: Model) -> hashlib._Hash:
    """A sha256, to be added to, of all but the weights that decides what ``model`` calculates, to the last bit."""
    config: dict[str, Any] = plain(model).config.to_dict()
    adapters = (
        {name: each.to_dict() for name, each in model.peft_config.items()} if isinstance(model, PeftModel) else {}
    )
    facts = {
        "config": _without_names(config),
        "adapter": {name: _without_names(each) for name, each in adapters.items()},
        "code": [code_version(), torch.__version__, transformers.__version__, peft.__version__],
        "arithmetic": [machine.processor(), torch.get_num_threads(), native.kernels() is not None],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=_plain).encode("utf-8"))
    for folder in _ENGINES:
        for file in sorted(folder.glob("*.*")):  # kernels that another compiler made are others
            digest.update(file.read_bytes())
    return digest


def _note(model: Model, digest: str) -> Path:
    found = circumstances(model)
    found.update(digest.encode("ascii"))
    for name, weight in model.named_parameters():
        found.update(f"{name} {weight.dtype} {tuple(weight.shape)} {weight.requires_grad}\n".encode())
    return cache_folder() / "proved" / found.hexdigest()[:32]


def _without_names(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _SAYS_NOTHING}


def _plain(value: object) -> object:
    """What JSON lacks; a set has another order in every process."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
