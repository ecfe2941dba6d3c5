"""How often each interval holds the truth: ``python -m benchmarks.coverage [--studies 2000] [NAME …]``.

Simulated studies with known truth go through the very functions that a report uses; a 95 % interval should hold the
truth in 95 % of them. The table stands in ``docs/concepts/intervals.md``; a test runs a short form.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator

from weitiao.evaluation.answers import Answers
from weitiao.evaluation.learning_curve import fitted
from weitiao.evaluation.marked import gold_json
from weitiao.evaluation.metrics import scores
from weitiao.evaluation.repeated import difference_of, resampled, scores_of
from weitiao.example import Span

CATEGORIES = ("ham", "spam")
RARE = 0.2  # of the items
MANY = 100_000  # items of the population that the truth is taken from
Interval = tuple[float, float]
_TEXT = "x" * 1000


@dataclass(frozen=True)
class Study:
    """``draw`` makes a study of ``items`` and gives its intervals by name; ``truth`` is what they should hold."""

    name: str
    items: int
    draw: Callable[[Generator, int], Mapping[str, Interval]]
    truth: Callable[[], Mapping[str, float]]


def held(study: Study, count: int, seed: int = 0) -> dict[str, tuple[float, int]]:
    """Of each interval: in what share of the studies it held the truth, and how many studies had one."""
    random, truth = np.random.default_rng(seed), study.truth()
    found = [study.draw(random, study.items) for _ in range(count)]
    result = {}
    for name, value in truth.items():
        there = [one[name] for one in found if name in one]
        result[name] = (float(np.mean([low <= value <= high for low, high in there])), len(there))
    return result


def classified(
    random: Generator, items: int, skills: Sequence[float], size: int = 1
) -> tuple[list[Answers], list[str]]:
    """A model for each of ``skills``, all of the same items: what is hard for one is often hard for the others.

    The probabilities are a little too sure. Items come in clusters of ``size``, of one kind and alike in difficulty;
    the clusters are named.
    """
    units = items // size
    cluster = np.repeat(np.arange(units), size)
    gold = (random.random(units) < RARE).astype(np.int64)[cluster]
    hard = random.normal(size=units)[cluster] * 0.8
    answers = []
    for skill in skills:
        view = skill * (2 * gold - 1) + hard + random.normal(size=items) * 0.6
        share = 1 / (1 + np.exp(-(2.4 * skill * view + np.log(RARE / (1 - RARE)))))
        answers.append(_named(gold, share))
    return answers, [str(one) for one in cluster]


def one_model(skill: float) -> tuple[Any, Any]:
    """Every metric of one model."""
    names = ("accuracy", "macro_f1", "f1/spam", "recall/spam", "auroc", "ece", "brier", "loss")

    def draw(random: Generator, items: int) -> Mapping[str, Interval]:
        return _intervals(scores(classified(random, items, [skill])[0][0], CATEGORIES))

    return draw, lambda: _truth([classified(_world(), MANY, [skill])[0]], names)


def mean_of_draws(skills: Sequence[float]) -> tuple[Any, Any]:
    """The mean over several draws of answers."""

    def draw(random: Generator, items: int) -> Mapping[str, Interval]:
        bare = [replace(one, probabilities=None) for one in classified(random, items, skills)[0]]
        return _intervals(scores_of(bare, CATEGORIES))

    return draw, lambda: _truth([classified(_world(), MANY, skills)[0]], ("accuracy", "macro_f1"))


def difference(before: Sequence[float], after: float) -> tuple[Any, Any]:
    """After minus before, of which there may be several draws; and of the same at the level of a Holm step."""
    names = ("accuracy", "macro_f1", "brier")

    def draw(random: Generator, items: int) -> Mapping[str, Interval]:
        every, _ = classified(random, items, [*before, after])
        found = {name: difference_of(every[:-1], every[-1:], name, CATEGORIES) for name in names}
        return _intervals({name: one for name, one in found.items() if one is not None})

    def truth() -> Mapping[str, float]:
        every, _ = classified(_world(), MANY, [*before, after])
        first, second = _truth([every[:-1]], names), _truth([every[-1:]], names)
        return {name: second[name] - first[name] for name in names}

    return draw, truth


def clustered(skill: float, size: int) -> tuple[Any, Any]:
    """Items of one cluster are alike; whole clusters are drawn again."""

    def draw(random: Generator, items: int) -> Mapping[str, Interval]:
        (answers,), clusters = classified(random, items, [skill], size)
        return _intervals(scores(replace(answers, probabilities=None), CATEGORIES, clusters=clusters))

    return draw, lambda: _truth([classified(_world(), MANY, [skill], size)[0]], ("accuracy", "macro_f1"))


def spans(found: float) -> tuple[Any, Any]:
    """Texts with no, one or several spans, of which a share is ``found``, more of them in easy texts."""

    def answers(random: Generator, items: int) -> Answers:
        rows = []
        easy, counts = random.beta(8 * found, 8 * (1 - found), items), random.poisson([[1.2], [0.3]], (2, items))
        for item, (right, false) in enumerate(counts.T):
            hit = np.flatnonzero(random.random(right) < easy[item])
            rows.append((_spans(range(right)), _spans([*hit.tolist(), *range(50, 50 + false)])))
        return _texts("mark", [gold for gold, _ in rows], [given for _, given in rows])

    def truth() -> Mapping[str, float]:
        return {"span_f1": 2 * 1.2 * found / (1.2 + 1.2 * found + 0.3), "span_recall": found}

    return lambda random, items: _intervals(scores(answers(random, items), ("name",))), truth


def losses() -> tuple[Any, Any]:
    """Nats per token of texts of very different lengths: a ratio of sums."""

    def draw(random: Generator, items: int) -> Mapping[str, Interval]:
        tokens = random.lognormal(3.5, 0.7, items).astype(np.int64) + 1
        nats = tokens * random.gamma(8.0, 2.0 / 8.0, items)
        texts = _texts("continue", [""] * items, [""] * items)
        return _intervals(scores(replace(texts, loss_sum=nats, loss_count=tokens, byte_count=4 * tokens)))

    return draw, lambda: {"loss": 2.0, "perplexity": float(np.exp(2.0)), "bits_per_byte": 0.5 / np.log(2)}


def doubled(a: float, b: float, c: float) -> tuple[Any, Any]:
    """What twice the labels would bring, by the learning curve through five sizes."""
    sizes = np.array([50.0, 100.0, 200.0, 400.0, 800.0])

    def draw(random: Generator, items: int) -> Mapping[str, Interval]:
        error = a + b * sizes**-c
        error = np.clip(error + 0.02 * random.normal(size=5) * np.sqrt(error), 0.001, 0.99)
        own, shared = random.random((5, items)), random.random(items)
        wrong = np.where(random.random((5, items)) < 0.7, shared, own) < error[:, None]
        weights = random.multinomial(items, np.full(items, 1 / items), 400) / items
        found = fitted(sizes, 1 - wrong.mean(axis=1), 1 - weights @ wrong.T, "accuracy", items)
        return {"doubled": found.doubled[1:]}

    return draw, lambda: {"doubled": b * (800**-c - 1600**-c)}


def studies() -> list[Study]:
    """Every study at every number of items."""
    settings = (
        ("one model", one_model(1.0), (30, 100, 400)),
        ("one model, almost perfect", one_model(2.2), (30, 100, 400)),
        ("difference", difference([0.9], 1.2), (30, 100, 400)),
        ("difference, almost perfect", difference([2.0], 2.2), (30, 100, 400)),
        ("mean of 3 draws", mean_of_draws((0.6, 0.9, 1.3)), (30, 100, 400)),
        ("difference to 3 draws", difference([0.6, 0.9, 1.3], 1.3), (30, 100)),
        ("clusters of 10", clustered(1.0, 10), (200, 400, 900)),
        ("spans", spans(0.8), (30, 100, 400)),
        ("losses", losses(), (30, 100, 400)),
        ("learning curve with a floor", doubled(0.1, 1.0, 0.5), (900,)),
        ("learning curve without a floor", doubled(0.0, 0.8, 0.25), (900,)),
    )
    found = []
    for name, (draw, truth), sizes in settings:
        once = cache(truth)
        found += [Study(name, items, draw, once) for items in sizes]
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help="studies whose name begins so; all without")
    arguments.add_argument("--studies", type=int, default=2000)
    given = arguments.parse_args()
    for study in studies():
        if given.names and not any(study.name.startswith(name) for name in given.names):
            continue
        started = time.process_time()
        found = {name: [round(share, 4), count] for name, (share, count) in held(study, given.studies).items()}
        seconds = round(time.process_time() - started)
        print(json.dumps({"study": study.name, "items": study.items, "held": found, "seconds": seconds}), flush=True)


def _world() -> Generator:
    return np.random.default_rng(2026)


def _truth(arms: Sequence[Sequence[Answers]], names: Sequence[str]) -> dict[str, float]:
    return {name: float(resampled(arms, name, CATEGORIES, replicates=1)[0][0]) for name in names}


def _intervals(found: Mapping[str, Any]) -> dict[str, Interval]:
    return {name: (one.low, one.high) for name, one in found.items()}


def _named(gold: Any, share: Any) -> Answers:
    probabilities = np.column_stack([1 - share, share])
    names = np.array(CATEGORIES)
    bare = _texts("classify", names[gold].tolist(), names[probabilities.argmax(axis=1)].tolist())
    return replace(bare, probabilities=probabilities)


def _spans(places: Sequence[int]) -> str:
    return gold_json([Span(10 * place, 10 * place + 4, "name") for place in places], _TEXT)


def _texts(kind: Any, gold: Sequence[str], given: Sequence[str]) -> Answers:
    ones = np.ones(len(gold), dtype=np.int64)
    return Answers(kind, tuple(gold), tuple(given), None, np.zeros(len(gold)), ones, ones, ones == int(kind == "mark"))


if __name__ == "__main__":
    main()
