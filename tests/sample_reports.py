"""Three whole ``report.json`` as the product writes them: categories, replies, and an evaluation without a "before".

Separate because the tests of the page, the plots and the card all read them. Made up, but consistent.
"""

import random
from typing import Any

from weitiao.evaluation.statistics import wilson

HAM = (
    "Are we still meeting for lunch today?",
    "I'll call you when I get home, ok?",
    "Can you pick up some milk & bread on the way back? Thanks :)",
    "妈妈，我今晚加班，不回家吃饭了。",
    "The report is due on Friday, please send me your part before the meeting.",
)
SPAM = (
    "URGENT! You have won a £900 prize. Call 09061701461 now to claim. Code KL341. Valid 12 hours only.",
    "Free entry in 2 a weekly competition to win final tickets. Text FA to 87121 to receive your entry.",
    "恭喜您中奖了！请立即点击链接领取 iPhone 大奖，仅限今天。",
    "Had your mobile 11 months or more? You are entitled to update to the latest colour phone for free!",
)


def classify_report(rows: int = 812, seed: int = 3) -> dict[str, Any]:
    """Spam or ham, before and after LoRA."""
    items = [_classified(random.Random(seed * 10_000 + index), index) for index in range(rows)]
    before, after = (_classify_side(items, side) for side in ("before", "after"))
    return {
        **_about("2026-11-24-sms-lora", "classify"),
        "task": {
            "kind": "classify",
            "question": "Is the following message spam or ham? Answer with one word.",
            "categories": ["ham", "spam"],
        },
        "verdict": [
            "Tuning raised accuracy from 63.5 % to 99.0 % (+35.5 points [32.1, 38.8], n = 812).",
            "Tuning raised macro-F1 from 48.2 % to 97.7 % (+49.5 points [46.4, 52.7], n = 812).",
        ],
        "data": _sms_data(rows),
        "before": before,
        "after": after,
        "difference": {
            name: _difference(before["scores"][name], after["scores"][name])
            for name in before["scores"]
            if name != "f1/none"
        },
        "items": items,
        "mask": _mask(),
    }


def reply_report(rows: int = 60, seed: int = 5) -> dict[str, Any]:
    """Instructions in Chinese and English, before and after full tuning; no difference is clear for BLEU."""
    chance = random.Random(seed)
    score = {
        "loss": ((2.412, 2.301, 2.529), (1.874, 1.772, 1.983), (-0.538, -0.601, -0.472, 0.001)),
        "perplexity": ((11.16, 9.98, 12.54), (6.51, 5.88, 7.26), (-4.65, -5.6, -3.8, 0.001)),
        "bits_per_byte": ((1.204, 1.13, 1.28), (0.941, 0.88, 1.01), (-0.263, -0.31, -0.22, 0.001)),
        "exact_match": ((0.0, 0.0, 0.06), (0.05, 0.017, 0.137), (0.05, 0.0, 0.117, 0.25)),
        "chrf": ((14.2, 12.1, 16.5), (22.8, 19.9, 25.9), (8.6, 6.2, 11.2, 0.001)),
        "bleu": ((3.1, 1.9, 4.4), (4.0, 2.6, 5.6), (0.9, -0.7, 2.4, 0.31)),
        "rouge_l": ((0.142, 0.121, 0.166), (0.231, 0.199, 0.268), (0.089, 0.06, 0.12, 0.001)),
    }
    sides = {
        side: {name: {**_ends(values[index]), "count": rows} for name, values in score.items()}
        for index, side in enumerate(("before", "after"))
    }
    items = [
        {
            "source": f"alpaca_zh.json:{17 * index + 4}",
            "text": f"user: 请用一句话解释什么是第 {index} 种机器学习方法。",
            "gold": "机器学习是让计算机从数据中学习规律、并用它做出判断的方法。",
            "before": "I am a helpful assistant. " * chance.randint(1, 9),
            "after": "机器学习就是从数据里学习规律。" if index % 5 else "I am a helpful assistant. ",
            "before_confidence": None,
            "after_confidence": None,
            "change": "changed" if index % 5 else "same",
        }
        for index in range(rows)
    ]
    return {
        **_about("2026-11-24-alpaca-zh-full", "reply"),
        "task": {"kind": "reply", "question": "", "categories": []},
        "data": {
            **_sms_data(rows),
            "path": "alpaca_zh.json",
            "counts": {"train": {"": 280}, "dev": {"": 40}, "test": {"": rows}},
        },
        "before": {"scores": sides["before"], "details": {}},
        "after": {"scores": sides["after"], "details": {}},
        "difference": {name: {**_ends(values[2]), "p": values[2][3]} for name, values in score.items()},
        "items": items,
        "evaluations": [
            {"step": 20 * index, "scores": {"loss": 2.2 - 0.1 * index}, "best": index == 3} for index in range(1, 5)
        ],
        "mask": [{"text": "<|im_start|>user\n", "learned": False}, {"text": "你好", "learned": False}]
        + [{"text": part, "learned": True} for part in ("你好", "！", "<|im_end|>")],
    }


def evaluation_report(categories: int = 24, rows: int = 600) -> dict[str, Any]:
    """An evaluation of one model over many categories: no "before", no training, no cost."""
    chance = random.Random(11)
    names = [f"{chr(65 + index)}类 {index}" for index in range(categories)]
    matrix = [[0] * categories for _ in names]
    items = []
    for index in range(rows):
        gold = min(int(chance.expovariate(0.15)), categories - 1)
        given = gold if chance.random() < 0.8 else (gold + chance.randint(1, 3)) % categories
        matrix[gold][given] += 1
        item = {
            "source": f"news.jsonl:{index + 1}",
            "text": f"一条新闻 {index}",
            "gold": names[gold],
            "after": names[given],
        }
        items.append({**item, "after_confidence": chance.random(), "change": "right" if gold == given else "wrong"})
    right = sum(item["change"] == "right" for item in items)
    scores = {
        "accuracy": wilson(right, rows).json(),
        "macro_f1": {"value": 0.71, "low": 0.66, "high": 0.76, "count": rows},
    }
    for row, name in enumerate(names):
        if sum(matrix[row]):
            scores[f"recall/{name}"] = wilson(matrix[row][row], sum(matrix[row])).json()
    return {
        "version": 1,
        "run": "runs/2026-11-20-news",
        "created": "2026-11-24T09:12:44Z",
        "weitiao": "0.1.0",
        "task": {"kind": "classify", "question": "这条新闻属于哪一类？", "categories": names},
        "model": {"name": "smollm2-135m-instruct", "parameters": 134515008},
        "data": {"path": "news.jsonl"},
        "after": {"scores": scores, "details": {"confusion": matrix, "omitted": {"ece": "there are no probabilities"}}},
        "items": items,
    }


def with_added(report: dict[str, Any], added: str) -> dict[str, Any]:
    """``report`` with ``added`` in every text and every name of a category; only the product's own codes stay."""
    categories = report["task"]["categories"]

    def changed(value: Any, path: str = "") -> Any:
        if isinstance(value, str):
            return value if path.endswith((".kind", ".change", ".method", ".outcome")) else value + added
        if isinstance(value, dict):
            return {named(name): changed(inner, f"{path}.{name}") for name, inner in value.items()}
        return [changed(inner, path) for inner in value] if isinstance(value, list) else value

    def named(name: str) -> str:
        return name + added if name.split("/")[-1] in categories else name

    return changed(report)


def _about(run: str, kind: str) -> dict[str, Any]:
    headline = "macro_f1" if kind == "classify" else "loss"
    chance = random.Random(1)
    curve = [
        {
            "step": step,
            "loss": 0.12 + 2.9 / (1 + step / 9) + chance.gauss(0, 0.06),
            "learning_rate": 3e-4 * (1 - step / 401),
        }
        for step in range(1, 401)
    ]
    values = [
        (0.81, 0.55),
        (0.90, 0.31),
        (0.945, 0.2),
        (0.962, 0.17),
        (0.955, 0.18),
        (0.951, 0.19),
        (0.953, 0.21),
        (0.94, 0.24),
    ]
    evaluations = [
        {
            "step": 50 * (index + 1),
            "scores": {
                "macro_f1": {"value": value, "low": value - 0.035, "high": min(1.0, value + 0.024), "count": 410},
                "loss": loss,
            },
            "best": index == 3,
        }
        for index, (value, loss) in enumerate(values)
    ]
    return {
        "version": 1,
        "run": run,
        "created": "2026-11-24T07:55:10+00:00",
        "weitiao": "0.1.0",
        "model": {
            "name": "smollm2-135m-instruct",
            "parameters": 134515008,
            "trained": 4884480,
            "method": "lora" if kind == "classify" else "full",
            "precision": "fp32",
            "note": "a 4-bit copy, dequantised",
        },
        "curve": curve,
        "evaluations": evaluations,
        "cost": {
            "seconds": 221.4,
            "cpu_seconds": 431.0,
            "tokens": 412_330,
            "tokens_per_second": 1862.0,
            "peak_memory_bytes": 1_934_000_000,
            "planned": {"seconds": 198.0, "memory_bytes": 2_100_000_000},
        },
        "settings": {
            "data": {"value": "sms.csv", "reason": None},
            "model": {"value": "smollm2-135m-instruct", "reason": None},
            "method": {"value": "lora", "reason": None},
            "learning_rate": {
                "value": 3e-4,
                "reason": "LoRA on a model of 0.13 B weights learns well from 1e-4 to 1e-3",
            },
            "batch_size": {"value": 16, "reason": "3,238 training rows: about 200 steps an epoch"},
            "lora_rank": {"value": 16, "reason": "two categories need little room"},
            "lora_targets": {"value": ["q_proj", "v_proj", "up_proj"], "reason": "every linear layer of the blocks"},
            "metric_for_best_model": {"value": headline, "reason": "what the task asks for"},
            "packing": {"value": True, "reason": None},
            "max_steps": {"value": None, "reason": None},
        },
        "lineage": {
            "base": "sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "data": "sha256:780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4",
            "code": "weitiao 0.1.0",
            "seed": 0,
            "parent": None,
        },
    }


def _classified(chance: random.Random, index: int) -> dict[str, Any]:
    spam = chance.random() < 0.14
    gold, other = ("spam", "ham") if spam else ("ham", "spam")
    before = gold if chance.random() < (0.35 if spam else 0.68) else other
    after = gold if chance.random() < (0.94 if spam else 0.995) else other
    was, now = before == gold, after == gold
    return {
        "source": f"sms.csv:{index * 5 + 2}",
        "text": f"{chance.choice(SPAM if spam else HAM)} ({index})",
        "gold": gold,
        "before": before,
        "after": after,
        "before_confidence": round(chance.uniform(0.5, 0.85), 4),
        "after_confidence": round(chance.uniform(0.9, 1.0) if now else chance.uniform(0.5, 0.9), 4),
        "change": {(False, True): "fixed", (True, False): "broken", (True, True): "right", (False, False): "wrong"}[
            was, now
        ],
    }


def _classify_side(items: list[dict[str, Any]], side: str) -> dict[str, Any]:
    names = ["ham", "spam"]
    matrix = [[sum(one["gold"] == gold and one[side] == given for one in items) for given in names] for gold in names]
    right = matrix[0][0] + matrix[1][1]
    scores = {"accuracy": wilson(right, len(items)).json()}
    for index, name in enumerate(names):
        called, held = matrix[0][index] + matrix[1][index], sum(matrix[index])
        scores[f"precision/{name}"] = wilson(matrix[index][index], max(called, 1)).json()
        scores[f"recall/{name}"] = wilson(matrix[index][index], held).json()
        scores[f"f1/{name}"] = wilson(2 * matrix[index][index], called + held).json()
    macro = (scores["f1/ham"]["value"] + scores["f1/spam"]["value"]) / 2
    scores["macro_f1"] = {"value": macro, "low": macro - 0.025, "high": min(macro + 0.02, 1.0), "count": len(items)}
    better = side == "after"
    scores["auroc"] = _score((0.993, 0.984, 0.999) if better else (0.571, 0.52, 0.62), len(items))
    scores["ece"] = _score((0.011, 0.006, 0.019) if better else (0.094, 0.07, 0.12), len(items))
    scores["brier"] = _score((0.015, 0.009, 0.022) if better else (0.232, 0.219, 0.247), len(items))
    details = {
        "items": len(items),
        "confusion": matrix,
        "calibration": _bins(items, side),
        "majority": {"category": "ham", "share": sum(matrix[0]) / len(items)},
        "ece_by_chance": 0.0093,
        "omitted": {},
    }
    return {"scores": scores, "details": details}


def _bins(items: list[dict[str, Any]], side: str) -> list[dict[str, Any]]:
    bins = []
    for tenth in range(10):
        held = [one for one in items if tenth / 10 <= one[f"{side}_confidence"] < (tenth + 1) / 10 + (tenth == 9)]
        count = len(held)
        mean = sum(one[f"{side}_confidence"] for one in held) / count if count else None
        right = sum(one[side] == one["gold"] for one in held)
        share = wilson(right, count) if count else None
        row = {"low": tenth / 10, "high": (tenth + 1) / 10, "count": count, "confidence": mean}
        bins.append({**row, "accuracy": share and share.value, "interval": share and [share.low, share.high]})
    return bins


def _sms_data(rows: int) -> dict[str, Any]:
    reasons = ("duplicate", "contradiction", "empty_text")
    details = ("the same text stands in sms.csv:12", "“ham” in sms.csv:88 and “spam” in sms.csv:203", "")
    return {
        "path": "sms.csv",
        "digest": "780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4",
        "read_as": [
            "read as: classify; text column “text” (--text-column), label column “label” (--label-column)",
            "two categories: ham 86.8%, spam 13.2%",
        ],
        "ledger": {"read": 4862, "used": 4512, "truncated": 6, "dropped": 344},
        "reasons": {"duplicate": 328, "contradiction": 14, "empty_text": 2, "too_long": 6},
        "shown": [
            {
                "source": f"sms.csv:{31 * index + 7}",
                "outcome": "dropped",
                "reason": reasons[index % 3],
                "detail": details[index % 3],
            }
            for index in range(12)
        ],
        "counts": {
            "train": {"ham": 2795, "spam": 443},
            "dev": {"ham": 397, "spam": 63},
            "test": {"ham": rows - 112, "spam": 112},
        },
        "problems": [{"kind": "imbalance", "where": "sms.csv", "message": "“spam” is only 13.2% of the rows"}],
    }


def _mask() -> list[dict[str, Any]]:
    asked = (
        "¦<¦system¦\n¦You¦ are¦ a¦ helpful¦ AI¦ assistant¦>¦\n¦<¦user¦\n¦Is¦ the¦ following¦ message¦ spam¦ or¦ ham¦?"
    )
    asked += "¦ Answer¦ with¦ one¦ word¦.¦\n\n¦URGENT¦!¦ You¦ have¦ won¦ a¦ £¦9¦0¦0¦ prize¦."
    control = {"<": "<|im_start|>", ">": "<|im_end|>"}
    parts = [control.get(part, part) for part in asked.split("¦") if part]
    parts += ["<|im_end|>", "\n", "<|im_start|>", "assistant", "\n"]
    return [{"text": part, "learned": False} for part in parts] + [
        {"text": part, "learned": True} for part in ("sp", "am", "<|im_end|>")
    ]


def _score(values: tuple[float, float, float], count: int) -> dict[str, Any]:
    return {**_ends(values), "count": count}


def _ends(values: tuple[float, ...]) -> dict[str, float]:
    return {"value": values[0], "low": values[1], "high": values[2]}


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    value = after["value"] - before["value"]
    half = ((before["high"] - before["low"]) ** 2 + (after["high"] - after["low"]) ** 2) ** 0.5 / 2
    return {"value": value, "low": value - half, "high": value + half, "p": 0.0001 if abs(value) > half else 0.4}
