"""Would more labels help? The learning curve of a model at several numbers of labels, and how sure it is.

A saturating power law, error(n) = a + b n^-c, is fitted to what a model reached at each size (Cortes et al., 1993,
NIPS 6; Hestness et al., 2017, arXiv:1712.00409; Viering and Loog, 2021, arXiv:2103.10948). Its uncertainty is that of
the items, by the bootstrap, and that of the trainings, by how far the sizes lie from the curve. Separate because it
looks ahead: nothing else here says anything about data that are not there. It says nothing beyond ten times the labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from weitiao.evaluation.answers import Answers
from weitiao.evaluation.ladder_words import Amount, metric_name
from weitiao.evaluation.measures import measure
from weitiao.evaluation.repeated import resampled
from weitiao.evaluation.statistics import Floats, percentile_interval
from weitiao.words import t

FAR = 10  # times the labels that there are: how far the curve is followed
MANY = 4  # times the labels that there are: as many as one might hope to get
FEWEST_SIZES = 4  # of three parameters, one is left to see how far the sizes scatter
STEP = 0.02  # the gain that is asked for: of a scale that ends, or of the loss that is left
Answer = Literal["needed", "flat", "unclear"]

_POWERS = np.geomspace(0.05, 2.0, 60)
_POINTS = 40


@dataclass(frozen=True, slots=True)
class CurveFit:
    """``value(n) = best - a - b n^-c``, or a + b n^-c of a loss.

    ``answer``: "needed" when ``more`` labels (value, low, high) bring ``step`` more; "flat" when not even four times
    the labels do; "unclear" else. ``doubled`` is what twice the labels bring (value, low, high): positive is better.
    ``curve`` has rows (labels, value, low, high).
    """

    metric: str
    labels: int
    a: float
    b: float
    c: float
    answer: Answer
    step: float
    more: tuple[float, float, float] | None
    doubled: tuple[float, float, float]
    curve: tuple[tuple[float, float, float, float], ...]

    def json(self) -> dict[str, Any]:
        """``{"curve", "sentence", "answer", "step", "more", "doubled"}``, the sentence in the current language."""
        found = {
            "curve": [list(row) for row in self.curve],
            "answer": self.answer,
            "step": self.step,
            "more": list(self.more) if self.more else None,
            "doubled": list(self.doubled),
        }
        return found | {"sentence": curve_sentence(self.metric, found)}


def curve_sentence(metric: str, found: Mapping[str, Any]) -> str:
    """Whether more labels would help, in the current language; ``found`` as :meth:`CurveFit.json` gives it."""
    lower = not measure(metric).higher_is_better
    values = {"metric": metric_name(metric), "size": Amount(found["step"], 0.0, 2 * found["step"], metric).size}
    if found["more"] is not None:
        count, low, high = (f"{_two_digits(number):,}" for number in found["more"])
        values |= {"count": count, "interval": f"[{low}, {high}]"}
        if lower:
            return t("About {count} more labels {interval} would lower the {metric} by {size}.", **values)
        return t("About {count} more labels {interval} would bring {size} more in {metric}.", **values)
    if found["answer"] == "flat":
        return t("More labels will not help: even four times as many bring less than {size} in {metric}.", **values)
    value, low, high = found["doubled"]
    gain = Amount(value, low, high, metric)
    return t(
        "How many more labels would help cannot be said: twice as many would bring {size} in {metric} {interval}.",
        **values | {"size": gain.size, "interval": gain.interval},
    )


def fit(
    sizes: Sequence[int],
    draws_per_size: Sequence[Sequence[Answers]],
    metric: str,
    categories: Sequence[str] = (),
    clusters: Sequence[str] | None = None,
) -> CurveFit:
    """The curve through what a model reached at each of ``sizes`` (labels), with one or more draws of answers at each.

    Raises ``ValueError`` for fewer than four sizes, and where a draw has no such metric.
    """
    if len(set(sizes)) < FEWEST_SIZES or min(sizes) <= 0:
        raise ValueError(f"a learning curve needs {FEWEST_SIZES} sizes or more, all positive, not {list(sizes)}")
    values, replicates = resampled(draws_per_size, metric, categories, clusters)
    units = len(set(clusters)) if clusters is not None else len(draws_per_size[0][0])
    return fitted(np.asarray(sizes, dtype=np.float64), values, replicates, metric, units)


def fitted(sizes: Floats, values: Floats, replicates: Floats, metric: str, units: int) -> CurveFit:
    """The curve through ``values`` [sizes]; ``replicates`` [replicates, sizes] are of the same resamples of items."""
    best, sign = _scale(metric)
    errors, resampled_errors = best - sign * values, best - sign * replicates[np.isfinite(replicates).all(axis=1)]
    deviation = np.maximum(resampled_errors.std(axis=0), 1e-6)
    (line,) = _power_laws(sizes, errors[None], deviation)
    scatter = _scatter(sizes, errors, line, deviation)
    lines = _power_laws(sizes, resampled_errors + scatter(len(resampled_errors)), deviation)
    labels, step = int(sizes.max()), STEP * (100 if measure(metric).unit == "hundred" else 1)
    step *= float(_error(line, sizes.max())) if measure(metric).unit == "amount" else 1.0

    def gain(times: float) -> tuple[float, float, float]:
        one, every = (_error(found, labels) - _error(found, times * labels) for found in (line, lines))
        return (float(one), *percentile_interval(float(one), every, units))

    answer, more = _more_labels(line, lines, labels, step, gain(MANY)[2])
    along = np.geomspace(sizes.min(), FAR * labels, _POINTS)
    rows = []
    for number in along:
        value = float(_error(line, number))
        low, high = percentile_interval(value, _error(lines, number), units)
        ends = sorted(sign * (best - end) for end in (low, high))
        rows.append((float(number), sign * (best - value), ends[0], ends[1]))
    a, b, c = (float(one) for one in line)
    return CurveFit(metric, labels, a, b, c, answer, step, more, gain(2), tuple(rows))


def _scale(metric: str) -> tuple[float, int]:
    """The best value there is, and whether more is better: error = best - sign * value."""
    known = measure(metric)
    if not known.higher_is_better:
        return 0.0, -1
    return (100.0 if known.unit == "hundred" else 1.0), 1


def _power_laws(sizes: Floats, errors: Floats, deviation: Floats) -> Floats:
    """a, b, c of each row of ``errors`` [rows, sizes]: weighted least squares with a, b >= 0, over a grid of c."""
    weight = 1 / deviation**2
    best, least = np.zeros((len(errors), 3)), np.full(len(errors), np.inf)
    for power in _POWERS:
        falling = (sizes / sizes.max()) ** -power
        total, cross, square = weight.sum(), weight @ falling, weight @ falling**2
        level, along = errors @ weight, errors @ (weight * falling)
        b = (along * total - level * cross) / (square * total - cross**2)
        a = (level - b * cross) / total
        b = np.where(a < 0, along / square, b)
        a = np.where(b < 0, level / total, a)
        a, b = np.maximum(a, 0.0), np.maximum(b, 0.0)
        off = ((errors - a[:, None] - b[:, None] * falling) ** 2) @ weight
        better = off < least
        scaled = b * sizes.max() ** power
        best[better] = np.column_stack([a, scaled, np.full(len(a), power)])[better]
        least = np.minimum(least, off)
    return best


def _error(line: Floats, number: float) -> Any:
    """The error at a ``number`` of labels, of one line [3] or several [lines, 3]."""
    return line[..., 0] + line[..., 1] * float(number) ** -line[..., 2]


def _scatter(sizes: Floats, errors: Floats, line: Floats, deviation: Floats) -> Any:
    """Draws of how far a training lies from the curve by luck, in proportion to each size's own deviation."""
    off = (errors - np.array([_error(line, number) for number in sizes])) / deviation
    luck = np.sqrt((off @ off) / (len(sizes) - 3)) * deviation
    random = np.random.default_rng(0)
    return lambda rows: random.normal(size=(rows, len(sizes))) * luck


def _more_labels(
    line: Floats, lines: Floats, labels: int, step: float, most: float
) -> tuple[Answer, tuple[float, float, float] | None]:
    """Whether labels enough for one ``step`` can be named, or not even four times as many bring it (at ``most``)."""
    if most < step:
        return "flat", None
    needed = np.array([_needed(one, labels, step) for one in (line, *lines)])
    low, high = np.quantile(needed[1:], [0.025, 0.975], method="inverted_cdf")
    if not high <= (FAR - 1) * labels:
        return "unclear", None
    return "needed", (float(np.clip(needed[0], low, high)), float(low), float(high))


def _needed(line: Floats, labels: int, step: float) -> float:
    a, b, c = line
    left = _error(line, labels) - step - a
    return float((b / left) ** (1 / c) - labels) if left > 0 and b > 0 else float("inf")


def _two_digits(number: float) -> int:
    """To two significant digits, at least one label."""
    return max(1, round(float(f"{number:.1e}")))
