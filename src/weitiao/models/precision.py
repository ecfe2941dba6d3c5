"""One arithmetic for a whole model: an adapter calculates in its base's type, in training and wherever it is used.

Separate because served = trained only where both round alike. What learns has float32 masters beside it.
"""

from __future__ import annotations

import torch
from torch import nn


def one_precision(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The same model with every weight in ``dtype``; buffers such as rotary frequencies stay as they are."""
    for weight in model.parameters():
        if weight.is_floating_point() and weight.dtype != dtype:
            weight.data = weight.data.to(dtype)
    return model
