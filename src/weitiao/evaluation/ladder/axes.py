"""Axes that several plots share: the marks of a measure, and of a quantity that grows by factors.

Separate because the ladder, the slices and the curves must place equal numbers equally.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from weitiao.evaluation.measures import Measure, axis_text
from weitiao.evaluation.svg import position, ticks


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of one measure: its marks, of which the outer ones are its ends, and their decimals."""

    measure: Measure
    marks: tuple[float, ...]
    digits: int

    def across(self, value: float) -> str:
        """Where ``value`` lies from left to right, in percent."""
        return position(value, self.marks[0], self.marks[-1])

    def down(self, value: float) -> str:
        """Where ``value`` lies from the top, in percent."""
        return position(self.marks[-1] - value, 0, self.marks[-1] - self.marks[0])

    def words(self, mark: float) -> str:
        """The mark as it is written."""
        return axis_text(self.measure.unit, mark, self.digits)


def axis_over(measure: Measure, values: Iterable[float], count: int = 5) -> Axis:
    """The axis that holds ``values`` and does not go beyond what the measure can be."""
    held = list(values) or [0.0, 1.0]
    low, high = min(held), max(held)
    bottom, top = measure.limits or (-math.inf, math.inf)
    low, high = max(low, bottom), min(high, top)
    marks, digits = ticks(low, high, count) if high > low else ticks(low - 0.02, high + 0.02, count)
    kept = [mark for mark in marks if bottom - 1e-9 <= mark <= top + 1e-9]
    digits = max(0, digits - 2) if measure.unit == "share" else digits
    return Axis(measure, tuple(kept if len(kept) > 1 else marks), digits)


@dataclass(frozen=True, slots=True)
class Factors:
    """An axis on which equal steps are equal factors."""

    low: float
    high: float
    marks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where ``value`` lies, from 0 to 1."""
        return min(1.0, max(0.0, math.log(value / self.low) / math.log(self.high / self.low)))

    def across(self, value: float) -> str:
        """Where ``value`` lies from left to right, in percent."""
        return position(self.share(value), 0.0, 1.0)


def factors_over(values: Iterable[float], room: float = 1.25, most: int = 7) -> Factors:
    """The axis that holds the positive ``values`` with some room; marks at 1, 2, 5 or at powers of ten."""
    held = list(values)
    low, high = min(held) / room, max(held) * room
    if high / low < 4:
        low, high = low / 2, high * 2
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        marks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(marks) <= most:
            break
    every = math.ceil(len(marks) / most)
    return Factors(low, high, tuple(marks[:: max(1, every)]))
