"""What a forward pass is told besides tokens: positions, and who attends to whom.

Separate because families of models want it said in different ways, and every pass, learning, reading or filling a
blank, must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache

from weitiao.errors import ModelError
from weitiao.models.anatomy import Model, plain, sees_both_sides
from weitiao.models.positions import inside_blanks
from weitiao.training.batches import Batch
from weitiao.words import t


@contextmanager
def surroundings(model: Model, batch: Batch, past: Cache | None = None) -> Iterator[dict[str, Any]]:
    """The arguments, besides tokens, of a pass of ``batch`` through the model's body, which must be made inside.

    ``past`` holds what stands before every row; the batch's positions count from there.
    """
    device = next(model.parameters()).device
    if sees_both_sides(model):
        # An encoder counts its own positions: RoBERTa's begin at two.
        yield {"attention_mask": torch.from_numpy(_present(batch)).to(device)}
        return
    positions = torch.from_numpy(batch.positions).to(device)
    # An all-ones mask would let packed rows see each other.
    mask = None if batch.prefixes is None else attention_mask(batch.prefixes, batch.tokens.shape[1], model)
    stated = {
        "position_ids": positions,
        "attention_mask": mask,
        "past_key_values": past,
        "use_cache": past is not None,
    }
    if batch.within is None:
        yield stated
        return
    with inside_blanks(plain(model), torch.from_numpy(batch.within).to(device)):
        yield stated


def attention_mask(prefixes: NDArray[np.int64], length: int, model: Model) -> Tensor:
    """[rows, 1, length, length]: 0 where a position attends to what stands before it or in its row's prefix.

    Raises ModelError where the model looks back less far than that.
    """
    window = plain(model).config.get_text_config().to_dict().get("sliding_window")
    if isinstance(window, int) and length > window:
        raise ModelError(
            t(
                "a row has {length} tokens, and some layers of the model see only {window}",
                length=length,
                window=window,
            ),
            t("objectives infill and prefix need cutoff_len: {window} here, or another model", window=window),
        )
    place = np.arange(length)
    seen = (place[None, :] <= place[:, None]) | (place < prefixes[:, None])[:, None, :]
    weight = next(model.parameters())
    mask = torch.full(seen.shape, torch.finfo(weight.dtype).min, dtype=weight.dtype)
    mask[torch.from_numpy(seen)] = 0
    return mask[:, None].to(weight.device)


def _present(batch: Batch) -> NDArray[np.int64]:
    """[rows, length]: 1 where a row has a token."""
    assert batch.prefixes is not None, "a row that is read from both sides says how long it is"
    return (np.arange(batch.tokens.shape[1]) < batch.prefixes[:, None]).astype(np.int64)
