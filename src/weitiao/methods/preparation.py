"""From a loaded model to one that a method trains, whatever the model was tuned with before.

Separate because it is the one place where two methods meet: the parent's and the new one.
"""

from __future__ import annotations

from peft import PeftModel
from transformers import PreTrainedModel

from weitiao.errors import SettingsError
from weitiao.methods.adalora import AdaLora
from weitiao.methods.bitfit import BitFit
from weitiao.methods.full import Full
from weitiao.methods.ia3 import IA3
from weitiao.methods.lora import Lora
from weitiao.methods.prompts import VirtualTokens
from weitiao.methods.result import merge
from weitiao.methods.top_layers import TopLayers
from weitiao.models.anatomy import ADAPTER
from weitiao.models.heads import head_modules
from weitiao.models.load import Loaded
from weitiao.models.virtual import P_TUNING, PREFIX, PROMPT
from weitiao.words import t

Adding = Lora | AdaLora | IA3 | VirtualTokens
"""Methods that add weights beside the model's own."""
Method = Full | TopLayers | BitFit | Adding

_TOKENS = {"prefix": (PREFIX,), "prompt": (PROMPT, P_TUNING), "p_tuning": (P_TUNING, PROMPT)}
_GOES_ON = {"LORA": "lora", "IA3": "ia3", PREFIX: "prefix", PROMPT: "prompt", P_TUNING: "prompt"}
"""The method that goes on with an adapter of PEFT's kind."""


def prepare(loaded: Loaded, method: Method, seed: int = 0) -> PreTrainedModel | PeftModel:
    """The model with ``requires_grad`` exactly where ``method`` learns; ``loaded.model`` itself is used up.

    An adapter goes on learning under a method of its own kind. Methods that change the model's own weights merge it
    into them first. Raises SettingsError when the method fits neither the model nor its adapter.
    """
    model, name = loaded.model, loaded.source.name
    if head_modules(model) and not _learns_head(method):
        raise SettingsError(
            t("this method cannot learn a category head beside what it adds"),
            t("use method lora, rslora, dora or full; or write head: words, and the categories are scored as words"),
        )
    if not isinstance(model, PeftModel):
        return method.adapt(model, seed)
    kind = _kind(model)
    if isinstance(method, Adding):
        if kind not in goes_on_with(method):
            raise SettingsError(
                t(
                    "{model} already has an adapter, of kind {kind}, and can take no other",
                    model=name,
                    kind=kind,
                ),
                t("go on with method {method}, or start from the base model", method=_GOES_ON[kind]),
            )
        return method.resume(model)
    if kind in (PREFIX, PROMPT, P_TUNING):
        raise SettingsError(
            t("{model} has virtual tokens, which cannot become part of the weights", model=name),
            t("go on with method {method}, or start from the base model", method=_GOES_ON[kind]),
        )
    return method.adapt(merge(model), seed)


def _learns_head(method: Method) -> bool:
    """Whether a category head learns, too, and is saved."""
    return method.start == "zero" if isinstance(method, Lora) else not isinstance(method, Adding)


def goes_on_with(method: Method) -> tuple[str, ...]:
    """The kinds of adapter, as PEFT calls them, that go on learning under ``method``."""
    if isinstance(method, VirtualTokens):
        return _TOKENS[method.kind]
    if isinstance(method, IA3):
        return ("IA3",)
    return ("LORA",) if isinstance(method, Lora | AdaLora) else ()


def _name(loaded: Loaded) -> str:
    return loaded.source.name


def _kind(model: PeftModel) -> str:
    return str(model.peft_config[ADAPTER].to_dict()["peft_type"].value)
