"""Full fine-tuning: every weight learns."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedModel


@dataclass(frozen=True)
class Full:
    """Every weight of the model may change."""

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
        """The same model, all its weights learning; nothing is drawn, so ``seed`` changes nothing."""
        model.requires_grad_(True)
        return model
