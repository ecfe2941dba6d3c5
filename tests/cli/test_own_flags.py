"""A command's own flags are taken out in every form, and the settings stay as they were written."""

import pytest

from weitiao.cli.own_flags import refuse_unused, take_flags
from weitiao.errors import SettingsError


def test_every_form_of_a_flag_is_the_same() -> None:
    for words in (["--top-k", "5"], ["--top_k=5"], ["top_k=5"], ["--top-k=5"]):
        assert take_flags(["RUN", *words, "--data", "x"], ("top_k",)) == ({"top_k": "5"}, ["RUN", "--data", "x"])


def test_a_switch_takes_no_value_and_a_value_may_be_negative() -> None:
    found, others = take_flags(["--raw", "RUN", "--temperature", "-1"], ("temperature",), ("raw",))
    assert (found, others) == ({"raw": "yes", "temperature": "-1"}, ["RUN"])


def test_a_word_is_no_flag() -> None:
    assert take_flags(["raw", "top_k"], ("top_k",), ("raw",)) == ({}, ["raw", "top_k"])


@pytest.mark.parametrize("arguments", [["--top-k"], ["--top-k", "--seed", "1"]])
def test_a_missing_value_is_named(arguments: list[str]) -> None:
    with pytest.raises(SettingsError, match="--top-k needs a value"):
        take_flags(arguments, ("top_k",))


def test_a_setting_without_effect_is_refused() -> None:
    refuse_unused(["data"], ("data", "model"), "predict")
    with pytest.raises(SettingsError, match="weitiao predict has no use for epochs, packing") as caught:
        refuse_unused(["packing", "epochs", "data"], ("data", "model"), "predict")
    assert "data, model" in caught.value.hint
