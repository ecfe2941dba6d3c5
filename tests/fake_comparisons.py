"""Reports of comparisons that never ran: only what the verdict reads."""

from typing import Any


def arm(name: str, family: str, value: float, seconds: float, metric: str = "macro_f1", **more: Any) -> dict[str, Any]:
    """An arm with a score of ``metric`` and the seconds that it took, half of them to prepare."""
    scores = {metric: {"value": value, "low": value - 0.03, "high": value + 0.03, "count": 900}}
    cost = {"prepare_seconds": seconds / 2, "answer_seconds": seconds / 2}
    return {"name": name, "family": family, "settings": {}, "scores": scores, "cost": cost} | more


def against(value: float, low: float, high: float, shown: bool) -> dict[str, Any]:
    """A difference that was, or was not, shown after correction."""
    p = 0.001 if shown else 0.2
    return {"value": value, "low": low, "high": high, "p": p, "adjusted_p": p, "level": 0.99, "shown": shown}


MAJORITY = {"details": {"majority": {"category": "ham", "share": 0.866}}}


def comparison(**more: Any) -> dict[str, Any]:
    """Tuning, a small model, two prompts and the majority: tuning beats every prompt, the small model is as good."""
    majority = arm("majority", "baseline", 0.46, 0.0) | MAJORITY
    majority["scores"]["accuracy"] = {"value": 0.866, "low": 0.84, "high": 0.89, "count": 900}
    report = {
        "headline": "macro_f1",
        "items_count": 900,
        "reference": "tuned-lora",
        "arms": [
            majority,
            arm("small", "small", 0.96, 0.9),
            arm("zero-shot", "prompt", 0.61, 30.0, settings={"shots": 0}),
            arm("few-shot-8", "prompt", 0.76, 150.0, settings={"shots": 8, "draws": 3}),
            arm("tuned-lora", "tuned", 0.97, 900.0),
        ],
        "differences": {
            "majority": against(0.51, 0.47, 0.55, True),
            "small": against(0.01, -0.01, 0.03, False),
            "zero-shot": against(0.36, 0.31, 0.41, True),
            "few-shot-8": against(0.21, 0.17, 0.25, True),
        },
        "above_baseline": {
            name: against(0.3, 0.2, 0.4, True) for name in ("small", "zero-shot", "few-shot-8", "tuned-lora")
        },
        "detectable": 0.021,
        "side_effects": {"general": {"en": general(0.003), "zh": None}, "parents": [], "note": ""},
    }
    return report | more


def general(share: float, shown: bool = True) -> dict[str, Any]:
    """The loss on general text, by ``share`` higher after than before."""
    width = abs(share) * (0.5 if shown else 2.0)
    before = {"value": 3.0, "low": 2.9, "high": 3.1, "count": 40}
    after = before | {"value": 3.0 * (1 + share)}
    ends = {"low": 3 * (share - width), "high": 3 * (share + width)}
    return {"before": before, "after": after, "difference": {"value": 3 * share, **ends, "p": 0.001 if shown else 0.4}}
