"""The evidence of a comparison: report.json, and the page and the card that are made of it alone.

Separate because it only counts: every answer is given, and what is written here follows from them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from weitiao import __version__
from weitiao.api.arms import LeftOut
from weitiao.api.curve import Point
from weitiao.api.outcomes import Outcome
from weitiao.api.trial import Trial
from weitiao.data.samples import SAMPLES
from weitiao.evaluation.answers import Answers, confidences, select
from weitiao.evaluation.classification import unusable_share
from weitiao.evaluation.ladder import comparison_html, comparison_markdown
from weitiao.evaluation.ladder_verdict import ladder_verdict
from weitiao.evaluation.learning_curve import FEWEST_SIZES, fit
from weitiao.evaluation.marked import shown_answers
from weitiao.evaluation.measures import HEADLINES
from weitiao.evaluation.metrics import details
from weitiao.evaluation.multiple import above_baseline, compared, smallest_shown
from weitiao.evaluation.repeated import scores_of, spread
from weitiao.evaluation.spans import same_spans
from weitiao.evaluation.stored import given_from_json
from weitiao.evaluation.threshold import applied, cheapest
from weitiao.example import names_of, told
from weitiao.lineage import Lineage
from weitiao.run import write_whole
from weitiao.settings.allowed import costs_of
from weitiao.training import machine
from weitiao.words import Language, language

_ITEMS_SHOWN = 5000
_SLICES = ("short", "middle", "long")


@dataclass(frozen=True)
class Facts:
    """All that a report is made of."""

    trial: Trial
    outcomes: Sequence[Outcome]
    left_out: Sequence[LeftOut]
    points: Sequence[Point]
    lineage: Lineage
    spent: tuple[float, float]  # seconds of the wall and of the processor

    @property
    def reference(self) -> Outcome:
        """What the others are compared with: the first that is tuned, else the last of the ladder."""
        return next((one for one in self.outcomes if one.arm.family == "tuned"), self.outcomes[-1])

    @property
    def headline(self) -> str:
        """The metric that decides, fixed by the kind of the task: the first that the reference has."""
        task = self.trial.task
        defined = scores_of(self.reference.answers, task.categories)
        return next(name for name in HEADLINES[task.kind] if name in defined)


def publish_comparison(folder: Path, facts: Facts) -> Mapping[str, Any]:
    """Write report.html, card.md and report.json, the last last: a comparison with a report has finished."""
    report = comparison_report(folder, facts)
    lang: Language = facts.trial.settings.lang or language()
    write_whole(folder / "report.html", comparison_html(report, lang))
    write_whole(folder / "card.md", comparison_markdown(report, lang))
    write_whole(folder / "report.json", json.dumps(report, ensure_ascii=False, indent=1))
    return report


def comparison_report(folder: Path, facts: Facts) -> dict[str, Any]:
    """What report.json holds (docs/reference/comparison-report.md)."""
    trial, reference, headline = facts.trial, facts.reference, facts.headline
    run = _run_report(folder, reference)
    report: dict[str, Any] = {
        "version": 1,
        "form": "comparison",
        "comparison": folder.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "weitiao": __version__,
        "command": _command(folder, trial),
        "task": told(trial.task),
        "model": run.get("model") or _model(trial),
        "data": _data(trial),
        "items_count": len(trial.items),
        "headline": headline,
        "reference": reference.arm.name,
        "arms": [_arm(outcome, headline, trial) for outcome in facts.outcomes],
        "left_out": [asdict(each) for each in facts.left_out],
        **_against_others(facts, headline),
        "curve": _curve(facts, headline),
        "slices": _slices(facts, headline),
        "threshold": _threshold(folder, facts),
        "side_effects": run.get("side_effects"),
        "items": _items(facts),
        "cost": {
            "seconds": round(facts.spent[0], 2),
            "cpu_seconds": round(facts.spent[1], 2),
            "peak_memory_bytes": machine.peak_memory_bytes(),
        },
        "settings": _settings(trial),
        "lineage": facts.lineage.json(),
    }
    return {**report, "verdict": ladder_verdict(report)}


def _command(folder: Path, trial: Trial) -> str:
    """What compares again with the same settings; nothing is overwritten, so a folder that was named needs another."""
    named = trial.settings.output_dir
    words = ["weitiao", "compare", str(Path(named or Path(folder.parent.name, folder.name)) / "comparison.yaml")]
    return shlex.join([*words, *(["--output-dir", f"{named}-again"] if named else [])])


def _run_report(folder: Path, reference: Outcome) -> Mapping[str, Any]:
    """The report of the reference's run; empty where it has none."""
    run = reference.draws[0].run
    if not run:
        return {}
    found: dict[str, Any] = json.loads((folder / run / "report.json").read_text(encoding="utf-8"))
    return found


def _arm(outcome: Outcome, headline: str, trial: Trial) -> dict[str, Any]:
    draws, first = outcome.draws, outcome.draws[0].answers
    found = scores_of(outcome.answers, trial.task.categories)
    answering = float(np.mean([draw.seconds for draw in draws]))
    lies = spread(outcome.answers, trial.task.categories, headline) if headline in found and len(draws) > 1 else None
    return {
        "name": outcome.arm.name,
        "family": outcome.arm.family,
        "settings": dict(outcome.settings),
        "scores": {name: score.json() for name, score in found.items()},
        "details": details(first, trial.task.categories),
        "spread": lies and {"of": outcome.of, "values": list(lies.values), "names": [draw.name for draw in draws]},
        "unusable": _unusable(outcome),
        "cost": {
            "prepare_seconds": round(float(np.mean([draw.prepare_seconds for draw in draws])), 3),
            "answer_seconds": round(answering, 3),
            "seconds_per_item": answering / len(trial.items),
            "tokens": round(float(np.mean([draw.tokens for draw in draws]))),
            "money": None,
        },
        "prompt": [{"role": role, "content": text} for role, text in outcome.prompt],
        "run": draws[0].run,
    }


def _unusable(outcome: Outcome) -> dict[str, Any] | None:
    """How many answers say nothing that can be read; None where every answer is one of the allowed."""
    first = outcome.draws[0].answers
    if outcome.arm.family != "endpoint" or first.kind != "classify":
        return None
    share = unusable_share(first)
    return share.json() if share else None


def _against_others(facts: Facts, headline: str) -> dict[str, Any]:
    categories = facts.trial.task.categories
    arms = {one.arm.name: one.answers for one in facts.outcomes}
    found = compared(facts.reference.arm.name, arms, headline, categories)
    baseline = next((one.arm.name for one in facts.outcomes if one.arm.family == "baseline"), None)
    above = above_baseline(baseline, arms, headline, categories) if baseline else None
    return {
        "differences": {name: one.json() for name, one in found.items()},
        "above_baseline": {name: one.json() for name, one in above.items()} if above is not None else None,
        "detectable": smallest_shown(found, headline, len(facts.trial.items)),
    }


def _curve(facts: Facts, headline: str) -> dict[str, Any] | None:
    categories = facts.trial.task.categories
    arms: dict[str, list[Point]] = {}
    for point in facts.points:
        arms.setdefault(point.arm, []).append(point)
    fits, scored = {}, {}
    for name, points in arms.items():
        answers = [[point.draw.answers] for point in points]
        found = [scores_of(draws, categories) for draws in answers]
        if not all(headline in scores for scores in found):
            continue
        scored[name] = [
            {"labels": point.rows, "score": scores[headline].json(), "seconds": point.draw.prepare_seconds}
            for point, scores in zip(points, found, strict=True)
        ]
        if len(points) >= FEWEST_SIZES:
            fits[name] = fit([point.rows for point in points], answers, headline, categories).json()
    return {"metric": headline, "arms": scored, "fits": fits} if scored else None


def _threshold(folder: Path, facts: Facts) -> dict[str, Any] | None:
    """What answering by the cost of mistakes brings the reference; None where nobody said what they cost."""
    reference, categories = facts.reference, facts.trial.task.categories
    run, costs = reference.draws[0].run, facts.trial.settings.costs
    if not costs or not run:
        return None
    stored = json.loads((folder / run / "answers.json").read_text(encoding="utf-8"))["dev"]
    if stored is None:  # no dev split that could choose
        return None
    chosen = cheapest(given_from_json(stored).answers, costs_of(costs), categories)
    measured = applied(reference.draws[0].answers, chosen)
    return {**asdict(chosen), **measured.json(), "arm": reference.arm.name}


def _slices(facts: Facts, headline: str) -> dict[str, Any]:
    trial = facts.trial
    lengths = np.array([len(item.example.text) for item in trial.items])
    part_of = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3], method="lower"), lengths, side="left")
    by_length = []
    for number, name in enumerate(_SLICES):
        inside = part_of == number
        if inside.any():
            edges = {"from": int(lengths[inside].min()), "to": int(lengths[inside].max())}
            by_length.append({"name": name, **edges, **_part(facts, headline, inside)})
    by_category = []
    if trial.task.kind == "classify" and not trial.task.several:
        gold = np.array([names_of(item.example.label)[0] for item in trial.items])
        present = [name for name in trial.task.categories if (gold == name).any()]
        by_category = [{"name": name, **_part(facts, headline, gold == name)} for name in present]
    return {"length": by_length, "category": by_category}


def _part(facts: Facts, headline: str, inside: Any) -> dict[str, Any]:
    """The headline of every arm on some of the items."""
    found = {}
    for one in facts.outcomes:
        scores = scores_of([select(answers, inside) for answers in one.answers], facts.trial.task.categories)
        if headline in scores:
            found[one.arm.name] = scores[headline].json()
    return {"count": int(inside.sum()), "scores": found}


def _items(facts: Facts) -> list[dict[str, Any]]:
    """Each item with the answer of every arm, of several draws the first."""
    firsts = {one.arm.name: one.draws[0].answers for one in facts.outcomes}
    sure = {name: confidences(answers) for name, answers in firsts.items()}
    kind = facts.trial.task.kind
    shown = []
    for number, item in enumerate(facts.trial.items[:_ITEMS_SHOWN]):
        given = {name: one for name, one in firsts.items() if kind == "classify" or one.generated[number]}
        if not given:
            continue
        texts = {name: one.predicted[number] for name, one in given.items()}
        gold = next(iter(given.values())).gold[number]
        words = shown_answers(item.example.text, kind, {"gold": gold, **texts})
        shown.append(
            {
                "source": item.example.source,
                "text": item.example.text,
                "gold": words["gold"],
                "answers": {name: words[name] for name in texts},
                "confidence": {name: _sure(every, number) for name, every in sure.items() if every is not None},
                "right": {} if kind == "reply" else {name: _right(one, number) for name, one in given.items()},
            }
        )
    return shown


def _sure(confidences: Any, number: int) -> float:
    return round(float(confidences[number]), 4)


def _right(answers: Answers, number: int) -> bool:
    gold, predicted = answers.gold[number], answers.predicted[number]
    return same_spans(gold, predicted) if answers.kind == "mark" else gold == predicted


def _model(trial: Trial) -> dict[str, Any]:
    sample = SAMPLES.get(trial.source.name)
    return {"name": trial.source.name, "license": sample.licence if sample else ""}


def _settings(trial: Trial) -> dict[str, Any]:
    values = trial.settings.model_dump(mode="json")
    return {name: {"value": value, "reason": trial.reasons.get(name)} for name, value in values.items()}


def _data(trial: Trial) -> dict[str, Any]:
    opened, ledger = trial.opened, trial.ledger
    return {
        "path": trial.settings.data,
        "digest": opened.digest(),
        "read_as": list(opened.read_as),
        "ledger": ledger.counts(),
        "reasons": ledger.reasons(),
        "shown": ledger.shown_json(),
        "counts": {split: dict(counts) for split, counts in opened.partition.counts.items()},
        "problems": [asdict(problem) for problem in opened.problems()],
    }
