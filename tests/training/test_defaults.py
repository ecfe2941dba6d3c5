from dataclasses import replace
from typing import Any

import pytest

from weitiao.settings import LORA_KINDS, METHODS, TOKEN_KINDS, Settings, comparison_names, make_settings
from weitiao.settings.forms import forms
from weitiao.training.defaults import Facts, context_limit, derive, warmup_steps
from weitiao.words import set_language

FACTS = Facts(
    parameters=135_000_000,
    width=576,
    context=8192,
    kind="classify",
    train_rows=3000,
    longest_row=200,
    fast_bf16=True,
    on_gpu=False,
    threads=2,
)
MAY_STAY_OPEN = {
    "dev", "test", "format", "kind", "text_column", "label_column", "prompt_column", "reply_column", "question",
    "max_samples", "header", "documents", "template", "max_steps", "output_dir", "lang", "warmup_steps",
    "activations_limit_gb", "tokenizer", "hide", "max_train_samples", "split_seed", *comparison_names(),
}  # fmt: skip


def given(**values: Any) -> Settings:
    return make_settings({"model": "m", "data": "d", **values})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["classify", "reply", "continue"])
def test_nothing_that_training_needs_stays_open(method: str, kind: Any) -> None:
    settings = derive(given(method=method), replace(FACTS, kind=kind)).settings
    unneeded = MAY_STAY_OPEN | (set() if method in LORA_KINDS else {"lora_rank", "lora_alpha"})
    unneeded |= set() if method == "loraplus" else {"lora_plus_ratio"}
    unneeded |= set() if method in TOKEN_KINDS else {"virtual_tokens"}
    assert {name for name in forms() if getattr(settings, name) is None} <= unneeded
    assert settings.precision in ("bf16", "fp32")


@pytest.mark.parametrize("method", METHODS)
def test_every_value_that_was_derived_has_a_reason_in_both_languages(method: str) -> None:
    open_settings = given(method=method)
    english = derive(open_settings, FACTS)
    changed = {name for name in forms() if getattr(open_settings, name) != getattr(english.settings, name)}
    assert changed == set(english.reasons) and all(english.reasons.values())
    set_language("zh")
    chinese = derive(open_settings, FACTS).reasons
    assert chinese.keys() == english.reasons.keys()
    assert [name for name, reason in chinese.items() if reason == english.reasons[name]] == []


def test_what_the_user_gave_stays_and_needs_no_reason() -> None:
    values: dict[str, Any] = {
        "cutoff_len": 99, "precision": "fp32", "lora_rank": 3, "lora_alpha": 5.0, "learning_rate": 7e-5,
        "batch_size": 5, "epochs": 1.5, "packing": True, "warmup_ratio": 0.0, "eval_steps": 11, "save_steps": 13,
        "early_stopping_patience": 2, "metric_for_best_model": "auroc", "eval_max_samples": 17,
        "generate_max_samples": 1, "threads": 1,
    }  # fmt: skip
    derived = derive(given(**values), FACTS)
    assert {name: getattr(derived.settings, name) for name in values} == values
    assert derived.reasons == {}


def test_derived_settings_derive_to_themselves() -> None:
    """A resumed run reads them back; a second derivation must find nothing to do."""
    once = derive(given(), FACTS).settings
    again = derive(once, replace(FACTS, train_rows=5, threads=64, fast_bf16=False))
    assert again.settings == once and again.reasons == {}


def test_smaller_models_and_smaller_parts_learn_at_higher_rates() -> None:
    def rate(method: str, parameters: float) -> float:
        return derive(given(method=method), replace(FACTS, parameters=int(parameters))).settings.learning_rate or 0.0

    for method in ("lora", "top_layers", "full"):
        rates = [rate(method, size) for size in (1e8, 1e9, 7e9)]
        assert rates == sorted(rates, reverse=True) and rates[0] > rates[-1]
    assert rate("lora", 1e8) > rate("top_layers", 1e8) > rate("full", 1e8)


def test_methods_that_begin_large_learn_slowly_and_those_of_few_numbers_fast() -> None:
    def rate(method: str) -> float:
        return derive(given(method=method), FACTS).settings.learning_rate or 0.0

    assert rate("adalora") > rate("lora") == rate("dora") == rate("rslora") > rate("pissa") > rate("olora")
    assert min(rate(method) for method in ("bitfit", "ia3", "prefix", "prompt")) > rate("lora")
    assert rate("loraplus") * 16 > rate("lora") > rate("loraplus")


def test_loras_rate_is_the_best_of_those_measured_at_both_sizes() -> None:
    def rate(parameters: int) -> float | None:
        return derive(given(), replace(FACTS, parameters=parameters)).settings.learning_rate

    assert [rate(134_515_008), rate(268_098_176)] == [2e-3, 1e-3]  # SmolLM2, Gemma 3


def test_more_rows_mean_larger_batches_and_fewer_epochs() -> None:
    derived = [derive(given(), replace(FACTS, train_rows=rows)).settings for rows in (20, 100, 700, 3000, 50_000)]
    batches = [settings.batch_size or 0 for settings in derived]
    epochs = [settings.epochs or 0 for settings in derived]
    assert batches == sorted(batches) and epochs == sorted(epochs, reverse=True)
    assert batches[0] < 20 and epochs[-1] == 1.0


def test_the_dev_split_is_scored_four_times_and_saved_as_often() -> None:
    settings = derive(given(max_steps=50), FACTS).settings
    assert (settings.eval_steps, settings.save_steps) == (13, 13)
    assert derive(given(max_steps=50, eval_steps=7), FACTS).settings.save_steps == 7
    assert derive(given(max_steps=1), FACTS).settings.eval_steps == 1


def test_the_metric_is_the_tasks_own() -> None:
    assert derive(given(), FACTS).settings.metric_for_best_model == "macro_f1"
    assert derive(given(), replace(FACTS, kind="reply")).settings.metric_for_best_model == "loss"


def test_the_rank_fits_the_model_and_an_adapter_keeps_its_own() -> None:
    narrow = derive(given(), replace(FACTS, width=8)).settings
    assert (narrow.lora_rank, narrow.lora_alpha) == (8, 16.0)
    assert derive(given(lora_rank=2), FACTS).settings.lora_alpha == 4.0
    going_on = derive(given(), replace(FACTS, continues_adapter=True)).settings
    assert (going_on.lora_rank, going_on.lora_alpha) == (None, None)


def test_bf16_only_where_the_machine_is_fast_at_it() -> None:
    assert derive(given(), FACTS).settings.precision == "bf16"
    assert derive(given(), replace(FACTS, fast_bf16=False)).settings.precision == "fp32"
    assert derive(given(precision="bf16"), replace(FACTS, fast_bf16=False)).settings.precision == "bf16"


def test_packing_only_on_a_gpu_unless_asked_for() -> None:
    assert derive(given(), FACTS).settings.packing is False
    assert derive(given(), replace(FACTS, on_gpu=True)).settings.packing is True
    assert derive(given(packing=True), FACTS).settings.packing is True


def test_the_context_is_used_as_far_as_it_pays() -> None:
    assert context_limit(given(), 8192) == 2048
    assert context_limit(given(), 512) == 512
    assert context_limit(given(cutoff_len=4096), 8192) == 4096


def test_the_warm_up_is_a_share_of_the_steps_or_a_number_of_them() -> None:
    settings = derive(given(), FACTS).settings
    assert warmup_steps(settings, 95) == 10 and warmup_steps(settings, 1) == 1
    assert warmup_steps(derive(given(warmup_ratio=0.0), FACTS).settings, 95) == 0
    counted = derive(given(warmup_steps=7), FACTS)
    assert warmup_steps(counted.settings, 95) == 7 and counted.settings.warmup_ratio is None


def test_a_fresh_model_learns_in_larger_steps_the_narrower_it_is() -> None:
    def fresh(**facts: Any) -> Settings:
        known = replace(FACTS, **{"kind": "continue", "fresh": "decoder", "train_tokens": 3_000_000, **facts})
        return derive(make_settings({"model": "preset:tiny", "data": "d"}), known).settings

    rates = [fresh(width=width).learning_rate or 0.0 for width in (256, 512, 768)]
    assert rates == [2.9e-3, 1.5e-3, 9.8e-4]
    assert fresh(width=256, fresh="encoder").learning_rate == 7e-4
    assert fresh().method == "full"
    assert [fresh(parameters=size).epochs for size in (100_000, 300_000, 10**8)] == [1.0, 2.0, 4.0]


def test_a_step_over_raw_text_is_measured_in_tokens() -> None:
    def batch(rows: int, tokens: int) -> int:
        known = replace(FACTS, kind="continue", train_rows=rows, train_tokens=tokens)
        return derive(given(), known).settings.batch_size or 0

    assert batch(1000, 100_000) == 20
    assert batch(10_000, 1_000_000) == 50
    assert batch(100_000, 200_000_000) == 8
    assert batch(10, 100_000) == 1
