"""What all rows of a step begin with, the system prompt and the question, is computed once, with its gradient.

Virtual tokens, where a model has them, stand before all of it. The rows read the keys and values of both from a cache.
While they learn, gradients gather at the cache; at the end of the step they go through the prefix once. Loss and
gradient are those of whole rows, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Cache

from weitiao.models.anatomy import Model, plain
from weitiao.models.dropout import dropout_settings
from weitiao.models.virtual import cache_of, pairs_of, virtual_pairs, virtual_tokens
from weitiao.objectives.row import IGNORE, Row

_WORTH_SHARING = 8  # tokens
_WORTH_ROWS = 3
_OF_HEADS = ("summary", "classifier")  # whose dropout is a module, where the model has such a head


def shared_length(rows: Sequence[Row]) -> int:
    """How many tokens all rows begin with before any of them is asked; 0 where sharing would not pay."""
    if len(rows) < _WORTH_ROWS:
        return 0
    if any(row.prefix for row in rows):
        return 0  # what is read from both sides depends on all of it
    first = rows[0].tokens
    shared = len(first)
    for row in rows:
        asked = np.flatnonzero(row.targets != IGNORE)
        shared = min(shared, int(asked[0]) if len(asked) else len(row.tokens) - 1)
        differs = np.flatnonzero(first[:shared] != row.tokens[:shared])
        shared = int(differs[0]) if len(differs) else shared
    return shared if shared >= _WORTH_SHARING else 0


def may_share(model: Model) -> bool:
    """Whether the model draws nothing while it learns: dropout is drawn for each row, and a shared prefix has one."""
    if any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules()):
        return False
    stated = dropout_settings(plain(model).config)  # where attention's own dropout stands
    return all(name.startswith(_OF_HEADS) for name in stated)


def without_prefix(row: Row, shared: int) -> Row:
    """The rest of ``row``."""
    return Row(row.example, row.tokens[shared:], row.targets[shared:])


class Prefix:
    """The keys and values of virtual tokens and a prefix, and the way back through them for their gradients."""

    def __init__(self, model: Model, tokens: NDArray[np.int32]) -> None:
        self._made = virtual_pairs(model)
        if len(tokens):
            cache = cache_of(self._made, 1)
            ids = torch.from_numpy(tokens[None].astype(np.int64)).to(next(model.parameters()).device)
            # Not the head: its logits at the prefix are asked for by nobody.
            plain(model).base_model(input_ids=ids, past_key_values=cache, use_cache=True)
            self._made = pairs_of(cache)
        self.length = virtual_tokens(model) + len(tokens)
        self._read = [(_leaf(keys), _leaf(values)) for keys, values in self._made]

    def cache(self, rows: int) -> Cache:
        """A cache for a batch of ``rows``, to be written into by one forward pass."""
        return cache_of(self._read, rows)

    def backward(self) -> None:
        """Send the gradients that the rows left at the cache through the prefix."""
        made, gradients = [], []
        for made_pair, read_pair in zip(self._made, self._read, strict=True):
            for tensor, read in zip(made_pair, read_pair, strict=True):
                if read.grad is not None:
                    made.append(tensor)
                    gradients.append(read.grad)
        if made:
            torch.autograd.backward(made, gradients)


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.requires_grad)
