"""Settings of other trainers whose value must change, too: ``bf16: true`` is ``precision: bf16`` here.

Separate from ``aliases.py``, which only renames. Each function takes what was written and says what it becomes, or
refuses.
"""

from __future__ import annotations

from collections.abc import Callable

from weitiao.errors import SettingsError
from weitiao.settings.aliases import CANONICAL
from weitiao.settings.allowed import METHODS
from weitiao.settings.forms import NO, YES, forms
from weitiao.settings.unneeded import unneeded, unsupported
from weitiao.settings.written import Translation, Value, Written
from weitiao.words import t

Answer = tuple[list[Written], Translation | None]
"""What one thing written becomes: settings under their canonical names, and what to show of it."""

_METHODS = {
    **{name: name for name in METHODS},
    "freeze": "top_layers",
    "lora+": "loraplus",
    "lora_plus": "loraplus",
    "prefix_tuning": "prefix",
    "p_tuning_v2": "prefix",
    "ptuning_v2": "prefix",
    "prompt_tuning": "prompt",
    "ptuning": "p_tuning",
}
_DTYPES = {"bfloat16": "bf16", "bf16": "bf16", "float32": "fp32", "fp32": "fp32", "auto": "auto"}
_DTYPES |= {f"torch.{name}": value for name, value in _DTYPES.items()}
_OFF = NO | {"none", "", "default", "disabled"}
_SECRETS = frozenset({"hf_hub_token", "ms_hub_token", "om_hub_token", "hub_token", "token", "swanlab_api_key"})


def translate(written: Written) -> Answer | None:
    """What ``written`` becomes; None when nobody knows its name. Raises SettingsError for what cannot be done here."""
    if written.name in CONVERSIONS:
        return CONVERSIONS[written.name](written)
    if written.name in forms():
        return [written], None
    if written.name in CANONICAL:
        return becomes(written, CANONICAL[written.name], written.value)
    if written.name in unneeded():
        return nothing(written, unneeded()[written.name])
    if written.name in unsupported():
        if is_off(written.value):
            return nothing(written, t("not needed: it is off here, too"))
        raise refusal(written, unsupported()[written.name])
    return None


def becomes(written: Written, name: str, value: Value, note: str = "") -> Answer:
    """``written`` is setting ``name`` with ``value``."""
    setting = written.renamed(name, value)
    if written.name == name and written.value == value and not note:
        return [setting], None
    return [setting], Translation(written.said, written.shown, f"{name}: {setting.shown}", note)


def nothing(written: Written, note: str) -> Answer:
    """``written`` needs no setting, because of ``note``."""
    return [], Translation(written.said, "***" if written.name in _SECRETS else written.shown, "", note)


def refusal(written: Written, hint: str) -> SettingsError:
    """The error for something that cannot be done here."""
    return SettingsError(t("{where}: {value} is not supported", where=written.where, value=written.shown), hint)


def is_off(value: Value) -> bool:
    """Whether the value asks for nothing: no, none, 0, empty."""
    return value is None or value == () or (isinstance(value, str) and value.strip().lower() in _OFF)


def is_on(written: Written) -> bool:
    """The value as yes or no. Raises SettingsError when it is neither."""
    text = written.value.strip().lower() if isinstance(written.value, str) else ""
    if text in YES or is_off(written.value):
        return text in YES
    raise SettingsError(
        t("{where} is {value}, but it {rule}", where=written.where, value=written.shown, rule=t("must be yes or no")),
        t("write true or false"),
    )


def _precision_switch(written: Written) -> Answer:
    if not is_on(written):
        return nothing(written, t("not needed: it is off here, too"))
    if written.name == "fp32":
        return becomes(written, "precision", "fp32")
    if written.name == "fp16":
        return becomes(written, "precision", "bf16", t("as small as fp16, and it cannot overflow"))
    if written.name == "pure_bf16":
        return becomes(written, "precision", "bf16", t("what is learned is still added up in fp32"))
    return becomes(written, "precision", "bf16")


def _precision(written: Written) -> Answer:
    text = str(written.value).lower()
    if text.removeprefix("torch.") in ("float16", "fp16", "half"):
        return becomes(written, "precision", "bf16", t("as small as fp16, and it cannot overflow"))
    return becomes(
        written, "precision", _DTYPES.get(text, written.value) if isinstance(written.value, str) else written.value
    )


def _method(written: Written) -> Answer:
    text = str(written.value).lower()
    if text == "qlora":
        raise refusal(written, t("write method: lora; the weights stay in bf16 or fp32"))
    return becomes(
        written, "method", _METHODS.get(text, written.value) if isinstance(written.value, str) else written.value
    )


def _lora_kind(written: Written, kind: str) -> Answer:
    if is_on(written):
        return becomes(written, "method", kind)
    return nothing(written, t("not needed: it is off here, too"))


def _start(written: Written) -> Answer:
    text = str(written.value).strip().lower()
    if text in YES or is_off(written.value):
        return nothing(written, t("not needed: LoRA begins as the model itself"))
    if text == "olora" or text == "pissa" or text.startswith("pissa_niter_"):
        return becomes(written, "method", text.partition("_")[0])
    raise refusal(written, t("delete it, or write method: pissa or method: olora"))


def _use_peft(written: Written) -> Answer:
    return becomes(written, "method", "lora" if is_on(written) else "full")


def _warmup(written: Written) -> Answer:
    """A share of the steps below 1, else a number of steps, as transformers 5 reads ``warmup_steps``, too."""
    if isinstance(written.value, str):
        try:
            share = float(written.value)
        except ValueError:
            return becomes(written, "warmup_steps", written.value)
        if 0 < share < 1:
            return becomes(written, "warmup_ratio", written.value)
    return becomes(written, "warmup_steps", written.value)


def _targets(written: Written) -> Answer:
    if written.value in ("all-linear", "all", ("all-linear",)):
        return becomes(written, "lora_targets", "all")
    return becomes(written, "lora_targets", written.value)


def _target_linear(written: Written) -> Answer:
    if is_on(written):
        return becomes(written, "lora_targets", "all")
    return nothing(written, t("not needed: it is off here, too"))


def _train_on_prompt(written: Written) -> Answer:
    if is_on(written):
        raise refusal(
            written, t("delete it: only replies are learned; to learn whole texts, give them with kind: continue")
        )
    return nothing(written, t("not needed: only replies are learned"))


def _only_replies(written: Written) -> Answer:
    if is_on(written):
        return nothing(written, t("not needed: only replies are learned"))
    raise refusal(
        written, t("delete it: only replies are learned; to learn whole texts, give them with kind: continue")
    )


def _mask_history(written: Written) -> Answer:
    if is_on(written):
        return becomes(written, "learn", "last_reply")
    return nothing(written, t("not needed: every reply is learned"))


def _report_to(written: Written) -> Answer:
    values = written.value if isinstance(written.value, tuple) else (written.value,)
    if all(is_off(value) for value in values):
        return nothing(written, t("not needed: events.jsonl in the run's folder holds every step"))
    raise refusal(
        written, t("write report_to: none; events.jsonl in the run's folder holds every step, and report.html shows it")
    )


def _optimizer(written: Written) -> Answer:
    if written.value is None or str(written.value).lower().startswith("adamw"):
        return nothing(written, t("not needed: the optimizer is AdamW"))
    raise refusal(written, t("delete it: the optimizer is AdamW"))


def _strategy(written: Written) -> Answer:
    if written.value == "steps":
        return nothing(written, t("not needed: eval_steps says how often"))
    return nothing(
        written,
        t("not needed: the dev split is scored in any case, to find the best checkpoint; eval_steps says how often"),
    )


def _metric(written: Written) -> Answer:
    value = written.value.removeprefix("eval_") if isinstance(written.value, str) else written.value
    return becomes(written, "metric_for_best_model", value)


def _schedule(written: Written) -> Answer:
    value = "constant" if written.value == "constant_with_warmup" else written.value
    return becomes(written, "lr_scheduler_type", value)


def _resume(written: Written) -> Answer:
    if is_off(written.value):
        return nothing(written, t("not needed: a run is resumed with  weitiao train RUN"))
    raise refusal(
        written, t("a run is resumed with  weitiao train RUN  and nothing else; delete this line for a new run")
    )


def _adapter(written: Written) -> Answer:
    if is_off(written.value):
        return nothing(written, t("not needed: it is off here, too"))
    return becomes(written, "model", written.value, t("the adapter is trained further, on the base it names"))


def _overwrite(written: Written) -> Answer:
    return nothing(written, t("not needed: a run never overwrites another; a folder that is in use is refused"))


CONVERSIONS: dict[str, Callable[[Written], Answer]] = {
    **dict.fromkeys(("bf16", "fp16", "fp32", "pure_bf16"), _precision_switch),
    **dict.fromkeys(("precision", "torch_dtype", "dtype"), _precision),
    **dict.fromkeys(("method", "finetuning_type", "train_type", "tuner_type", "peft_type", "adapter"), _method),
    **dict.fromkeys(("use_dora", "peft_use_dora"), lambda written: _lora_kind(written, "dora")),
    **dict.fromkeys(("use_rslora", "peft_use_rslora"), lambda written: _lora_kind(written, "rslora")),
    "pissa_init": lambda written: _lora_kind(written, "pissa"),
    **dict.fromkeys(("init_lora_weights", "init_weights", "peft_init_lora_weights"), _start),
    "use_peft": _use_peft,
    **dict.fromkeys(("warmup", "warmup_steps", "num_warmup_steps", "lr_warmup_steps"), _warmup),
    **dict.fromkeys(("lora_targets", "lora_target", "target_modules", "lora_target_modules"), _targets),
    "lora_target_linear": _target_linear,
    **dict.fromkeys(("train_on_prompt", "train_on_inputs"), _train_on_prompt),
    **dict.fromkeys(("assistant_only_loss", "completion_only_loss"), _only_replies),
    "mask_history": _mask_history,
    "report_to": _report_to,
    **dict.fromkeys(("optim", "optimizer"), _optimizer),
    **dict.fromkeys(("eval_strategy", "evaluation_strategy"), _strategy),
    **dict.fromkeys(("metric_for_best_model", "metric", "best_metric"), _metric),
    **dict.fromkeys(("lr_scheduler_type", "lr_scheduler", "scheduler", "scheduler_type"), _schedule),
    "resume_from_checkpoint": _resume,
    **dict.fromkeys(("adapter_name_or_path", "lora_model_dir"), _adapter),
    "overwrite_output_dir": _overwrite,
}
"""By foreign name: what the value becomes."""
