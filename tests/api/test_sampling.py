"""Sampling settings are numbers within bounds, and a wrong one names its bounds."""

from typing import Any

import pytest

from weitiao.api.sampling import make_sampling
from weitiao.errors import SettingsError
from weitiao.models.generate import Sampling


def test_what_is_not_given_stays() -> None:
    start = make_sampling({"temperature": "0.7", "top_k": 5, "seed": None})
    assert start == Sampling(temperature=0.7, top_k=5)
    assert make_sampling({"top_p": 0.5}, start) == Sampling(temperature=0.7, top_k=5, top_p=0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1), ("temperature", "nan"), ("temperature", 1e308), ("temperature", "hot"),
        ("top_k", 1.5), ("top_k", "1.5"), ("top_k", -1), ("top_p", 0), ("top_p", 1.1), ("min_p", "-0.1"),
        ("repetition_penalty", 0), ("max_new_tokens", 0), ("max_new_tokens", "1e9"), ("max_new_tokens", 10**12),
        ("seed", -1), ("seed", 2**63), ("seed", float("inf")),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_bounds(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"{name} is ") as caught:
        make_sampling({name: value})
    assert f"{name} must be a" in caught.value.hint


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="temprature is not a setting") as caught:
        make_sampling({"temprature": 1})
    assert "temperature" in caught.value.hint
