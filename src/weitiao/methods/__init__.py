"""Methods: which weights may change. ``requires_grad`` is the only truth about a method; all else follows from it."""

from __future__ import annotations

from weitiao.methods.adalora import AdaLora
from weitiao.methods.bitfit import BitFit
from weitiao.methods.full import Full
from weitiao.methods.ia3 import IA3
from weitiao.methods.lora import Lora
from weitiao.methods.preparation import Method, goes_on_with, prepare
from weitiao.methods.prompts import VirtualTokens
from weitiao.methods.result import merge, save_result, trained
from weitiao.methods.top_layers import TopLayers

METHODS: dict[str, Method] = {
    "full": Full(),
    "top_layers": TopLayers(),
    "bitfit": BitFit(),
    "lora": Lora(),
    "rslora": Lora(variant="rslora"),
    "dora": Lora(variant="dora"),
    "loraplus": Lora(ratio=16),
    "pissa": Lora(start="pissa"),
    "olora": Lora(start="olora"),
    "adalora": AdaLora(),
    "ia3": IA3(),
    "prefix": VirtualTokens("prefix"),
    "prompt": VirtualTokens("prompt"),
    "p_tuning": VirtualTokens("p_tuning"),
}
"""By the name that settings give them."""

__all__ = [
    "IA3",
    "METHODS",
    "AdaLora",
    "BitFit",
    "Full",
    "Lora",
    "Method",
    "TopLayers",
    "VirtualTokens",
    "goes_on_with",
    "merge",
    "prepare",
    "save_result",
    "trained",
]
