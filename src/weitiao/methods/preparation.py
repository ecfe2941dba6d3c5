"""From a loaded model to one that a method trains, whatever the model was tuned with before.

Separate because it is the one place where two methods meet: the parent's and the new one.
"""

from __future__ import annotations

from peft import PeftModel
from transformers import PreTrainedModel

from weitiao.methods.full import Full
from weitiao.methods.lora import Lora
from weitiao.methods.result import merge
from weitiao.methods.top_layers import TopLayers
from weitiao.models.load import Loaded

Method = Full | TopLayers | Lora


def prepare(loaded: Loaded, method: Method, seed: int = 0) -> PreTrainedModel | PeftModel:
    """The model with ``requires_grad`` exactly where ``method`` learns; ``loaded.model`` itself is used up.

    LoRA on a model with an adapter goes on with that adapter; any other method merges the adapter into the weights
    first. Raises SettingsError when the method does not fit the model.
    """
    if isinstance(loaded.model, PeftModel):
        if isinstance(method, Lora):
            return method.resume(loaded.model)
        return method.adapt(merge(loaded.model), seed)
    return method.adapt(loaded.model, seed)
