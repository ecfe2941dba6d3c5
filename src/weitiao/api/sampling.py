"""The sampling settings that people give, checked: how the next token is chosen when a model writes.

Separate because ``chat``, its ``/set`` and ``predict`` take the same names with the same bounds.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping

from weitiao.errors import SettingsError
from weitiao.models.generate import Sampling
from weitiao.words import t

_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_k": (0, 1_000_000),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0),
    "max_new_tokens": (1, 1_048_576),
    "seed": (0, 2**63 - 1),
}
_WHOLE = ("top_k", "max_new_tokens", "seed")
NAMES = tuple(_BOUNDS)


def make_sampling(given: Mapping[str, float | str | None], start: Sampling = Sampling()) -> Sampling:  # noqa: B008 - frozen
    """``start`` with the settings in ``given``, numbers or texts; None is as if left out. Raises SettingsError."""
    values: dict[str, float | int] = {name: getattr(start, name) for name in NAMES}
    for name, value in given.items():
        if name not in _BOUNDS:
            raise _unknown(name)
        if value is not None:
            values[name] = _number(name, value)
    make: Callable[..., Sampling] = Sampling
    return make(**values)


def _number(name: str, value: float | str) -> float | int:
    low, high = _BOUNDS[name]
    try:
        number = _whole(value) if name in _WHOLE else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if low <= number <= high and not (name == "top_p" and number == 0):
        return number
    rule = t("a whole number") if name in _WHOLE else t("a number")
    raise SettingsError(
        t("{name} is {value}", name=name, value=str(value)[:60]),
        t("{name} must be {rule} from {low} to {high}", name=name, rule=rule, low=f"{low:g}", high=f"{high:g}"),
    )


def _unknown(name: str) -> SettingsError:
    near = difflib.get_close_matches(name, NAMES, n=1)
    hint = t("did you mean {names}?", names=near[0]) if near else t("there are: {names}", names=", ".join(NAMES))
    return SettingsError(t("{where} is not a setting", where=name[:60]), hint)


def _whole(value: float | str) -> int:
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError(value)
    return number
