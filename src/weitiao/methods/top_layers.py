"""The top layers learn, and everything below them stays: cheap, because nothing flows back into what stays.

Embeddings and a vocabulary's head stay too: in many models they are one matrix, and the head could not learn without
the bottom. A category head learns.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedModel

from weitiao.errors import SettingsError
from weitiao.models.anatomy import blocks, final_norm
from weitiao.models.heads import head_modules
from weitiao.words import t


@dataclass(frozen=True)
class TopLayers:
    """The last ``count`` blocks, the norm above them and a category head may change."""

    count: int = 4

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
        """The same model, its top learning; nothing is drawn. Raises SettingsError when there are fewer blocks."""
        layers = blocks(model)
        if not 1 <= self.count <= len(layers):
            raise SettingsError(
                t("top_layers is {count}, and the model has {blocks} layers", count=self.count, blocks=len(layers)),
                t("choose from 1 to {blocks}", blocks=len(layers)),
            )
        model.requires_grad_(False)
        layers[-self.count :].requires_grad_(True)
        norm = final_norm(model)
        if norm is not None:
            norm.requires_grad_(True)
        for module in head_modules(model).values():
            module.requires_grad_(True)
        return model
