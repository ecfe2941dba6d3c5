"""settings.yaml holds every setting, and reading it gives the same settings."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.errors import SettingsError
from weitiao.settings import Settings, comparison_names, comparison_yaml, parse_settings, settings_yaml
from weitiao.settings.allowed import METRICS
from weitiao.settings.forms import Form, forms

TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t:#'\"\\{}[]*&!|>%@`, "),
    min_size=1,
    max_size=60,
)


PIECES = [
    "seed",
    ": ",
    "\n",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a",
    "*a",
    "!!x",
    "|",
    ">",
    '"',
    "'",
    "#",
    "?",
    "%",
    "\t",
    "1e4",
]
YAML_PIECES = st.lists(st.sampled_from(PIECES), max_size=20).map("".join).map(str.encode)


def values(form: Form) -> st.SearchStrategy[Any]:
    special = {
        "output_dir": st.just("runs/new one"),
        "template": st.sampled_from(["plain", "a b.jinja"]),
        "metric_for_best_model": st.sampled_from([*METRICS, "f1/垃圾 #短信"]),
        "warmup_steps": st.none(),
        "tokenizer": st.none(),  # for fresh models alone
        "curve": st.sampled_from(["auto", "off", "50,100, 200"]),
        "val_size": st.floats(0, 0.4),
        "test_size": st.floats(0, 0.5),
    }
    named = st.lists(TEXT.filter(lambda text: text.strip() == text and "," not in text), min_size=1, max_size=3)
    shapes = {
        # A model or data that is a folder here, such as "/", may hold the output folder, which is refused.
        "text": TEXT.filter(lambda text: bool(text.strip()) and not Path(text).is_dir()),
        "whole": st.integers(int(form.least or 0), int(form.most or 10**9) - int(form.most_open)),
        "number": st.floats(form.least, form.most or 1e6, exclude_min=form.least_open, exclude_max=form.most_open),
        "switch": st.booleans(),
        "choice": st.sampled_from(form.choices or ("",)),
        "names": named.map(tuple).filter(lambda names: names != ("all",)) | st.just("all"),
    }
    strategy = special.get(form.name, shapes[form.shape])
    return st.none() | strategy if form.optional else strategy


OF_A_RUN = [name for name in forms() if name not in comparison_names()]
ANY = st.fixed_dictionaries({name: values(form) for name, form in forms().items()})
ANY_OF_A_RUN = st.fixed_dictionaries({name: values(forms()[name]) for name in OF_A_RUN})


@settings(max_examples=60, deadline=None)
@given(made=ANY_OF_A_RUN, reason=TEXT)
def test_written_and_read_again_is_the_same(made: dict[str, Any], reason: str, tmp_path_factory: Any) -> None:
    before = Settings(**made)
    file = tmp_path_factory.mktemp("round") / "settings.yaml"
    file.write_text(settings_yaml(before, dict.fromkeys(forms(), reason)), encoding="utf-8")
    parsed = parse_settings([str(file)])
    assert parsed.settings == before
    assert parsed.given == {name for name in OF_A_RUN if made[name] is not None}
    assert parsed.translations == ()


@settings(max_examples=60, deadline=None)
@given(made=ANY)
def test_a_comparison_is_written_with_what_is_its_own(made: dict[str, Any], tmp_path_factory: Any) -> None:
    before = Settings(**made)
    file = tmp_path_factory.mktemp("round") / "given.yaml"
    file.write_text(comparison_yaml(before), encoding="utf-8")
    assert parse_settings([str(file)]).settings == before


def test_every_setting_stands_in_the_file_with_its_reason() -> None:
    made = Settings(model="m", data="d", learning_rate=2e-4)
    lines = settings_yaml(made, {"learning_rate": "LoRA learns\nwell at 2e-4"}).splitlines()
    assert "version: 1" in lines
    names = [line.split(":")[0] for line in lines if line and not line.startswith("#")]
    assert names == ["version", *OF_A_RUN]
    (line,) = [line for line in lines if line.startswith("learning_rate")]
    assert line.split() == ["learning_rate:", "0.0002", "#", "LoRA", "learns", "well", "at", "2e-4"]
    assert [line for line in lines if line.startswith("# ")][1:] == [
        "# data", "# model", "# method", "# training", "# evaluation", "# output"
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode) | YAML_PIECES)
def test_no_file_at_all_causes_anything_but_a_settings_error(content: bytes, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.mktemp("any") / "x.yaml"
    file.write_bytes(content)
    try:
        parse_settings([str(file)], required=())
    except SettingsError as error:
        assert error.problem and error.hint


@settings(max_examples=200, deadline=None)
@given(
    arguments=st.lists(
        st.text(max_size=12) | st.sampled_from(["--packing", "--seed", "1", "x=1", "--", "--no-packing"]), max_size=6
    )
)
def test_no_command_line_causes_anything_but_a_settings_error(arguments: list[str]) -> None:
    try:
        parse_settings(arguments, required=())
    except SettingsError as error:
        assert error.problem


def test_long_texts_in_chinese_stay_readable() -> None:
    question = "这条短信是垃圾短信吗？\u3000请回答。"
    assert f'question: "{question}"' in settings_yaml(Settings(question=question), {})


@pytest.mark.parametrize("text", ["null", "true", "08", "no", "~", "- a", "a: b", "#x", "a\u2028b", "é"])
def test_texts_that_yaml_would_mistake_survive(text: str, tmp_path: Any) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(settings_yaml(Settings(text_column=text), {}), encoding="utf-8")
    assert parse_settings([str(file)], required=()).settings.text_column == text
