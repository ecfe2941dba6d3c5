"""Everything that people get wrong in settings ends in one clear error with exit code 2, in bounded time."""

import os
import time
from pathlib import Path

import pytest

from weitiao.errors import SettingsError
from weitiao.settings import parse_settings

NEEDED = ["--model", "tiny", "--data", "rows.csv"]


def error(*arguments: str) -> SettingsError:
    with pytest.raises(SettingsError) as raised:
        parse_settings([*NEEDED, *arguments])
    assert raised.value.exit_code == 2
    assert raised.value.hint
    return raised.value


def error_of(tmp_path: Path, content: str | bytes) -> SettingsError:
    file = tmp_path / "x.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return error(str(file))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("epochs: 1\nseed: 2\nepochs: 1\n", "x.yaml: epochs stands twice: in line 1 and in line 3"),
        ("\nlerning_rate: 1\n", "x.yaml:2: lerning_rate is not a setting"),
        ("data: !!python/object/apply:os.system ['id']", "x.yaml:1: YAML tags (tag:yaml.org,2002:python/object/apply"),
        ("seed: !!int 3", "x.yaml:1: YAML tags (tag:yaml.org,2002:int) are not used here"),
        ("!!map {seed: 3}", "x.yaml:1: YAML tags"),
        ("a: &a [x]\nb: &b [*a, *a]\n", "x.yaml:1: YAML anchors (&a) are not used here"),
        ("seed: *a\n", "x.yaml:1: YAML aliases (*name) are not used here"),
        ("<<: 3\n", "x.yaml:1: << is not a setting"),
        ("seed: {a: 1}\n", "x.yaml:1: settings are flat"),
        ("training:\n  seed: 1\n", "x.yaml:2: settings are flat"),
        ("lora_targets: [[q]]\n", "x.yaml:1: a list may hold only plain values"),
        ("? [a]\n: 1\n", "x.yaml:1: a setting's name must be plain text"),
        ("- seed\n- 1\n", "x.yaml:1: a settings file is a list of lines"),
        ("just text\n", "x.yaml:1: a settings file is a list of lines"),
        ("seed: 1\n---\nseed: 2\n", "x.yaml:2: a second YAML document starts here"),
        ('seed: "1\n', "x.yaml:2: this is not YAML"),
        ("seed: 1\n\tepochs: 1\n", "this is not YAML"),
        ("seed: \x07\n", "this is not YAML"),
        ('dev: "\\UFFFFFFFF"\n', "this is not YAML"),
        ('dev: "a\\0b"\n', "x.yaml:1: dev is a\\x00b, but it must not contain control characters"),
        (
            'dev: "a\\ud800b"\n',
            "x.yaml:1: dev is a\\ud800b, but it must not contain control characters or broken Unicode",
        ),
        ('dev: " "\n', "dev is  , but it must be text that is not empty"),
        (
            "learning_rate: -1e-4\n",
            "x.yaml:1: learning_rate is -1e-4, but it must be a number, more than 0 and at most 1",
        ),
        ("learning_rate: 0\n", "x.yaml:1: learning_rate is 0, but it must be a number, more than 0 and at most 1"),
        ("learning_rate: .nan\n", "x.yaml:1: learning_rate is .nan, but it must be a number"),
        ("learning_rate: nan\n", "x.yaml:1: learning_rate is nan, but it must be a number"),
        ("weight_decay: .inf\n", "x.yaml:1: weight_decay is .inf, but it must be a number"),
        ("max_grad_norm: 1e999\n", "x.yaml:1: max_grad_norm is 1e999, but it must be a number"),
        ("lora_alpha: -0.0\n", "x.yaml:1: lora_alpha is -0.0, but it must be a number, more than 0"),
        ("epochs: 1,5\n", "x.yaml:1: epochs is 1,5, but it must be a number"),
        ("epochs: [1]\n", "x.yaml:1: epochs is 1, but it must be a number"),
        ("lora_r: 0\n", "x.yaml:1: lora_r (lora_rank) is 0, but it must be a whole number, at least 1"),
        ("seed: 1.5\n", "x.yaml:1: seed is 1.5, but it must be a whole number"),
        ("packing: maybe\n", "x.yaml:1: packing is maybe, but it must be yes or no"),
        ("method: lorra\n", "x.yaml:1: method is lorra, but it must be one of full, top_layers, bitfit, lora"),
        ("lora_targets: ''\n", "x.yaml:1: lora_targets is , but it must be all, or names"),
        ("template: qwen\n", "x.yaml:1: template is qwen, but it must be one of plain, chatml, or the path"),
        (
            "metric_for_best_model: acuracy\n",
            "x.yaml:1: metric_for_best_model is acuracy, but it must be one of accuracy",
        ),
        ("warmup_steps: 600\nmax_steps: 500\n", "x.yaml:1: warmup_steps is 600, but there are only 500 steps"),
        ("warmup_steps: 6\nwarmup_ratio: 0.1\n", "x.yaml:1: warmup_steps (6) and warmup_ratio (0.1) are both given"),
        ("val_size: 0.5\ntest_size: 0.5\n", "x.yaml:1: val_size (0.5) and test_size (0.5) leave nothing"),
        ("version: 2\n", "x.yaml:1: version: 2 is a newer version than 1"),
        ("version: one\n", "x.yaml:1: version: one is a newer version than 1, or none"),
        ("lora_r: 8\nlora_rank: 16\n", "x.yaml:1: lora_r (lora_rank) is 8, but x.yaml:2: lora_rank is 16"),
        ("seed: 1\nepochs: 1\n".encode("utf-16"), "x.yaml:1 is not UTF-8 (byte 0xff)"),
        ("seed: 1\ndata: r\xe9sum\xe9.csv\n".encode("latin-1"), "x.yaml:2 is not UTF-8 (byte 0xe9)"),
        ("dev: x\n" * 50_000, "x.yaml is larger than 256 KiB"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_its_line(tmp_path: Path, content: str | bytes, problem: str) -> None:
    raised = error_of(tmp_path, content)
    assert problem in raised.problem.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["--lerning-rate", "1"], "--lerning-rate is not a setting", "did you mean --learning-rate?"),
        (["Learning_Rate=1"], "Learning_Rate is not a setting", "did you mean learning_rate?"),
        (["--zzz", "1"], "--zzz is not a setting", "weitiao train --help"),
        (["--epochs"], "--epochs needs a value", "--epochs VALUE"),
        (["--epochs", "--seed", "1"], "--epochs needs a value", "--epochs VALUE"),
        (["-e", "1"], "there is no short flag -e", "write the name out"),
        (["lora"], "unexpected lora", "--lora-rank"),
        (["--learning-rate", "-1"], "--learning-rate is -1, but", "learning_rate: How far"),
        (
            ["--lr", "1e-3", "--learning-rate", "2e-3"],
            "--lr (learning_rate) is 1e-3, but --learning-rate is 2e-3",
            "once",
        ),
        (["--max-steps", "9" * 5000], "--max-steps is 99999", "max_steps: Stop"),
        (["--no-epochs", "1"], "--no-epochs is not a setting", "did you mean --epochs?"),
        (["--val-size", "500"], "--val-size is 500, but it must be a number, at least 0 and at most 0.5", "default"),
        (["--stage", "dpo"], "--stage: dpo is not supported", "sft"),
        (["--dev", "a\x1b[31m.csv"], "--dev is a\\x1b[31m.csv", "dev:"),
    ],
)
def test_a_wrong_flag_is_refused_with_a_way_out(arguments: list[str], problem: str, hint: str) -> None:
    raised = error(*arguments)
    assert problem in raised.problem
    assert hint in raised.hint
    assert len(raised.problem) < 400


def test_several_wrong_settings_are_said_at_once() -> None:
    raised = error("--seed", "x", "--epochs", "-1", "--batch-size", "0")
    assert raised.problem.startswith("3 settings are wrong:")
    assert all(flag in raised.problem for flag in ("--seed", "--epochs", "--batch-size"))


def test_the_same_value_under_two_names_is_fine() -> None:
    assert parse_settings([*NEEDED, "--lr", "1e-3", "--learning-rate", "0.001"]).settings.learning_rate == 1e-3


def test_what_is_required_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="not given: model, data") as raised:
        parse_settings([])
    assert "--model smollm2-135m-instruct --data" in raised.value.hint


def test_a_missing_file_names_the_near_ones(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("seed: 1\n", encoding="utf-8")
    raised = error(str(tmp_path / "setings.yaml"))
    assert "there is no settings file" in raised.problem
    assert "did you mean settings.yaml?" in raised.hint


def test_a_folder_or_a_pipe_is_no_settings_file(tmp_path: Path) -> None:
    assert "is a folder" in error(str(tmp_path)).problem
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "is not a regular file" in error(str(tmp_path / "pipe.yaml")).problem


def test_two_settings_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("seed: 1\n", encoding="utf-8")
    assert "2 settings files" in error(str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")).problem


def test_a_mark_at_the_start_of_the_file_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfseed: 3\r\nepochs: 2\r\n")
    assert parse_settings([*NEEDED, str(file)]).settings.seed == 3


def test_deep_nesting_costs_nothing(tmp_path: Path) -> None:
    started = time.process_time()
    for content in ("seed: " + "[" * 100_000, "seed: " + "{a: " * 50_000, "\n".join("- " * n for n in range(1, 300))):
        error_of(tmp_path, content)
    assert time.process_time() - started < 2


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    started = time.process_time()
    assert "anchors" in error_of(tmp_path, "\n".join(lines)).problem
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("/", "is the root or home folder"),
        ("~", "is the root or home folder"),
        ("rows.csv", "is a file"),
        ("rows.csv/run", "lies under a file"),
        ("texts/run", "lies inside data"),
        ("texts", "lies inside data"),
        ("texts/../texts/a/b", "lies inside data"),
        ("base/run", "lies inside model"),
    ],
)
def test_an_output_folder_that_would_do_harm_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n", encoding="utf-8")
    (tmp_path / "texts").mkdir()
    (tmp_path / "base").mkdir()
    with pytest.raises(SettingsError, match=reason) as raised:
        parse_settings(["--model", "base", "--data", "texts", "--output-dir", folder])
    assert raised.value.problem.startswith("output_dir ")
    parse_settings(["--model", "base", "--data", "texts", "--output-dir", "texts2/run"])
