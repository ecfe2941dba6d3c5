"""How far a number measured on a test set may lie from the truth: intervals, paired tests, the bootstrap.

Separate because it is arithmetic alone: it knows neither models nor metrics. Every interval is at 95 %, unless the
normal quantile ``z`` of another level is given, as the correction for several comparisons does (:func:`quantile`).

The bootstrap draws items with replacement and hands each draw on as how often every item was drawn, so that a
statistic is a function of weights ``[replicates, items]`` and a thousand draws are one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # weights [replicates, items] -> [replicates, metrics]; NaN where undefined

LEVEL = 0.95
REPLICATES = 1000
POWER = 0.8
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_CHUNK = 1 << 21  # weights held at a time, 16 MB


@dataclass(frozen=True, slots=True)
class Score:
    """A value with its 95 % interval, and the number of items behind it."""

    value: float
    low: float
    high: float
    count: int

    def json(self) -> dict[str, float | int]:
        """``{"value", "low", "high", "count"}``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Difference:
    """After minus before on the same items, with its 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether the test set showed a difference: the interval excludes zero and p < 0.05."""
        return (self.low > 0 or self.high < 0) and self.p < 1 - LEVEL

    def json(self) -> dict[str, float]:
        """``{"value", "low", "high", "p"}``."""
        return asdict(self)


def wilson(successes: float, count: int, z: float = Z) -> Score:
    """The share ``successes / count`` with Wilson's score interval (Wilson, 1927). ``count`` must be positive.

    It keeps its coverage where the bootstrap fails: 20 right of 20 gives [0.84, 1], not [1, 1].
    """
    if count <= 0 or not 0 <= successes <= count:
        raise ValueError(f"not a share: {successes} of {count}")
    share = successes / count
    scale = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Score(share, min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share), count)


def share_limits(successes: int, count: int, z: float = Z) -> tuple[float, float]:
    """The ends of Wilson's interval alone."""
    share = wilson(successes, count, z)
    return share.low, share.high


def mcnemar_exact(fixed: int, broken: int) -> float:
    """Two-sided p of McNemar's exact test: were ``fixed`` and ``broken`` drawn with a fair coin?

    The exact binomial test, not mid-p: it never rejects a true null more often than it says.
    """
    changed = fixed + broken
    ways = tail = 1  # of choosing 0, then 0 or 1, ... of those that changed: whole numbers, exact at any size
    for count in range(1, min(fixed, broken) + 1):
        ways = ways * (changed - count + 1) // count
        tail += ways
    return min(1.0, 2 * tail / (1 << changed))


def quantile(level: float) -> float:
    """How many standard errors an interval of that ``level`` reaches on either side: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def detectable_share(count: int, z: float = Z) -> float:
    """The smallest difference of two paired shares that ``count`` items show, at p < 0.05, in 4 of 5 studies.

    The sample size for McNemar's test at power 1 - beta (Connor, 1987, Biometrics 43:207) is n = (z_alpha/2 sqrt(psi)
    + z_beta sqrt(psi - delta^2))^2 / delta^2, where psi is the share of items that change. Here psi = delta, the best
    case, in which everything that changes is fixed or everything is broken, so n delta = (z_alpha/2 + z_beta sqrt(1 -
    delta))^2, solved for delta. 1 or more: not even a change of everything would be shown; fewer than 6 items cannot
    reach p < 0.05.
    """
    beta = NormalDist().inv_cdf(POWER)
    if 2.0 ** (1 - count) >= 2 * NormalDist().cdf(-z):
        return math.inf
    root = math.sqrt((z * beta) ** 2 - (count + beta**2) * (z**2 - count))
    return 1 - max(0.0, (root - z * beta) / (count + beta**2)) ** 2


def detectable(difference: Difference) -> float:
    """The smallest difference that such a study shows in 4 of 5 cases, by its interval: 2.8 standard errors."""
    return (Z + NormalDist().inv_cdf(POWER)) * (difference.high - difference.low) / (2 * Z)


def resamples(
    items: int, replicates: int = REPLICATES, seed: int = 0, clusters: Sequence[str] | None = None
) -> Iterator[Floats]:
    """How often each item is drawn, chunk by chunk: ``[some replicates, items]``, about 16 MB each.

    Items of one cluster, such as the passages of one document, are drawn together. The same arguments give the same
    draws.
    """
    _, unit_of = np.unique(np.arange(items) if clusters is None else np.asarray(clusters), return_inverse=True)
    units = int(unit_of.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(1, items))
    for start in range(0, replicates, chunk):
        rows = min(chunk, replicates - start)
        drawn = random.integers(0, units, (rows, units)) + np.arange(rows)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)
        yield counts if clusters is None else counts[:, unit_of]


def bootstrap(
    statistic: Statistic,
    items: int,
    replicates: int = REPLICATES,
    seed: int = 0,
    clusters: Sequence[str] | None = None,
) -> Floats:
    """``statistic`` of each resample: ``[replicates, metrics]``.

    Two calls with the same ``items``, ``seed`` and ``clusters`` see the same resamples: their rows are pairs.
    """
    return np.concatenate([statistic(weights) for weights in resamples(items, replicates, seed, clusters)])


def percentile_interval(value: float, replicates: Floats, units: int, z: float = Z) -> tuple[float, float]:
    """The expanded percentile interval (Hesterberg, 2015, arXiv:1411.5279, section 5): right for few units too.

    The plain percentile interval is too narrow by sqrt((n - 1) / n) and takes a normal quantile for Student's.
    ``units`` is the number of items, or clusters, that were resampled. Undefined replicates are left out; ``value``
    is always within.
    """
    defined = replicates[np.isfinite(replicates)]
    if not defined.size or units < 2:
        return value, value
    tail = NormalDist().cdf(-math.sqrt(units / (units - 1)) * _student(units - 1, z))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return min(float(low), value), max(float(high), value)


def bootstrap_p(value: float, replicates: Floats, units: int) -> float:
    """Two-sided p of a difference that is ``value``, from its bootstrap ``replicates``: (1 + k) / (1 + replicates).

    k counts the replicates that lie at least as far from ``value`` as ``value`` lies from zero: the replicates, moved
    to where there is no difference, that are as extreme. Never 0, and 1 when ``value`` is 0; never less than that of
    ``units`` fair coins that all fall alike, which is as much as so few items can say.
    """
    defined = replicates[np.isfinite(replicates)]
    extreme = np.abs(defined - value) >= abs(value) * (1 - 1e-9)
    return max((1 + int(extreme.sum())) / (1 + defined.size), 2.0 ** (1 - units))


def paired_bootstrap(value: float, replicates: Floats, units: int, z: float = Z) -> Difference:
    """The difference ``value`` with its interval and p from ``replicates`` of it: differences of the same resamples."""
    low, high = percentile_interval(value, replicates, units, z)
    return Difference(value, low, high, bootstrap_p(value, replicates, units))


def difference_interval(before: Score, after: Score, correlation: float = 0.0) -> tuple[float, float]:
    """The interval of after minus before from their two intervals and the ``correlation`` of the two values.

    The square-and-add interval (Newcombe, 1998, Statistics in Medicine 17:2635, method 10; Zou and Donner, 2008). It
    keeps its coverage where few items changed and the bootstrap does not: of 30 items, 67 % of the studies.
    """
    value = after.value - before.value
    low = _joined(after.value - after.low, before.high - before.value, correlation)
    high = _joined(after.high - after.value, before.value - before.low, correlation)
    return value - low, value + high


def mean_interval(values: Floats, lows: Floats, highs: Floats, correlation: Floats) -> tuple[float, float]:
    """The interval of the mean of several estimates from theirs; ``correlation`` is ``[estimates, estimates]``.

    The method of variance estimates recovery (Zou and Donner, 2008, Statistics in Medicine 27:1693).
    """
    value, down, up = float(values.mean()), values - lows, highs - values
    low = math.sqrt(max(float(down @ correlation @ down), 0.0)) / len(values)
    high = math.sqrt(max(float(up @ correlation @ up), 0.0)) / len(values)
    return value - low, value + high


def correlations(covariance: Floats, undefined: float) -> Floats:
    """The correlations of a ``covariance`` ``[estimates, estimates]``; ``undefined`` with one that does not vary."""
    deviation = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    scale = np.outer(deviation, deviation)
    varies = scale > 1e-18
    found: Floats = np.where(varies, np.clip(covariance / np.where(varies, scale, 1.0), -1.0, 1.0), undefined)
    np.fill_diagonal(found, 1.0)
    return found


def _joined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0))


def _student(freedom: int, z: float) -> float:
    """Student's quantile at the level where the normal one is ``z``, to three digits; exact for 1 and 2.

    Abramowitz and Stegun (1964), 26.7.5.
    """
    inside = 1 - 2 * NormalDist().cdf(-z)
    if freedom <= 2:
        return math.tan(math.pi * inside / 2) if freedom == 1 else inside * math.sqrt(2 / (1 - inside**2))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / math.pow(freedom, power + 1) for power, term in enumerate(terms))
