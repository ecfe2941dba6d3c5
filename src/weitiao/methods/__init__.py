"""Methods: which weights may change. ``requires_grad`` is the only truth about a method; all else follows from it."""

from __future__ import annotations

from weitiao.methods.full import Full
from weitiao.methods.lora import Lora
from weitiao.methods.preparation import Method, prepare
from weitiao.methods.result import merge, save_result, trained
from weitiao.methods.top_layers import TopLayers

METHODS: dict[str, type[Full] | type[TopLayers] | type[Lora]] = {"full": Full, "top_layers": TopLayers, "lora": Lora}

__all__ = ["METHODS", "Full", "Lora", "Method", "TopLayers", "merge", "prepare", "save_result", "trained"]
