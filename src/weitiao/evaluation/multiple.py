"""Several ways to do a task against one of them: the more are looked at, the more one looks good by chance.

Separate because one difference (``repeated.py``) knows nothing of the others. Holm's step-down correction (Holm, 1979,
Scandinavian Journal of Statistics 6:65) keeps the chance that any of the claims is wrong under 5 %, whatever ties the
comparisons together. Each interval is at the level of its step, 1 - 0.05 / (comparisons left), so that a claim and the
interval beside it never disagree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from weitiao.evaluation.answers import Answers
from weitiao.evaluation.chance import chance_p
from weitiao.evaluation.repeated import difference_of
from weitiao.evaluation.statistics import LEVEL, POWER, Difference, detectable_share, quantile

REPLICATES = 4000  # of ten comparisons the first interval leaves 0.25 % on either side: ten replicates
COUNTED = ("accuracy", "exact_match")  # shares of items that are right or wrong


@dataclass(frozen=True, slots=True)
class Compared:
    """Reference minus arm. The interval is at ``level``; ``adjusted_p`` is corrected for all arms compared."""

    value: float
    low: float
    high: float
    p: float
    adjusted_p: float
    level: float

    @property
    def shown(self) -> bool:
        """Whether a difference was shown, after correction: adjusted p < 0.05 and the interval excludes zero."""
        return self.adjusted_p < 1 - LEVEL and (self.low > 0 or self.high < 0)

    def json(self) -> dict[str, Any]:
        """``{"value", "low", "high", "p", "adjusted_p", "level", "shown"}``."""
        return asdict(self) | {"shown": self.shown}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each: p times the number of comparisons left at its step, never less than a step before."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, p_values[index] * (len(p_values) - step)))
        adjusted[index] = least
    return adjusted


def compared(
    reference: str,
    arms: Mapping[str, Sequence[Answers]],
    metric: str,
    categories: Sequence[str] = (),
    clusters: Sequence[str] | None = None,
) -> dict[str, Compared]:
    """``reference`` minus each other arm in ``metric``, where it is defined in both; each arm has one or more draws.

    Raises ``ValueError`` unless all answer the same items in the same order.
    """

    def against(name: str, z: float) -> Difference | None:
        return difference_of(arms[name], arms[reference], metric, categories, clusters, z, REPLICATES)

    return _corrected([name for name in arms if name != reference], against)


def above_baseline(
    baseline: str,
    arms: Mapping[str, Sequence[Answers]],
    metric: str,
    categories: Sequence[str] = (),
    clusters: Sequence[str] | None = None,
) -> dict[str, Compared]:
    """Each other arm minus ``baseline``, which always gives the commonest answer: does anything work?

    An F1 of answers that have nothing to do with the texts may be above such a baseline's, so an F1 must be more than
    these answers would have got by chance, too (``chance.py``): p is the larger of the two.
    """

    def against(name: str, z: float) -> Difference | None:
        found = difference_of(arms[baseline], arms[name], metric, categories, clusters, z, REPLICATES)
        by_chance = chance_p(arms[name], metric, categories)
        return found if found is None else replace(found, p=max(found.p, by_chance))

    return _corrected([name for name in arms if name != baseline], against)


def smallest_shown(found: Mapping[str, Compared], metric: str, items: int) -> float | None:
    """The smallest difference in ``metric`` that such a comparison shows in 4 of 5 cases, after correction.

    That of a typical arm, the median over ``found``, by its interval. Of a share of items right never less than
    ``statistics.detectable_share``. None where nothing was compared, or ``items`` (or clusters) are too few to show
    anything.
    """
    strictest = quantile(1 - (1 - LEVEL) / max(1, len(found)))
    least = detectable_share(items, strictest)
    if not found or math.isinf(least):
        return None
    beta = statistics.NormalDist().inv_cdf(POWER)
    errors = [(one.high - one.low) / (2 * quantile(one.level)) for one in found.values()]
    typical = (strictest + beta) * statistics.median(errors)
    return max(typical, least) if metric in COUNTED else typical


def _corrected(names: Sequence[str], against: Callable[[str, float], Difference | None]) -> dict[str, Compared]:
    plain = {name: found for name in names if (found := against(name, quantile(LEVEL))) is not None}
    p_values = [one.p for one in plain.values()]
    result = {}
    for (name, one), level, p in zip(plain.items(), _levels(p_values), holm(p_values), strict=True):
        at_level = (one if level == LEVEL else against(name, quantile(level))) or one
        result[name] = Compared(one.value, at_level.low, at_level.high, one.p, p, level)
    return result


def _levels(p_values: Sequence[float]) -> list[float]:
    """The level of each step: that at which the step decides, from the first that shows nothing on its own."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable").tolist()
    failed = next((step for step, index in enumerate(order) if p_values[index] * (count - step) >= 1 - LEVEL), count)
    levels = [LEVEL] * count
    for step, index in enumerate(order):
        levels[index] = 1 - (1 - LEVEL) / (count - min(step, failed))
    return levels
