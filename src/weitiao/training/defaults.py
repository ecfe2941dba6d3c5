"""What a setting is when the user left it open: a rule from model, method and data, and the reason in words.

The rules and what they were measured on stand in docs/concepts/defaults.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from weitiao.example import Kind
from weitiao.settings import LORA_KINDS, TOKEN_KINDS, Settings
from weitiao.words import t

# The best of the rates tried on SmolLM2-135M, docs/reference/methods.md; of LoRA's kin as a share of LoRA's own.
_FEW_NUMBERS = {"bitfit": 3e-3, "ia3": 1e-2, "prefix": 2e-2, "prompt": 1e-2, "p_tuning": 1e-3}
_OF_LORA = {"loraplus": 0.1, "pissa": 0.1, "olora": 0.025, "adalora": 5.0}
_CONTEXT_USED = 2048  # tokens; longer rows are rare in tuning data and cost memory by their square

_TEXT_STEPS = 200  # at least, of an epoch over raw text
_STEP_TOKENS = (2048, 16384)  # of raw text
_SCORED_TOKENS = 100_000  # of raw text, each time
_LEAST_SCORED = 50
_FRESH_RATE = {"decoder": 0.75, "encoder": 0.18}  # divided by the width; docs/concepts/defaults.md
_TOKENS_OF_A_WEIGHT = 20  # that a fresh model can use (Hoffmann et al., 2022, arXiv:2203.15556)
_MOST_REPEATED = 4  # epochs; each further one teaches less (Muennighoff et al., 2023, arXiv:2305.16264)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at."""

    parameters: int
    width: int
    context: int  # the model's longest input, in tokens
    kind: Kind
    train_rows: int
    longest_row: int  # tokens
    fast_bf16: bool
    on_gpu: bool
    threads: int
    continues_adapter: bool = False  # the model brings an adapter, whose rank and targets stay
    train_tokens: int = 0  # of one epoch
    fresh: Literal["decoder", "encoder"] | None = None  # what a model is that knows nothing yet

    @property
    def row_tokens(self) -> int:
        """Of a row, on average."""
        return max(self.train_tokens // max(self.train_rows, 1), 1)


@dataclass(frozen=True, slots=True)
class Derived:
    """Settings with nothing left open, and why each derived value is what it is."""

    settings: Settings
    reasons: dict[str, str]


def context_limit(settings: Settings, context: int) -> int:
    """The most tokens of a row: ``cutoff_len``, or as much of the model's context as pays."""
    return settings.cutoff_len or min(context, _CONTEXT_USED)


def derive(settings: Settings, facts: Facts) -> Derived:
    """Fill every open setting."""
    from weitiao.training.loop import total_steps  # inside: the loop needs torch, and context_limit must not

    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def fill(name: str, rule: Callable[[], tuple[Any, str]]) -> Any:
        value = getattr(settings, name)
        if value is None or (name == "precision" and value == "auto"):
            value, reasons[name] = rule()
            values[name] = value
        return value

    fill("cutoff_len", lambda: (context_limit(settings, facts.context), t("as much of the model's context as pays")))
    fill("precision", lambda: _precision(facts))
    if settings.method in LORA_KINDS and not facts.continues_adapter:
        rank = fill("lora_rank", lambda: (min(16, facts.width), t("enough for one task on a small model")))
        fill("lora_alpha", lambda: _alpha(settings, rank))
    if settings.method in TOKEN_KINDS and not facts.continues_adapter:
        fill("virtual_tokens", lambda: (16, t("more take more of the context, and learn more slowly")))
    if settings.method == "loraplus":
        fill("lora_plus_ratio", lambda: (16.0, t("as its authors recommend")))
    fill("learning_rate", lambda: _learning_rate(settings, facts))
    batch = fill("batch_size", lambda: _batch_size(facts))
    epochs = fill("epochs", lambda: _epochs(facts))
    fill("packing", lambda: (facts.on_gpu, t("pays on a GPU; on a CPU rows of similar length go together instead")))
    steps = total_steps(facts.train_rows, batch * settings.gradient_accumulation_steps, epochs, settings.max_steps)
    if settings.warmup_steps is None:
        fill("warmup_ratio", lambda: (0.1, t("a tenth of the steps")))
    often = fill("eval_steps", lambda: (max(1, math.ceil(steps / 4)), t("four times in {steps} steps", steps=steps)))
    fill("save_steps", lambda: (often, t("whenever the dev split is scored")))
    fill("early_stopping_patience", lambda: (3, t("three scores in a row without improvement")))
    fill("metric_for_best_model", lambda: _metric(settings, facts))
    fill("eval_max_samples", lambda: _eval_rows(facts))
    fill("generate_max_samples", lambda: _written_rows(settings, facts))
    fill("threads", lambda: (facts.threads, t("the processor's cores")))
    return Derived(settings.model_copy(update=values), reasons)


def warmup_steps(settings: Settings, steps: int) -> int:
    """The steps in which the rate rises; at least one where a share was asked for."""
    if settings.warmup_steps is not None:
        return settings.warmup_steps
    return math.ceil((settings.warmup_ratio or 0.0) * steps)


def _precision(facts: Facts) -> tuple[str, str]:
    if facts.fast_bf16:
        return "bf16", t("the processor multiplies bfloat16 in hardware; what learns is kept in float32")
    return "fp32", t("the processor has no bfloat16 arithmetic")


def _alpha(settings: Settings, rank: int) -> tuple[float, str]:
    if settings.method == "rslora":  # divided by the root of the rank
        return 8.0, t("at rank 16 as much as with LoRA, and the same for every rank")
    return 2.0 * rank, t("twice the rank")


def _learning_rate(settings: Settings, facts: Facts) -> tuple[float, str]:
    billions = facts.parameters / 1e9
    if settings.method in _FEW_NUMBERS:
        return _FEW_NUMBERS[settings.method], t("few numbers learn, and must move far")
    if settings.method in LORA_KINDS:
        rate = 2e-3 if billions < 0.2 else 1e-3 if billions < 1 else 5e-4 if billions < 3 else 2e-4
        rate = float(f"{rate * _OF_LORA.get(settings.method, 1.0):.2g}")
        return rate, t("LoRA on {size} parameters: small models learn at higher rates", size=_size(facts.parameters))
    if facts.fresh:
        rate = float(f"{_FRESH_RATE[facts.fresh] / facts.width:.1e}")
        if facts.fresh == "encoder":
            return rate, t("a fresh encoder, {width} wide: at larger steps it learns no context", width=facts.width)
        return rate, t("a fresh model, {width} wide: the wider, the smaller the steps", width=facts.width)
    rate = 1e-4 if billions < 0.5 else 5e-5 if billions < 3 else 1e-5
    if settings.method == "top_layers":
        rate *= 2
    return rate, t("the model's own weights change, of {size}: smaller steps", size=_size(facts.parameters))


def _batch_size(facts: Facts) -> tuple[int, str]:
    if facts.kind == "continue":
        tokens = min(max(facts.train_tokens // _TEXT_STEPS, _STEP_TOKENS[0]), _STEP_TOKENS[1])
        size = max(round(tokens / facts.row_tokens), 1)
        return size, t("rows of {tokens} tokens on average", tokens=facts.row_tokens)
    size = 4 if facts.train_rows < 64 else 8 if facts.train_rows < 512 else 16
    return size, t("{rows} rows to learn from", rows=facts.train_rows)


def _epochs(facts: Facts) -> tuple[float, str]:
    if facts.fresh:
        enough = _TOKENS_OF_A_WEIGHT * facts.parameters / max(facts.train_tokens, 1)
        return float(min(max(round(enough), 1), _MOST_REPEATED)), t(
            "{tokens} tokens for {size} parameters", tokens=facts.train_tokens, size=_size(facts.parameters)
        )
    epochs = (
        5.0 if facts.train_rows < 200 else 3.0 if facts.train_rows < 1000 else 2.0 if facts.train_rows < 5000 else 1.0
    )
    return epochs, t("{rows} rows to learn from", rows=facts.train_rows)


def _written_rows(settings: Settings, facts: Facts) -> tuple[int, str]:
    if facts.kind == "mark" and settings.head == "words":
        return 500, t("marks can only be judged where they are written out")
    return 0 if facts.kind in ("classify", "mark") else 32, t("writing replies out is slow")


def _metric(settings: Settings, facts: Facts) -> tuple[str, str]:
    if facts.kind == "mark" and settings.head != "words":
        return "span_f1", t("what is marked exactly as it should be")
    if facts.kind == "classify":
        return "macro_f1", t("every category counts the same")
    return "loss", t("how well the reference text is predicted")


def _eval_rows(facts: Facts) -> tuple[int, str]:
    if facts.kind == "classify":
        return 2000, t("intervals are narrow enough")
    if facts.kind == "continue":
        rows = min(max(_SCORED_TOKENS // facts.row_tokens, _LEAST_SCORED), 500)
        return rows, t("rows of {tokens} tokens on average", tokens=facts.row_tokens)
    return 500, t("intervals are narrow enough")


def _size(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"
