"""What an arm costs, in words: to prepare it, for each item, in tokens and in money.

Separate because the ladder, the plot's axis and the Markdown write the same times, from microseconds to hours.
"""

from collections.abc import Mapping
from typing import Any

from weitiao.evaluation.sections import duration
from weitiao.words import t


def pace(seconds: float) -> str:
    """A time that may be far below a second: ``2.4 s``, ``34 ms``, ``12 µs``."""
    if seconds >= 1:
        return t("{seconds} s", seconds=f"{seconds:.1f}".removesuffix(".0")) if seconds < 10 else duration(seconds)
    if seconds >= 0.0009995:
        return t("{count} ms", count=_three(seconds * 1e3))
    return t("{count} µs", count=_three(seconds * 1e6)) if seconds >= 1e-6 else t("under 1 µs")


def arm_costs(cost: Mapping[str, Any]) -> list[str]:
    """What is known of an arm's cost, one short phrase each; a preparation that took no time is not told."""
    said = []
    if cost["prepare_seconds"]:
        said.append(t("{time} to prepare", time=pace(cost["prepare_seconds"])))
    if cost["seconds_per_item"]:
        said.append(t("{time} an item", time=pace(cost["seconds_per_item"])))
    if cost["tokens"]:
        said.append(t("{count} tokens", count=f"{cost['tokens']:,.0f}"))
    if cost["money"]["amount"] is not None:
        said.append(money(cost["money"]))
    return said


def money(amount: Mapping[str, Any]) -> str:
    """``0.42 USD``, with as many decimals as a small sum needs."""
    digits = 2 if amount["amount"] >= 0.1 or not amount["amount"] else 4
    return f"{amount['amount']:,.{digits}f} {amount['currency']}".rstrip()


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0")
