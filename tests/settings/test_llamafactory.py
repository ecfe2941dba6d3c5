"""A LLaMA-Factory config of supervised fine-tuning runs, and nothing of it is dropped in silence."""

import json
from pathlib import Path

import pytest

from weitiao.errors import SettingsError
from weitiao.settings import Parsed, parse_settings

EXAMPLE = """\
### model
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: mine
dataset_dir: {folder}
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
dataloader_num_workers: 4

### output
output_dir: saves/qwen3-4b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null

### eval
eval_dataset: alpaca_zh_demo
val_size: 0.1
per_device_eval_batch_size: 1
eval_strategy: steps
eval_steps: 500
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    entries = {
        "mine": {"file_name": "mine.json", "columns": {"prompt": "instruction", "response": "answer"}},
        "chats": {"file_name": "mine.json", "formatting": "sharegpt", "columns": {"messages": "conversations"}},
        "online": {"hf_hub_url": "somebody/something"},
        "gone": {"file_name": "gone.json"},
        "ranked": {"file_name": "mine.json", "ranking": True},
    }
    (folder / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "mine.json").write_text("[]", encoding="utf-8")
    return folder


def parse(tmp_path: Path, content: str, *flags: str) -> Parsed:
    file = tmp_path / "x.yaml"
    file.write_text(content, encoding="utf-8")
    return parse_settings([str(file), *flags])


def minimal(library: Path, *lines: str) -> str:
    given = {line.split(":")[0] for line in lines}
    base = ["stage: sft", "model_name_or_path: m", "dataset: mine", f"dataset_dir: {library}"]
    return "\n".join([line for line in base if line.split(":")[0] not in given] + list(lines)) + "\n"


def test_the_public_example_config_is_read_and_every_field_shown(tmp_path: Path, library: Path) -> None:
    parsed = parse(tmp_path, EXAMPLE.format(folder=library))
    settings = parsed.settings
    assert settings.model == "Qwen/Qwen3-4B-Instruct-2507"
    assert settings.data == str(library / "mine.json")
    assert (settings.prompt_column, settings.reply_column) == ("instruction", "answer")
    assert settings.dev == "alpaca-zh"
    assert settings.template is None
    assert (settings.method, settings.lora_rank, settings.lora_targets) == ("lora", 8, "all")
    assert (settings.cutoff_len, settings.max_samples, settings.precision) == (2048, 1000, "bf16")
    assert (settings.batch_size, settings.gradient_accumulation_steps, settings.epochs) == (1, 8, 3.0)
    assert (settings.learning_rate, settings.warmup_ratio, settings.lr_scheduler_type) == (1e-4, 0.1, "cosine")
    assert (settings.save_steps, settings.eval_steps, settings.val_size) == (500, 500, 0.1)
    assert settings.output_dir == "saves/qwen3-4b/lora/sft"
    fields = [line.split(":")[0] for line in EXAMPLE.splitlines() if line and not line.startswith("#")]
    assert [told.name for told in parsed.translations] == fields
    assert all(told.becomes or told.note for told in parsed.translations)
    assert "LLaMA-Factory" in parsed.notes[0]


def test_flags_overrule_the_config(tmp_path: Path, library: Path) -> None:
    parsed = parse(tmp_path, minimal(library, "learning_rate: 1e-4"), "learning_rate=1e-5", "--model_name_or_path", "n")
    assert (parsed.settings.learning_rate, parsed.settings.model) == (1e-5, "n")


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("finetuning_type: full", "method", "full"),
        ("finetuning_type: freeze", "method", "top_layers"),
        ("freeze_trainable_layers: 2", "top_layers", 2),
        ("neat_packing: true", "packing", True),
        ("mask_history: true", "learn", "last_reply"),
        ("train_on_prompt: false", "learn", "replies"),
        ("template: default", "template", None),
        ("template: empty", "template", "plain"),
        ("dataset: alpaca_en_demo", "data", "alpaca-en"),
        ("dataset: sms-spam", "data", "sms-spam"),
        ("lora_target: q_proj,v_proj", "lora_targets", ("q_proj", "v_proj")),
        ("early_stopping_steps: 3", "early_stopping_patience", 3),
        ("fp16: true", "precision", "bf16"),
    ],
)
def test_fields_keep_their_meaning(tmp_path: Path, library: Path, line: str, name: str, value: object) -> None:
    assert getattr(parse(tmp_path, minimal(library, line)).settings, name) == value


def test_an_adapter_is_the_model_and_its_base_needs_no_name(tmp_path: Path, library: Path) -> None:
    assert parse(tmp_path, minimal(library, "adapter_name_or_path: runs/x/model")).settings.model == "runs/x/model"


@pytest.mark.parametrize(
    ("line", "problem", "hint"),
    [
        ("stage: dpo", "stage: dpo is not supported", "sft"),
        ("stage: pt", "stage: pt is not supported", "kind: continue"),
        ("dataset: mine,alpaca_en_demo", "dataset: 2 data sets", "one file"),
        ("dataset: [mine, chats]", "dataset: 2 data sets", "one file"),
        ("dataset: minee", "has no data set minee", "did you mean mine?"),
        ("dataset: online", "names no file of this machine", "nothing is downloaded"),
        ("dataset: gone", "there is no", "file_name"),
        ("dataset: ranked", "holds preferences", "one reply"),
        ("train_on_prompt: true", "train_on_prompt: true is not supported", "kind: continue"),
        ("deepspeed: ds_z3_config.json", "deepspeed: ds_z3_config.json is not supported", "one process"),
        ("quantization_bit: 4", "quantization_bit: 4 is not supported", "bf16"),
        ("report_to: wandb", "report_to: wandb is not supported", "none"),
        ("resume_from_checkpoint: saves/x", "resume_from_checkpoint: saves/x is not supported", "weitiao train RUN"),
        ("additional_target: embed_tokens", "additional_target: embed_tokens is not supported", "LoRA"),
        ("finetuning_type: oft", "is oft, but it must be one of full, top_layers, bitfit, lora", "lora"),
        ("freeze_trainable_layers: -2", "is -2, but it must be a whole number, at least 1", "4"),
        ("val_size: 500", "val_size is 500, but it must be a number, at least 0 and at most 0.5", "0.1"),
        ("lora_rnk: 8", "lora_rnk is not a setting", "lora_rank"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_line(
    tmp_path: Path, library: Path, line: str, problem: str, hint: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        parse(tmp_path, minimal(library, line))
    assert problem in raised.value.problem
    assert hint in raised.value.hint


@pytest.mark.parametrize("content", ["{", "[]", '{"mine": 3}', '{"mine": {"file_name": 3}}', "[" * 50_000])
def test_a_broken_dataset_info_is_said(tmp_path: Path, library: Path, content: str) -> None:
    (library / "dataset_info.json").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"dataset_info\.json"):
        parse(tmp_path, minimal(library))


def test_the_command_line_of_llamafactory_works_too(library: Path) -> None:
    flags = ["--stage", "sft", "--do_train", "--finetuning_type", "lora", "--model_name_or_path", "m", "--plot_loss"]
    flags += [
        "--dataset",
        "mine",
        "--dataset_dir",
        str(library),
        "--template",
        "qwen",
        "--bf16",
        "True",
        "--fp16",
        "False",
    ]
    assert parse_settings(flags).settings.precision == "bf16"


def test_own_settings_are_not_taken_for_llamafactory() -> None:
    assert parse_settings(["--model", "m", "--data", "d", "--lora_target", "all"]).notes == ()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("use_dora: true", {"method": "dora"}),
        ("use_rslora: true", {"method": "rslora"}),
        ("pissa_init: true", {"method": "pissa"}),
        ("pissa_init: false", {"method": "lora"}),
        ("loraplus_lr_ratio: 16", {"method": "lora", "lora_plus_ratio": 16.0}),
        ("init_lora_weights: pissa_niter_16", {"method": "pissa"}),
        ("init_lora_weights: true", {"method": "lora"}),
        ("num_virtual_tokens: 20", {"virtual_tokens": 20}),
    ],
)
def test_the_kinds_of_lora_are_methods_beside_finetuning_type(
    tmp_path: Path, library: Path, line: str, wanted: dict[str, object]
) -> None:
    for order in ((line, "finetuning_type: lora"), ("finetuning_type: lora", line)):
        settings = parse(tmp_path, minimal(library, *order)).settings
        assert {name: getattr(settings, name) for name in wanted} == wanted


def test_two_kinds_of_lora_at_once_are_refused(tmp_path: Path, library: Path) -> None:
    with pytest.raises(SettingsError, match=r"use_dora .* use_rslora"):
        parse(tmp_path, minimal(library, "finetuning_type: lora", "use_dora: true", "use_rslora: true"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ia3", "ia3"),
        ("adalora", "adalora"),
        ("prompt_tuning", "prompt"),
        ("P_TUNING", "p_tuning"),
        ("prefix_tuning", "prefix"),
    ],
)
def test_other_trainers_names_of_methods_are_taken(theirs: str, ours: str) -> None:
    assert parse_settings(["--model", "m", "--data", "d", "--peft-type", theirs]).settings.method == ours
