"""From what the cells measured to ratios: medians over the repeats, with the lowest and the highest of the pairs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.jobs import Against, Figure, Job

FOLDER = Path(__file__).parent / "results"
_KEPT = ("epochs", "loss", "peak_memory_bytes", "startup_cpu_seconds", "train_cpu_seconds", "train_wall_seconds")
_DEMO_F1 = 0.95


@dataclass(frozen=True, slots=True)
class Pair:
    """What both sides measured, one right after the other. ``theirs`` is None where a job has no rival."""

    ours: dict[str, Any]
    theirs: dict[str, Any] | None


def ratio_of(job: Job, against: Against, pairs: Sequence[Pair], rows: dict[str, Any]) -> dict[str, Any]:
    """One line of the table."""
    ours = [figure(job.figure, pair.ours, rows) for pair in pairs]
    theirs = [figure(job.figure, pair.theirs, rows) for pair in pairs if pair.theirs]
    rivals: list[float | None] = [*theirs] if theirs else [None] * len(ours)
    each = [_ratio(job.figure, mine, other) for mine, other in zip(ours, rivals, strict=True)]
    ratio = _ratio(job.figure, median(ours), median(theirs) if theirs else None)
    return {
        "job": job.name,
        "against": against.side.name if against.side else "",
        "figure": job.figure,
        "ours": median(ours),
        "theirs": median(theirs) if theirs else None,
        "ratio": ratio,
        "low": min(each),
        "high": max(each),
        "goal": against.goal,
        "at_most": against.at_most,
        "met": _met(against, ratio) and all(_learned(pair.ours) for pair in pairs),
        "repeats": len(pairs),
        "ours_median": _medians([pair.ours for pair in pairs]),
        "theirs_median": _medians([pair.theirs for pair in pairs if pair.theirs]),
        **_agreement(pairs),
    }


def figure(name: Figure, facts: dict[str, Any], rows: dict[str, Any]) -> float:
    """The figure that counts, of one cell."""
    match name:
        case "tokens_per_cpu_second":
            return float(rows["tokens"] / facts["train_cpu_seconds"])
        case "tokens_per_second":
            return float(rows["tokens"] / facts["train_wall_seconds"])
        case "rows_per_cpu_second":
            return float(rows["count"] / facts.get("last_epoch_cpu_seconds", facts["train_cpu_seconds"]))
        case "cpu_seconds":
            return float(facts["train_cpu_seconds"])
        case "peak_memory_gb":
            return float(facts["peak_memory_bytes"] / 1e9)
        case "gflops":
            operations = facts["flops"]["bf16"] if "flops" in facts else _useful_flops(facts)
            return float(operations / 1e9)
        case "startup_cpu_seconds":
            return float(facts["startup_beyond_cpu_seconds"])
        case "demo_seconds":
            return float(facts["train_wall_seconds"])


def latest() -> dict[str, Any] | None:
    """The newest results; jobs that were measured apart on the same commit and machine are one. None where none are."""
    documents = sorted(map(read, FOLDER.glob("*.json")), key=lambda document: document["date"])
    if not documents:
        return None
    newest = documents[-1]
    same = [each for each in documents if all(each[name] == newest[name] for name in ("commit", "model"))]
    lists = {name: [item for each in same for item in each[name]] for name in ("ratios", "failures", "cells")}
    joined = {name: {key: value for each in same for key, value in each[name].items()} for name in ("peers", "rows")}
    return {**newest, **lists, **joined}


def read(path: Path) -> dict[str, Any]:
    """Results that were written by :func:`write`."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def write(document: dict[str, Any], path: Path) -> None:
    """Keep ``document``: a line for each ratio and each cell, so that two runs can be compared by eye."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [f" {json.dumps(key)}: {_lines(value)}" for key, value in document.items()]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _lines(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {json.dumps(_rounded(item), ensure_ascii=False)}" for item in value) + "\n ]"
    return json.dumps(_rounded(value), ensure_ascii=False)


def _rounded(value: Any) -> Any:
    """Six digits of every figure: more is noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _ratio(name: Figure, ours: float, theirs: float | None) -> float:
    """How many times as good: of seconds theirs to ours. The figure itself, where there is no rival."""
    if theirs is None:
        return ours
    return theirs / ours if name == "cpu_seconds" else ours / theirs


def _met(against: Against, ratio: float) -> bool | None:
    if against.goal is None:
        return None
    return ratio <= against.goal if against.at_most else ratio >= against.goal


def _learned(facts: dict[str, Any]) -> bool:
    """The demo counts only where it has learned what it should."""
    return "spam_f1" not in facts or facts["spam_f1"]["value"] >= _DEMO_F1


def _useful_flops(facts: dict[str, Any]) -> float:
    return float(facts["useful_operations"] / facts["train_cpu_seconds"])


def _medians(cells: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: median(cell[name] for cell in cells) for name in _KEPT if cells and name in cells[0]}


def _agreement(pairs: Sequence[Pair]) -> dict[str, float]:
    """The share of rows that both sides answer alike."""
    theirs = pairs[0].theirs or {}
    if "answers" not in theirs:
        return {}
    same = [mine == other for mine, other in zip(pairs[0].ours["answers"], theirs["answers"], strict=True)]
    return {"same_answers": sum(same) / len(same)}
