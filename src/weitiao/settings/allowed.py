"""Which texts some settings may be: the names there are of methods, metrics and templates, and how others look.

Separate from the schema, which says of each setting what it means; these are types of its fields.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from weitiao.words import t

TEMPLATES = ("plain", "chatml")
"""The built-in chat templates, for models that bring none."""

METHODS = (
    "full", "top_layers", "bitfit",
    "lora", "rslora", "dora", "loraplus", "pissa", "olora", "adalora",
    "ia3", "prefix", "prompt", "p_tuning",
)  # fmt: skip
LORA_KINDS = METHODS[METHODS.index("lora") : METHODS.index("adalora") + 1]
"""The methods that the settings ``lora_*`` are for."""
TOKEN_KINDS = METHODS[METHODS.index("prefix") :]
"""The methods that learn virtual tokens."""

METRICS = (
    "accuracy", "micro_f1", "macro_f1", "ece", "brier", "auroc", "span_f1", "span_precision", "span_recall",
    "loss", "perplexity", "bits_per_byte", "blank_accuracy", "exact_match", "chrf", "bleu", "rouge_l",
)  # fmt: skip
LABEL_METRICS = ("f1/", "precision/", "recall/", "span_f1/", "span_precision/", "span_recall/")
"""What may stand before a label's name, as in ``f1/spam``."""


def _clean(text: str) -> str:
    if not text.strip():
        raise ValueError(t("must be text that is not empty"))
    if any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError(t("must not contain control characters or broken Unicode"))
    return text


def _template(text: str) -> str:
    if text not in TEMPLATES and not text.endswith((".jinja", ".jinja2", ".j2")):
        raise ValueError(t("must be one of {names}, or the path of a .jinja file", names=", ".join(TEMPLATES)))
    return text


def _metric(text: str) -> str:
    of_label = any(text.startswith(prefix) and len(text) > len(prefix) for prefix in LABEL_METRICS)
    if text not in METRICS and not of_label:
        raise ValueError(t("must be one of {names}, or f1/LABEL", names=", ".join(METRICS)))
    return text


def _curve(text: str) -> str:
    if text not in ("auto", "off") and not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        raise ValueError(t("must be auto, off, or numbers of rows like 50,100,200"))
    return text


Text = Annotated[str, AfterValidator(_clean)]
TemplateName = Annotated[Text, AfterValidator(_template)]
MetricName = Annotated[Text, AfterValidator(_metric)]
CurveRows = Annotated[Text, AfterValidator(_curve)]
