"""Flags, ``name=value`` and YAML become the same settings."""

from pathlib import Path

import pytest

from weitiao.errors import SettingsError
from weitiao.settings import Settings, make_settings, parse_settings
from weitiao.settings.aliases import ALIASES, CANONICAL
from weitiao.settings.foreign import CONVERSIONS
from weitiao.settings.forms import forms
from weitiao.settings.unneeded import SWITCHES, unneeded, unsupported

NEEDED = ["--model", "tiny", "--data", "rows.csv"]


def settings(*arguments: str) -> Settings:
    return parse_settings([*NEEDED, *arguments]).settings


@pytest.mark.parametrize(
    "spelling",
    [
        ["--learning-rate", "1e-3"],
        ["--learning_rate", "1e-3"],
        ["--learning-rate=1e-3"],
        ["learning_rate=1e-3"],
        ["learning-rate=0.001"],
        ["--lr", "1E-3"],
    ],
)
def test_every_spelling_of_a_setting_gives_the_same(spelling: list[str]) -> None:
    assert settings(*spelling).learning_rate == 0.001


def test_yaml_and_flags_are_mixed_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("model: tiny\ndata: rows.csv\nepochs: 3\nlora_rank: 8\n", encoding="utf-8")
    parsed = parse_settings(["epochs=1", str(file), "--no-packing"])
    assert (parsed.settings.epochs, parsed.settings.lora_rank, parsed.settings.packing) == (1.0, 8, False)
    assert parsed.given == {"model", "data", "epochs", "lora_rank", "packing"}
    assert parsed.translations == ()


def test_a_flag_wins_over_the_file_under_another_name_too(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("num_train_epochs: 3\n", encoding="utf-8")
    assert settings(str(file), "--epochs", "1").epochs == 1.0


def test_null_means_as_if_left_out(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("epochs: null\ndev: ~\ntest:\nval_size: null\n", encoding="utf-8")
    parsed = parse_settings([*NEEDED, str(file)])
    assert parsed.given == {"model", "data"}
    assert parsed.settings.val_size == 0.1
    file.write_text("epochs: 3\n", encoding="utf-8")
    assert settings(str(file), "epochs=null").epochs is None


def test_the_schema_types_what_yaml_1_1_would_mistake(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    lines = ["text_column: no", "label_column: 08", "prompt_column: 12:30:45", "learning_rate: 1e-4", "seed: 08"]
    lines += ["reply_column: 2020-01-01", "packing: off", "question: 'null'", "max_samples: 1_000", "epochs: 1E0"]
    file.write_text("\n".join(lines), encoding="utf-8")
    found = settings(str(file))
    assert found.text_column == "no"
    assert found.label_column == "08"
    assert found.prompt_column == "12:30:45"
    assert found.reply_column == "2020-01-01"
    assert found.learning_rate == 1e-4
    assert (found.seed, found.packing, found.question, found.max_samples) == (8, False, "null", 1000)


@pytest.mark.parametrize("value", ["q_proj,v_proj", "q_proj, v_proj"])
def test_lists_are_written_with_commas_or_as_yaml_lists(value: str, tmp_path: Path) -> None:
    assert settings("--lora-targets", value).lora_targets == ("q_proj", "v_proj")
    file = tmp_path / "x.yaml"
    file.write_text("target_modules:\n  - q_proj\n  - v_proj\n", encoding="utf-8")
    assert settings(str(file)).lora_targets == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--packing"], True),
        (["--packing", "no"], False),
        (["--neat_packing"], True),
        (["--no-sample-packing"], False),
        (["packing=true"], True),
    ],
)
def test_switches_stand_alone_or_take_a_word(arguments: list[str], expected: bool) -> None:
    assert settings(*arguments).packing is expected


def test_a_switch_does_not_eat_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("epochs: 2\n", encoding="utf-8")
    parsed = parse_settings([*NEEDED, "--packing", str(file)])
    assert (parsed.settings.packing, parsed.settings.epochs) == (True, 2.0)


@pytest.mark.parametrize("alias", sorted(CANONICAL))
def test_every_alias_is_accepted_and_its_canonical_name_said(alias: str) -> None:
    examples = {"whole": "8", "number": "0.25", "switch": "true", "text": "plain", "names": "q_proj"}
    form = forms()[CANONICAL[alias]]
    value = form.choices[0] if form.choices and form.shape == "choice" else examples[form.shape]
    needed = [] if form.name == "model" else ["--model", "m"]
    needed += [] if form.name == "data" else ["--data", "d"]
    parsed = parse_settings([*needed, f"{alias}={value}"])
    assert form.name in parsed.given
    assert [(told.name, told.becomes) for told in parsed.translations] == [(alias, f"{form.name}: {value}")]


def test_no_name_means_two_things() -> None:
    others = [name for names in ALIASES.values() for name in names]
    assert len(others) == len(set(others))
    groups = [set(forms()), set(unneeded()), set(unsupported())]
    assert not (set(others) & set(forms()))
    for foreign in groups[1:]:
        assert not foreign & (set(others) | set(forms()) | set(CONVERSIONS))
    assert not set(unneeded()) & set(unsupported())
    assert {name for name in SWITCHES if name not in {*CONVERSIONS, *unneeded(), *unsupported()}} == set()


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("warmup=0.1", "warmup_ratio", 0.1),
        ("warmup=100", "warmup_steps", 100),
        ("warmup_steps=0.03", "warmup_ratio", 0.03),
        ("bf16=true", "precision", "bf16"),
        ("fp16=true", "precision", "bf16"),
        ("torch_dtype=float32", "precision", "fp32"),
        ("dtype=torch.bfloat16", "precision", "bf16"),
        ("finetuning_type=freeze", "method", "top_layers"),
        ("adapter=lora", "method", "lora"),
        ("use_peft=false", "method", "full"),
        ("target_modules=all-linear", "lora_targets", "all"),
        ("lora_target_linear=true", "lora_targets", "all"),
        ("mask_history=true", "learn", "last_reply"),
        ("metric_for_best_model=eval_loss", "metric_for_best_model", "loss"),
        ("lr_scheduler=constant_with_warmup", "lr_scheduler_type", "constant"),
        ("adapter_name_or_path=runs/x", "model", "runs/x"),
    ],
)
def test_foreign_values_are_translated_and_shown(written: str, name: str, value: object) -> None:
    needed = ["--data", "rows.csv"] + ([] if name == "model" else ["--model", "tiny"])
    parsed = parse_settings([*needed, written])
    assert getattr(parsed.settings, name) == value
    told = [translation.sentence() for translation in parsed.translations]
    assert any(sentence.startswith(written.replace("=", ": ") + f" → {name}: ") for sentence in told)


@pytest.mark.parametrize("name", sorted(unsupported()))
def test_what_is_not_supported_may_be_off_but_not_on(name: str) -> None:
    parsed = parse_settings([*NEEDED, f"{name}=false"])
    assert [told.becomes for told in parsed.translations] == [""]
    with pytest.raises(SettingsError, match=f"{name}: 4 is not supported"):
        settings(f"{name}=4")


def test_secrets_are_not_shown() -> None:
    (told,) = parse_settings([*NEEDED, "hf_hub_token=hf_abc"]).translations
    assert "hf_abc" not in told.sentence()


@pytest.mark.parametrize("tracker", ["wandb", "all", "tensorboard"])
def test_another_tracker_is_refused_with_what_to_do(tracker: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings("--report_to", tracker)
    assert tracker in raised.value.problem
    assert "events.jsonl" in raised.value.hint


def test_a_word_can_be_the_value_of_a_setting() -> None:
    parsed = parse_settings(["rows.csv", "--seed", "3"], word="data", required=("data",))
    assert (parsed.settings.data, parsed.settings.seed, parsed.settings.model) == ("rows.csv", 3, "")


def test_a_settings_file_can_be_named_with_config(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("seed: 3\n", encoding="utf-8")
    parsed = parse_settings(["rows.csv", "--config", str(file)], word="data", required=("data",))
    assert (parsed.settings.data, parsed.settings.seed) == ("rows.csv", 3)


def test_python_values_become_settings() -> None:
    made = make_settings({"model": Path("m"), "data": "d", "lora_targets": ["q_proj"], "epochs": 2, "dev": None})
    assert made == Settings(model="m", data="d", lora_targets=("q_proj",), epochs=2.0)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"epochs": "2"}, "epochs is 2, but it must be a number"),
        ({"seed": True}, "seed is True, but it must be a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"method": "lorra"}, "method is lorra, but it must be one of full, top_layers, bitfit, lora"),
        ({"lora_r": 8}, "lora_r is not a setting"),
    ],
)
def test_python_values_are_strict(values: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        make_settings({"model": "m", "data": "d", **values})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().seed = 1  # type: ignore[misc]
