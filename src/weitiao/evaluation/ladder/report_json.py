"""The ``report.json`` of a comparison as its views read it: every part present and of its kind, every text harmless.

Separate because a report may be older, unfinished or hostile; its fields are in docs/reference/comparison-report.md.
"""

from collections.abc import Mapping
from typing import Any

from weitiao.evaluation import measures
from weitiao.evaluation.report_json import BLANK as RUN
from weitiao.evaluation.report_json import complete_effects, fill, fill_all, number, visible_tree, whole_data

BLANK: dict[str, Any] = {
    "version": 1,
    "form": "comparison",
    "comparison": "",
    "created": "",
    "weitiao": "",
    "command": "",
    "verdict": [],
    "task": {"kind": "", "question": "", "categories": [], "several": False},
    "model": RUN["model"],
    "data": RUN["data"],
    "items_count": None,
    "headline": "",
    "reference": "",
    "arms": [],
    "left_out": [],
    "differences": {},
    "above_baseline": {},
    "detectable": None,
    "curve": {"metric": "", "arms": {}, "fits": {}},
    "slices": {"length": [], "category": []},
    "threshold": {
        "arm": "",
        "categories": [],
        "costs": [],
        "weights": [],
        "cost": {},
        "plain": {},
        "difference": {},
    },
    "side_effects": RUN["side_effects"],
    "items": [],
    "cost": {"seconds": None, "cpu_seconds": None, "peak_memory_bytes": None},
    "settings": {},
    "lineage": {},
}
ARM: dict[str, Any] = {
    "name": "",
    "family": "",
    "settings": {},
    "scores": {},
    "details": {},
    "spread": {"of": "", "values": [], "names": []},
    "unusable": {},
    "cost": {
        "prepare_seconds": None,
        "answer_seconds": None,
        "seconds_per_item": None,
        "tokens": None,
        "money": {"amount": None, "currency": ""},
    },
    "prompt": [],
    "run": "",
}
OMISSION = {"name": "", "reason": ""}
SLICE: dict[str, Any] = {"name": "", "from": None, "to": None, "count": None, "scores": {}}
ITEM: dict[str, Any] = {"source": "", "text": "", "gold": "", "answers": {}, "confidence": {}, "right": {}}


def complete_comparison(report: Mapping[str, Any]) -> dict[str, Any]:
    """``report`` with every missing, null or misshapen part filled, and every text, keys included, made visible.

    A number that is not finite counts as missing, an arm without a name of its own is left out, and so is what is said
    of an arm that is not there.
    """
    filled = fill(BLANK, visible_tree(report))
    filled["verdict"] = [str(sentence) for sentence in filled["verdict"]]
    filled["task"]["categories"] = [str(name) for name in filled["task"]["categories"]]
    filled["data"] = whole_data(filled["data"])
    filled["arms"] = _arms(filled["arms"])
    filled["left_out"] = fill_all(OMISSION, filled["left_out"])
    names = [arm["name"] for arm in filled["arms"]]
    if filled["reference"] not in names:
        filled["reference"], filled["differences"] = "", {}
    filled["differences"] = _objects(filled["differences"], names)
    filled["above_baseline"] = _objects(filled["above_baseline"], names)
    filled["headline"] = _headline(filled)
    filled["curve"] = _curve(filled["curve"], names)
    filled["slices"] = {kind: _slices(rows, names) for kind, rows in filled["slices"].items() if isinstance(rows, list)}
    filled["side_effects"] = complete_effects(filled["side_effects"])
    filled["threshold"] |= _threshold(filled["threshold"])
    filled["items"] = fill_all(ITEM, filled["items"])
    return filled


def _arms(given: list[Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for arm in fill_all(ARM, given):
        arm["scores"] = _objects(arm["scores"])
        arm["spread"]["values"] = [value for value in map(number, arm["spread"]["values"]) if value is not None]
        arm["cost"] |= {name: number(value) for name, value in arm["cost"].items() if name != "money"}
        arm["cost"]["money"]["amount"] = number(arm["cost"]["money"]["amount"])
        arm["prompt"] = fill_all({"role": "", "content": ""}, arm["prompt"])
        if arm["name"]:
            found.setdefault(arm["name"], arm)
    return list(found.values())


def _headline(report: Mapping[str, Any]) -> str:
    scores = {name: score for arm in report["arms"] for name, score in arm["scores"].items()}
    if report["headline"] in scores or not scores:
        return report["headline"]
    return measures.headlines(report["task"]["kind"], scores)[0] if measures.in_order(scores) else ""


def _curve(curve: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    arms = {}
    for name, points in curve["arms"].items():
        rows = fill_all({"labels": None, "score": {}, "seconds": None}, points if isinstance(points, list) else [])
        kept = [row for row in rows if (number(row["labels"]) or 0) > 0]
        if name in names and kept:
            arms[name] = sorted(kept, key=lambda row: row["labels"])
    fits = {name: fill({"curve": [], "sentence": ""}, one) for name, one in curve["fits"].items() if name in arms}
    for one in fits.values():
        one["curve"] = sorted(point for point in one["curve"] if _is_point(point))
    return {**curve, "arms": arms, "fits": fits}


def _is_point(point: Any) -> bool:
    whole = isinstance(point, list) and len(point) == 4 and all(number(part) is not None for part in point)
    return whole and point[0] > 0


def _slices(rows: list[Any], names: list[str]) -> list[dict[str, Any]]:
    made = fill_all(SLICE, rows)
    return [{**row, "scores": _objects(row["scores"], names)} for row in made]


def _threshold(threshold: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of the threshold, or none where they do not fit the categories."""
    names = [str(name) for name in threshold["categories"]]
    rows = [*threshold["costs"], threshold["weights"]]
    whole = all(isinstance(row, list) and len(row) == len(names) and None not in map(number, row) for row in rows)
    fitting = whole and len(rows) == len(names) + 1
    return {"categories": names} if fitting else {"categories": [], "costs": [], "weights": []}


def _objects(given: Mapping[str, Any], names: list[str] | None = None) -> dict[str, Any]:
    kept = {name: one for name, one in given.items() if isinstance(one, Mapping)}
    return kept if names is None else {name: one for name, one in kept.items() if name in names}
