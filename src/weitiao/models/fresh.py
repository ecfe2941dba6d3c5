"""A fresh model as a folder: transformers' own configuration and classes, weights drawn from the seed alone.

Separate from loading because nothing is read here but a tokenizer. The folder opens in transformers as it is.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from weitiao.codec.tokenizer import BOS, CONTROL_TOKENS, EOS, PAD, write_tokenizer
from weitiao.models.chatter import silenced
from weitiao.models.presets import Preset
from weitiao.models.whole_folder import whole_folder

_MULTIPLE = 64  # rows of the embeddings: a processor multiplies them in such parts


def write_fresh(preset: Preset, tokenizer: Tokenizer, seed: int, folder: Path) -> None:
    """Make the model of ``preset`` over ``tokenizer`` in ``folder``, whole or not at all; an older one stays.

    Raises MachineError when the disk refuses.
    """
    ids = {name: CONTROL_TOKENS.index(token) for name, token in (("bos", BOS), ("eos", EOS), ("pad", PAD))}
    vocabulary = -(-tokenizer.get_vocab_size() // _MULTIPLE) * _MULTIPLE
    config = AutoConfig.for_model(**preset.config(vocabulary, ids))
    kind = AutoModelForMaskedLM if preset.kind == "encoder" else AutoModelForCausalLM
    with whole_folder(folder, replace=False) as work, silenced(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind.from_config(config, dtype=torch.float32)
        model.save_pretrained(work)
        write_tokenizer(tokenizer, work, preset.context, ends_text=preset.kind == "encoder")
