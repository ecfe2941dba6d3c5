"""BitFit (Ben Zaken et al., 2022, arXiv:2106.10199): only the biases learn.

Llama and its kin have no biases. There the weights of the norms learn, the only other vectors of a block (Qi et al.,
2022, arXiv:2210.03841): as few, and in the same places.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from weitiao.models.anatomy import blocks, final_norm
from weitiao.models.heads import head_modules


@dataclass(frozen=True)
class BitFit:
    """The biases of the blocks and of the norm above them may change; where there are none, the norms' weights.

    A category head learns whole.
    """

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
        """The same model, its vectors learning; nothing is drawn, so ``seed`` changes nothing."""
        model.requires_grad_(False)
        named = [*blocks(model).named_parameters(), *(final_norm(model) or nn.Identity()).named_parameters()]
        biases = [weight for name, weight in named if name.rpartition(".")[2] == "bias"]
        for weight in biases or [weight for _, weight in named if weight.dim() == 1]:
            weight.requires_grad_(True)
        for module in head_modules(model).values():
            module.requires_grad_(True)
        return model
