"""The evidence of a run: report.json, and the page and the card that are made of it alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import numpy as np

from weitiao import __version__
from weitiao.api.preparation import Item
from weitiao.api.session import Session
from weitiao.data.samples import SAMPLES
from weitiao.evaluation.answers import Answers, confidences
from weitiao.evaluation.card import card_markdown
from weitiao.evaluation.changes import changes
from weitiao.evaluation.marked import shown_answers
from weitiao.evaluation.metrics import details, differences, scores
from weitiao.evaluation.report import report_html
from weitiao.evaluation.verdict import verdict
from weitiao.example import Task, told
from weitiao.lineage import Lineage
from weitiao.models.anatomy import parameter_count
from weitiao.run import Run, read_events, write_whole
from weitiao.settings import comparison_names
from weitiao.training import machine
from weitiao.words import Language, language, t

_ITEMS_SHOWN = 5000


@dataclass(frozen=True, slots=True)
class Spent:
    """What this process of a run took; a resumed run adds its steps' times from the log."""

    run: Run
    seconds: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What the test items were answered before and after, and what changed beside the task (report.json's form)."""

    before: Answers
    after: Answers
    best_step: int
    side_effects: Mapping[str, Any]


def publish(run: Run, session: Session, lineage: Lineage, judged: Judged, spent: Spent) -> Mapping[str, Any]:
    """Write report.json, report.html and card.md, the first last: a run with a report has finished."""
    events = list(read_events(run.events))
    report = {
        "version": 1,
        "run": run.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "weitiao": __version__,
        "command": f"weitiao train {run.settings}",
        "task": told(session.task),
        "model": _model(session),
        "data": _data_facts(session, lineage.data),
        **_compared(session, judged.before, judged.after),
        "side_effects": judged.side_effects,
        "items": compared_items(session.test, judged.before, judged.after),
        "curve": [_picked(event, "step", "loss", "learning_rate") for event in events if event["kind"] == "step"],
        "evaluations": _evaluations(events, judged.best_step),
        "cost": _cost(session, events, spent),
        "mask": _mask(session),
        "settings": _settings(session),
        "lineage": lineage.json(),
    }
    write_report(run, report, session.settings.lang or language())
    return report


def write_report(run: Run, report: Mapping[str, Any], lang: Language) -> None:
    """The page and the card first: report.json says that all is there."""
    write_whole(run.folder / "report.html", report_html(report, lang))
    write_whole(run.folder / "card.md", card_markdown(report, lang))
    write_whole(run.report, json.dumps(report, ensure_ascii=False, indent=1))


def _compared(session: Session, before: Answers, after: Answers) -> dict[str, Any]:
    found = compared(before, after, session.task)
    if session.new_head:
        headline, *rest = found["verdict"]
        found["verdict"] = [headline, _before_a_new_head(session.task, before), *rest]
    return found


def _before_a_new_head(task: Task, before: Answers) -> str:
    if task.kind == "mark":
        return t(
            "A new head answers by chance before it has learned. “Before” is therefore what marking nothing reaches."
        )
    return t(
        "A new head answers by chance before it has learned. “Before” is therefore what always giving the "
        "commonest answer of the training rows would reach: “{category}”.",
        category=before.predicted[0] if len(before) else "",
    )


def compared(before: Answers, after: Answers, task: Task) -> dict[str, Any]:
    """Scores before and after, their differences, and the verdict in words."""
    first, second = scores(before, task.categories), scores(after, task.categories)
    changed = differences(before, after, task.categories)
    return {
        "verdict": verdict(task.kind, first, second, changed),
        "before": {"scores": _json(first), "details": details(before, task.categories)},
        "after": {"scores": _json(second), "details": details(after, task.categories)},
        "difference": _json(changed),
    }


def compared_items(items: Sequence[Item], before: Answers, after: Answers) -> list[dict[str, Any]]:
    """Each test item with both answers, at most 5,000."""
    what = changes(before, after)
    sure = [_confidences(answers) for answers in (before, after)]
    return [
        {
            "source": item.example.source,
            "text": item.example.text,
            **shown_answers(
                item.example.text,
                after.kind,
                {"gold": after.gold[number], "before": before.predicted[number], "after": after.predicted[number]},
            ),
            "before_confidence": sure[0][number],
            "after_confidence": sure[1][number],
            "change": what[number],
        }
        for number, item in enumerate(items[:_ITEMS_SHOWN])
        if after.kind == "classify" or after.generated[number]
    ]


def _data_facts(session: Session, digest: str) -> dict[str, Any]:
    """What was read, what became of it, and what is wrong with it."""
    opened, ledger = session.opened, session.ledger
    return {
        "path": session.settings.data,
        "digest": digest,
        "read_as": list(opened.read_as),
        "ledger": ledger.counts(),
        "reasons": ledger.reasons(),
        "shown": ledger.shown_json(),
        "counts": {split: dict(counts) for split, counts in session.prepared.counts.items()},
        "problems": [asdict(problem) for problem in (*opened.problems(), *session.prepared.problems())],
    }


def _model(session: Session) -> dict[str, Any]:
    sample = SAMPLES.get(session.source.name)
    return {
        "name": session.source.name,
        "license": sample.licence if sample else "",
        "parameters": parameter_count(session.loaded.model),
        "trained": sum(weight.numel() for weight in session.masters.weights.values()),
        "method": session.settings.method,
        "precision": session.settings.precision,
        "note": t("a quantized GGUF file, dequantized") if session.source.folder.parent.name == "converted" else "",
    }


def _evaluations(events: Sequence[Mapping[str, Any]], best_step: int) -> list[dict[str, Any]]:
    return [
        {"step": event["step"], "scores": event["scores"], "best": event["step"] == best_step}
        for event in events
        if event["kind"] == "evaluation"
    ]


def _cost(session: Session, events: Sequence[Mapping[str, Any]], spent: Spent) -> dict[str, Any]:
    steps = [event for event in events if event["kind"] == "step"]
    training = sum(event["seconds"] for event in steps)
    tokens = sum(event["tokens"] for event in steps)
    return {
        "seconds": round(spent.seconds, 2),
        "cpu_seconds": round(time.process_time(), 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / training, 1) if training else None,
        "peak_memory_bytes": machine.peak_memory_bytes(),
        "planned": asdict(session.planned),
    }


def _mask(session: Session) -> list[dict[str, Any]]:
    """The first row of the train split, token by token."""
    return [
        {"text": text, "learned": bool(learned), "label": label}
        for shown in session.prepared.shown[:1]
        for text, learned, label in zip_longest(
            session.codec.pieces(shown.encoding.tokens.tolist()), shown.encoding.learned, shown.labels, fillvalue=""
        )
    ]


def _settings(session: Session) -> dict[str, Any]:
    values = session.settings.model_dump(mode="json", exclude=set(comparison_names()))
    return {name: {"value": value, "reason": session.reasons.get(name)} for name, value in values.items()}


def _confidences(answers: Answers) -> Sequence[float | None]:
    sure = confidences(answers)
    if sure is None:
        return [None] * len(answers)
    rounded: list[float | None] = np.round(sure, 4).tolist()
    return rounded


def _json(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.json() for name, value in named.items()}


def _picked(event: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: event[name] for name in names}
