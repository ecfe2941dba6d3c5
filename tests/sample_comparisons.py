"""Whole ``report.json`` of comparisons: one category of two, several categories, replies, marks.

Separate because the tests of the page, the Markdown and the documented schema all read them. Made up, but consistent:
accuracy and the like are counted from the items.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sample_reports
from sample_reports import HAM, SPAM
from weitiao.evaluation.statistics import wilson

QUESTION = "Is the following message spam or ham? Answer with one word."
SYSTEM = {"role": "system", "content": "You are a helpful AI assistant named SmolLM, trained by Hugging Face"}


@dataclass(frozen=True)
class Way:
    """An arm to make up: how good, how long to prepare and for an item, tokens, draws, what it was set to."""

    family: str
    good: float
    prepare: float
    item: float
    tokens: int = 0
    draws: int = 1
    unusable: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)


def _shots(count: int, draws: int, choice: str) -> dict[str, Any]:
    return {"shots": count, "draws": draws, "chosen": choice, "questions": ["question, empty line, text"]}


WAYS: dict[str, Way] = {
    "majority": Way("baseline", 0.875, 0.002, 4e-8),
    "small": Way("small", 0.978, 2.9, 0.00019, settings={"features": "words 1-2, characters 1-5", "C": 8.0}),
    "embedding": Way("small", 0.962, 41.2, 0.0089, settings={"encoder": "minilm-l6"}),
    "zero-shot": Way("prompt", 0.31, 0, 0.021, 31_450, draws=3, settings={"questions": ["plain", "options", "role"]}),
    "few-shot-2": Way("prompt", 0.52, 0, 0.034, 96_900, draws=3, settings=_shots(2, 3, "balanced")),
    "few-shot-8": Way("prompt", 0.71, 0, 0.082, 289_000, draws=3, settings=_shots(8, 3, "balanced")),
    "few-shot-32": Way("prompt", 0.845, 0, 0.261, 1_054_000, draws=3, settings=_shots(32, 3, "balanced")),
    "nearest-8": Way("prompt", 0.925, 0.4, 0.097, 301_750, settings=_shots(8, 1, "nearest")),
    "endpoint": Way("endpoint", 0.941, 0, 0.74, 62_100, unusable=0.021, settings={"model": "large-model", "shots": 0}),
    "parent": Way("parent", 0.9, 0, 0.022, 31_450, settings={"run": "runs/2026-11-01-messages"}),
    "tuned-lora": Way(
        "tuned", 0.985, 271.0, 0.021, 31_450, draws=2, settings={"method": "lora", "learning_rate": 3e-4}
    ),
}


def classify_comparison(rows: int = 850, ways: Mapping[str, Way] = WAYS, seed: int = 7) -> dict[str, Any]:
    """Spam or ham, by every kind of arm, with every part that a report can have."""
    items = [_classified(random.Random(seed * 10_000 + index), index, ways) for index in range(rows)]
    arms = [_arm(name, way, items, "accuracy", _binary_details) for name, way in ways.items()]
    for arm in arms:
        if arm["details"]["calibration"]:
            arm["scores"]["ece"] = _around(0.012 + 0.2 * (1 - arm["scores"]["accuracy"]["value"]), 0.008, rows)
    made = _comparison("2026-11-24-sms-spam", "classify", "accuracy", items, arms)
    return {
        **made,
        "verdict": [
            "Tuning beats the best prompt by 6 points [4, 8] on 850 items; the small model is not shown to be worse "
            "than tuning (−0.7 points [−2.1, 0.6]) at a hundredth of the cost; general English text got 0.3 % worse.",
            "Cheapest among those not shown to be worse: the small model, 190 µs an item.",
        ],
        "task": {"kind": "classify", "question": QUESTION, "categories": ["ham", "spam"], "several": False},
        "curve": _curve("accuracy", ("tuned-lora", "small")),
        "slices": _slices(items, arms, ("ham", "spam")),
        "threshold": _threshold(rows),
        "side_effects": _side_effects(),
    }


def several_comparison(rows: int = 400) -> dict[str, Any]:
    """Texts with several of many categories at once; no probabilities, no curve, nothing measured elsewhere."""
    names = ["billing", "delivery", "returns", "账户", "技术问题", "投诉", "praise", "other"]
    ways = {name: WAYS[name] for name in ("small", "zero-shot", "few-shot-8", "tuned-lora")}
    chance = random.Random(3)
    items = []
    for index in range(rows):
        gold = sorted(chance.sample(names, chance.choice((1, 1, 1, 2))), key=names.index)
        text = f"The parcel came late, and half of it was broken. 包裹迟到了，还坏了一半。({index})"
        items.append(
            _item(f"tickets.jsonl:{index}", text, ", ".join(gold), ways, lambda gold: gold.split(",")[0] + " ", index)
        )
    arms = [_arm(name, way, items, "exact_match", lambda *_: {"omitted": {}}) for name, way in ways.items()]
    for arm in arms:
        arm["scores"]["micro_f1"] = _around(arm["scores"]["exact_match"]["value"] * 0.9, 0.02, rows)
        arm["details"]["calibration"] = []
    made = _comparison("2026-11-24-tickets", "classify", "exact_match", items, arms)
    return {
        **made,
        "task": {"kind": "classify", "question": "Which topics?", "categories": names, "several": True},
        "slices": _slices(items, arms, tuple(names)),
        "curve": None,
        "threshold": None,
        "side_effects": None,
    }


def reply_comparison(rows: int = 120) -> dict[str, Any]:
    """Instructions in Chinese: the loss decides, lower is better, and free text can be unusable."""
    ways = {
        "small": Way("small", 0.2, 1.4, 0.0003),
        "zero-shot": Way("prompt", 0.5, 0, 1.31, 52_000, unusable=0.08, settings={"questions": ["plain"]}),
        "few-shot-2": Way("prompt", 0.55, 0, 1.62, 99_000, draws=3, settings=_shots(2, 3, "seeded")),
        "tuned-lora": Way("tuned", 0.8, 840.0, 1.12, 47_000),
    }
    made_up = "机器学习就是从数据里学习规律。"
    items = [
        _item(
            f"alpaca_zh.json:{index}",
            f"请用一句话解释第 {index} 个概念。",
            made_up,
            ways,
            lambda _: "I am a helpful assistant.",
            index,
        )
        for index in range(rows)
    ]
    for item in items:
        item["right"], item["confidence"] = {}, {}
    arms = [_arm(name, way, [], "", lambda *_: {"items": rows, "omitted": {}}) for name, way in ways.items()]
    losses = {"zero-shot": 2.41, "few-shot-2": 2.33, "tuned-lora": 1.87}
    for arm in arms:
        if arm["name"] in losses:
            arm["scores"] = {"loss": _around(losses[arm["name"]], 0.09, rows)}
        arm["scores"]["chrf"] = _around(12 + 12 * ways[arm["name"]].good, 2.1, rows)
        arm["spread"] = _spread(ways[arm["name"]], arm["scores"].get("loss", {}).get("value", 0.0), 0.03)
    made = _comparison("2026-11-24-alpaca-zh", "reply", "loss", items, arms)
    return {
        **made,
        "task": {"kind": "reply", "question": "", "categories": [], "several": False},
        "curve": None,
        "threshold": None,
        "side_effects": _side_effects(),
    }


def mark_comparison(rows: int = 300) -> dict[str, Any]:
    """Named entities: few arms, and types in place of categories."""
    ways = {name: WAYS[name] for name in ("small", "zero-shot", "nearest-8", "tuned-lora")}
    items = [
        _item(
            f"tweets.conll:{9 * index}",
            "Ada Lovelace was born in London .",
            "Ada Lovelace: person · London: place",
            ways,
            lambda _: "London: person",
            index,
        )
        for index in range(rows)
    ]
    arms = [_arm(name, way, items, "span_f1", lambda *_: {"omitted": {}}) for name, way in ways.items()]
    made = _comparison("2026-11-24-tweets-ner", "mark", "span_f1", items, arms)
    return {
        **made,
        "task": {"kind": "mark", "question": "Which names?", "categories": ["person", "place"], "several": False},
        "slices": _slices(items, arms, ()),
        "curve": _curve("span_f1", ("tuned-lora", "small")),
        "threshold": None,
        "side_effects": {**_side_effects(), "parents": []},
    }


COMPARISONS: dict[str, Callable[[], dict[str, Any]]] = {
    "classify": lambda: classify_comparison(rows=160),
    "several": lambda: several_comparison(rows=120),
    "reply": lambda: reply_comparison(rows=40),
    "mark": lambda: mark_comparison(rows=60),
}


def _comparison(
    name: str, kind: str, headline: str, items: list[dict[str, Any]], arms: list[dict[str, Any]]
) -> dict[str, Any]:
    about = sample_reports.classify_report(rows=850)
    reference = next(arm for arm in arms if arm["name"] == "tuned-lora")
    others = [arm for arm in arms if arm is not reference and headline in arm["scores"]]
    return {
        "version": 1,
        "form": "comparison",
        "comparison": name,
        "created": "2026-11-24T07:55:10+00:00",
        "weitiao": "0.1.0",
        "command": f"weitiao compare --model smollm2-135m-instruct --data {name[11:]}",
        "verdict": [f"A sentence about {name}."],
        "model": about["model"] | {"license": "apache-2.0"},
        "data": about["data"],
        "items_count": len(items),
        "headline": headline,
        "reference": reference["name"],
        "arms": arms,
        "left_out": [{"name": "tuned-prompt", "reason": "it was not asked for"}],
        "differences": {arm["name"]: _difference(reference, arm, headline, len(others)) for arm in others},
        "above_baseline": _above_baseline(arms, headline),
        "detectable": 0.021,
        "slices": {"length": [], "category": []},
        "items": items,
        "cost": {"seconds": 842.0, "cpu_seconds": 1533.0, "peak_memory_bytes": 1_934_000_000},
        "settings": about["settings"],
        "lineage": about["lineage"],
    }


def _classified(chance: random.Random, index: int, ways: Mapping[str, Way]) -> dict[str, Any]:
    spam = chance.random() < 0.125
    gold, other = ("spam", "ham") if spam else ("ham", "spam")
    text = f"{chance.choice(SPAM if spam else HAM)} ({index})"
    item = _item(f"sms.csv:{index * 5 + 2}", text, gold, ways, lambda _: other, index)
    if "majority" in ways:
        item["answers"]["majority"], item["right"]["majority"] = "ham", gold == "ham"
        item["confidence"].pop("majority")
    return item


def _item(
    source: str, text: str, gold: str, ways: Mapping[str, Way], wrong: Callable[[str], str], seed: int
) -> dict[str, Any]:
    chance = random.Random(seed)
    right = {name: chance.random() < way.good for name, way in ways.items()}
    sure = {name: round(1 - 0.5 * chance.random() ** (4 if right[name] else 1.2), 3) for name in ways}
    answers = {name: gold if right[name] else wrong(gold) for name in ways}
    return {"source": source, "text": text, "gold": gold, "answers": answers, "confidence": sure, "right": right}


def _arm(
    name: str, way: Way, items: list[dict[str, Any]], metric: str, details: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    count = len(items)
    scores = {metric: wilson(sum(item["right"][name] for item in items), count).json()} if items else {}
    value = scores[metric]["value"] if items else 0.0
    paid = {"amount": 0.031, "currency": "USD"} if way.family == "endpoint" else None
    return {
        "name": name,
        "family": way.family,
        "settings": dict(way.settings),
        "scores": scores,
        "details": details(name, items, value),
        "spread": _spread(way, value, 0.012 + 0.06 * (way.family == "prompt")),
        "unusable": wilson(round(way.unusable * 850), 850).json() if way.unusable else None,
        "cost": {
            "prepare_seconds": way.prepare,
            "answer_seconds": way.item * max(count, 1),
            "seconds_per_item": way.item,
            "tokens": way.tokens,
            "money": paid,
        },
        "prompt": _prompt(way) if way.tokens else [],
        "run": "runs/tuned-lora" if way.family == "tuned" else "",
    }


def _spread(way: Way, value: float, far: float) -> dict[str, Any] | None:
    if way.draws < 2:
        return None
    of = "questions" if len(way.settings.get("questions", [])) > 1 else "seeds" if way.family == "tuned" else "draws"
    steps = [2 * index / (way.draws - 1) - 1 for index in range(way.draws)]
    names = (
        list(way.settings["questions"]) if of == "questions" else [f"{of[:-1]} {index}" for index in range(way.draws)]
    )
    return {
        "of": of,
        "values": [round(value + far * step - (value <= 1 < value + far) * far, 4) for step in steps],
        "names": names,
    }


def _prompt(way: Way) -> list[dict[str, str]]:
    turns = [SYSTEM]
    for index in range(int(way.settings.get("shots", 0))):
        text, label = (SPAM[index % len(SPAM)], "spam") if index % 2 else (HAM[index % len(HAM)], "ham")
        turns += [{"role": "user", "content": f"{QUESTION}\n\n{text}"}, {"role": "assistant", "content": label}]
    return [*turns, {"role": "user", "content": f"{QUESTION}\n\n{HAM[2]}"}]


def _binary_details(name: str, items: list[dict[str, Any]], value: float) -> dict[str, Any]:
    bins = []
    for tenth in range(10):
        held = [
            item
            for item in items
            if name in item["confidence"] and tenth / 10 <= item["confidence"][name] < tenth / 10 + 0.1 + (tenth == 9)
        ]
        right = sum(item["right"][name] for item in held)
        share = wilson(right, len(held)) if held else None
        mean = sum(item["confidence"][name] for item in held) / len(held) if held else None
        row = {"low": tenth / 10, "high": (tenth + 1) / 10, "count": len(held), "confidence": mean}
        bins.append({**row, "accuracy": share and share.value, "interval": share and [share.low, share.high]})
    known = any(one["count"] for one in bins)
    return {"items": len(items), "majority": {"category": "ham", "share": 0.875}, "omitted": {}} | {
        "calibration": bins if known else []
    }


def _difference(reference: dict[str, Any], arm: dict[str, Any], metric: str, count: int) -> dict[str, Any]:
    one, other = reference["scores"][metric], arm["scores"][metric]
    value = one["value"] - other["value"]
    half = 1.2 * math.hypot(one["high"] - one["low"], other["high"] - other["low"]) / 2
    p = math.erfc(abs(value) / half * 1.7)
    ends = {"value": value, "low": value - half, "high": value + half, "p": p, "adjusted_p": min(1.0, p * count)}
    return {**ends, "level": 1 - 0.05 / count, "shown": abs(value) > half and p * count < 0.05}


def _above_baseline(arms: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    known = {arm["family"]: arm for arm in arms}
    others = [arm for arm in arms if arm["family"] != "baseline"] if "baseline" in known else []
    return {arm["name"]: _difference(arm, known["baseline"], metric, len(others)) for arm in others}


def _curve(metric: str, names: Sequence[str]) -> dict[str, Any]:
    sizes = (50, 100, 200, 400, 800, 1600, 3238)
    shapes = {"tuned-lora": (0.012, 2.4, 0.72), "small": (0.018, 1.1, 0.55)}
    arms, fits = {}, {}
    for name in names:
        floor, factor, power = shapes[name]

        def value(labels: float, floor: float = floor, factor: float = factor, power: float = power) -> float:
            return max(0.0, 1 - floor - factor * labels**-power)

        points = [(size, value(size) + 0.006 * math.sin(size)) for size in sizes]
        arms[name] = [
            {
                "labels": size,
                "score": _around(shown, 0.05 * size**-0.2, 850),
                "seconds": 0.08 * size if name != "small" else 0.0009 * size,
            }
            for size, shown in points
        ]
        drawn = [50 * 1.35**step for step in range(17)]
        line = [
            [size, value(size), value(size) - 0.25 * size**-0.45, min(1.0, value(size) + 0.2 * size**-0.45)]
            for size in drawn
        ]
        said = "About 1,900 more labels [700, 6,200] would bring 2 points more in accuracy."
        more = {"answer": "needed", "step": 0.02, "more": [1900.0, 700.0, 6200.0], "doubled": [0.012, 0.004, 0.02]}
        fits[name] = {"curve": line, "sentence": said, **more}
    return {"metric": metric, "arms": arms, "fits": fits}


def _slices(items: list[dict[str, Any]], arms: list[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    def scored(held: list[dict[str, Any]]) -> dict[str, Any]:
        return {arm["name"]: wilson(sum(item["right"][arm["name"]] for item in held), len(held)).json() for arm in arms}

    third = len(items) // 3
    cuts = (
        ("short", 2, 44, items[:third]),
        ("middle", 45, 98, items[third : 2 * third]),
        ("long", 99, 910, items[2 * third :]),
    )
    category = []
    for name in names:
        held = [item for item in items if name in item["gold"]]
        category.append({"name": name, "count": len(held), "scores": scored(held)})
    length = [
        {"name": name, "from": low, "to": high, "count": len(held), "scores": scored(held)}
        for name, low, high, held in cuts
    ]
    return {"length": length, "category": category}


def _threshold(rows: int) -> dict[str, Any]:
    return {
        "arm": "tuned-lora",
        "categories": ["ham", "spam"],
        "costs": [[0.0, 10.0], [1.0, 0.0]],
        "weights": [1.0, 0.31],
        "plain": _around(0.059, 0.021, rows),
        "cost": _around(0.031, 0.014, rows),
        "difference": {"value": -0.028, "low": -0.049, "high": -0.009, "p": 0.004},
    }


def _side_effects() -> dict[str, Any]:
    worse = {"value": 0.011, "low": 0.004, "high": 0.018, "p": 0.002}
    same = {"value": 0.006, "low": -0.012, "high": 0.025, "p": 0.51}
    parent = {"value": -0.021, "low": -0.044, "high": 0.002, "p": 0.07}
    return {
        "general": {
            "en": {"before": _around(3.412, 0.11, 40), "after": _around(3.423, 0.11, 40), "difference": worse},
            "zh": {"before": _around(4.871, 0.16, 40), "after": _around(4.877, 0.16, 40), "difference": same},
        },
        "parents": [
            {
                "run": "runs/2026-11-01-messages",
                "task": "Which topic has this message?",
                "metric": "macro_f1",
                "before": _around(0.812, 0.03, 300),
                "after": _around(0.791, 0.03, 300),
                "difference": parent,
            }
        ],
        "note": "40 short passages of general text in each language.",
    }


def _around(value: float, half: float, count: int) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "count": count}
