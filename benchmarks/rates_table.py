"""The trials of :mod:`benchmarks.rates` as the table of docs/concepts/defaults.md and its twin.

``python -m benchmarks.rates_table`` prints the lines of the newest ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from benchmarks import results

FOLDER = results.FOLDER / "rates"
_SETUP = ("model", "data", "method", "batch", "steps", "warmup", "rank")  # what two rates have in common


def main() -> None:
    for line in lines(newest()):
        print(line)


def newest() -> list[dict[str, Any]]:
    """The trials of the newest file that is kept."""
    return list(results.read(max(FOLDER.glob("*.json")))["trials"])


def lines(trials: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each set-up: the loss that every rate ended with, and how far each is from the best of them."""
    for (model, data, method, batch, steps, warmup, rank), group in groupby(sorted(trials, key=_order), key=_setup):
        rates = list(group)
        best = min(rates, key=_last)
        more = [f"{batch} × {steps}"] + [f"rank {rank}"] * (rank != 16) + [f"warm-up {warmup:g}"] * (warmup != 0.1)
        found = "; ".join(f"{each['rate']:.0e}: {_compared(each, best)}".replace("e-0", "e-") for each in rates)
        yield f"| {model} | {data} | {method} | {', '.join(more)} | {rates[0]['curve'][0][1]:.3f} | {found} |"


def difference(trial: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """How much higher the trial's last loss is, in nats a token, with the standard error over pairs of rows."""
    apart = [mine - its for mine, its in zip(trial["heldout_nats"], other["heldout_nats"], strict=True)]
    asked = sum(trial["heldout_nats"]) / _last(trial)
    count, mean = len(apart), sum(apart) / len(apart)
    scatter = sum((each - mean) ** 2 for each in apart) * count / (count - 1)
    return sum(apart) / asked, scatter**0.5 / asked


def _compared(trial: dict[str, Any], best: dict[str, Any]) -> str:
    if trial is best:
        return f"**{_last(trial):.3f}**"
    return "{:.3f} (+{:.3f} ± {:.3f})".format(_last(trial), *difference(trial, best))


def _last(trial: dict[str, Any]) -> float:
    return float(trial["curve"][-1][1])


def _setup(trial: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(trial[name] for name in _SETUP)


def _order(trial: dict[str, Any]) -> tuple[Any, ...]:
    return (*_setup(trial), trial["rate"])


if __name__ == "__main__":
    main()
