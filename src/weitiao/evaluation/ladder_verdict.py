"""What a comparison of several ways to do a task has shown, in plain sentences, the first of them the answer.

Separate from the verdict of a run (``verdict.py``), which knows a before and an after; here are many arms, and the
rules are about what may be said of one among them. They stand in ``docs/concepts/comparing.md``: "beats" only where a
difference was shown after correction, "the best prompt" only when all of them are beaten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.evaluation.ladder_words import (
    Amount,
    Arm,
    arm_name,
    count_of_items,
    duration,
    in_figures,
    metric_name,
    seconds_of,
    sentence,
    with_time,
)
from weitiao.evaluation.learning_curve import curve_sentence
from weitiao.evaluation.measures import effect, measure, percent
from weitiao.evaluation.verdict import FEW_ITEMS
from weitiao.words import t

_CHEAPER = 1.5  # how many times less time counts as cheaper


def ladder_verdict(report: Mapping[str, Any]) -> list[str]:
    """The verdict of a comparison's ``report.json``, in the current language; the first sentence is the answer."""
    ladder = _Ladder(report)
    if not ladder.arms or ladder.reference is None:
        return [t("Nothing could be compared: no way to do the task has an answer to every item.")]
    general = _general(report)
    if ladder.nothing_works:
        return [sentence(_nothing_works(ladder), general), *_unseen(ladder), *_parents(report)]
    small = ladder.best(ladder.of("small"))
    first = sentence(_headline(ladder), _position(ladder, small) if small else "", general)
    others = [arm for arm in ladder.others if arm["family"] in ("tuned", "parent", "endpoint")]
    rest = [sentence(*(_position(ladder, arm) for arm in others))] if others else []
    return [first, *rest, *_cheapest(ladder), *_unseen(ladder), *_parents(report)]


def said_again(report: Mapping[str, Any]) -> dict[str, Any]:
    """``report`` with its verdict, and what its learning curves say, in the current language."""
    found = dict(report, verdict=ladder_verdict(report))
    if report.get("curve"):
        metric, fits = report["curve"]["metric"], report["curve"]["fits"]
        again = {name: dict(one, sentence=curve_sentence(metric, one)) for name, one in fits.items()}
        found["curve"] = dict(report["curve"], fits=again)
    return found


@dataclass(frozen=True)
class _Ladder:
    report: Mapping[str, Any]

    @property
    def metric(self) -> str:
        return str(self.report["headline"])

    @property
    def items(self) -> int:
        return int(self.report["items_count"])

    @property
    def arms(self) -> list[Arm]:
        return [arm for arm in self.report["arms"] if self.metric in arm["scores"]]

    @property
    def reference(self) -> Arm | None:
        return next((arm for arm in self.arms if arm["name"] == self.report["reference"]), None)

    @property
    def others(self) -> list[Arm]:
        """Those that were compared with the reference."""
        return [arm for arm in self.arms if arm["name"] in self.report["differences"]]

    @property
    def baseline(self) -> Arm | None:
        return next((arm for arm in self.arms if arm["family"] == "baseline"), None)

    @property
    def nothing_works(self) -> bool:
        """Whether no arm is shown to be better than the baseline; where there is none, that is not asked."""
        if self.baseline is None or len(self.arms) < 2:
            return False
        above = self.report.get("above_baseline")
        return above is not None and not any(self._better(above.get(arm["name"])) for arm in self.arms)

    def of(self, family: str) -> list[Arm]:
        return [arm for arm in self.others if arm["family"] == family]

    def best(self, arms: Sequence[Arm]) -> Arm | None:
        return max(arms, key=lambda arm: self._sign * arm["scores"][self.metric]["value"], default=None)

    def name(self, arm: Arm) -> str:
        return arm_name(arm, self.arms)

    def lead(self, arm: Arm) -> Amount:
        """By how much the reference is better than ``arm``."""
        found = self.report["differences"][arm["name"]]
        amount = Amount(found["value"], found["low"], found["high"], self.metric)
        return amount if self._sign > 0 else amount.reversed()

    def beats(self, arm: Arm) -> bool:
        """Whether the reference is shown to be better than ``arm``."""
        return self._shown(arm) and self.lead(arm).value > 0

    def beaten_by(self, arm: Arm) -> bool:
        return self._shown(arm) and self.lead(arm).value < 0

    @property
    def _sign(self) -> int:
        return 1 if measure(self.metric).higher_is_better else -1

    def _shown(self, arm: Arm) -> bool:
        return bool(self.report["differences"][arm["name"]]["shown"])

    def _better(self, found: Mapping[str, Any] | None) -> bool:
        return bool(found and found["shown"] and self._sign * found["value"] > 0)


def _headline(ladder: _Ladder) -> str:
    """The reference against what one would do without it: every prompt; else, or for a prompt, the baseline."""
    reference = ladder.reference
    assert reference is not None
    prompts = [] if reference["family"] == "prompt" else ladder.of("prompt")
    rivals = prompts or ladder.of("baseline")
    best, unbeaten = ladder.best(rivals), ladder.best([arm for arm in rivals if not ladder.beats(arm)])
    rival = unbeaten or best
    if rival is None:
        return ""
    name = ladder.name(rival)
    if len(prompts) > 1 and rival is best:
        name = t("the best prompt ({name})", name=rival["name"])
    return _against(ladder, rival, name)


def _against(ladder: _Ladder, arm: Arm, name: str) -> str:
    assert ladder.reference is not None
    lead, own = ladder.lead(arm), ladder.name(ladder.reference)
    if ladder.beaten_by(arm):
        lead, own, name = lead.reversed(), name, own
    values = {
        "one": own,
        "other": name,
        "size": lead.size,
        "interval": lead.interval,
        "metric": metric_name(ladder.metric),
        "items": count_of_items(ladder.items),
    }
    if ladder.beats(arm) or ladder.beaten_by(arm):
        return t("{one} beats {other} by {size} in {metric} {interval} on {items}", **values)
    if lead.level:
        del values["size"]
        return t("{one} is not shown to beat {other}: level in {metric} {interval} on {items}", **values)
    if lead.value > 0:
        return t("{one} is not shown to beat {other}: {size} ahead in {metric} {interval} on {items}", **values)
    values["interval"] = lead.reversed().interval
    return t("{one} is not shown to beat {other}: {size} behind in {metric} {interval} on {items}", **values)


def _position(ladder: _Ladder, arm: Arm) -> str:
    """Where an arm stands beside the reference, and how long it takes."""
    assert ladder.reference is not None
    behind = ladder.lead(arm)
    names = {"arm": ladder.name(arm), "other": ladder.name(ladder.reference)}
    if ladder.beaten_by(arm):
        ahead = behind.reversed()
        claim = t("{arm} beats {other} by {size} {interval}", **names, size=ahead.size, interval=ahead.interval)
    elif behind.level:
        claim = t("{arm} is level with {other} {interval}", **names, interval=behind.interval)
    elif behind.value > 0:
        claim = t("{arm} is {size} behind {other} {interval}", **names, size=behind.size, interval=behind.interval)
    else:
        ahead = behind.reversed()
        claim = t("{arm} is {size} ahead of {other} {interval}", **names, size=ahead.size, interval=ahead.interval)
    if not (ladder.beats(arm) or ladder.beaten_by(arm) or behind.level):
        claim = t("{claim}, too little to be sure", claim=claim)
    return with_time(claim, arm, ladder.reference)


def _nothing_works(ladder: _Ladder) -> str:
    baseline = ladder.baseline
    assert baseline is not None
    values = {"name": ladder.name(baseline), "items": count_of_items(ladder.items)}
    accuracy = baseline["scores"].get("accuracy")
    if ladder.items < FEW_ITEMS:
        return t("on {items} no way is shown to be better than {name}", **values)
    if accuracy is None:
        return t("nothing works: on {items} no way is shown to be better than {name}", **values)
    return t(
        "nothing works: no way is shown to be better than {name}, which is right on {share} of {items}",
        **values,
        share=percent(accuracy["value"], 1),
    )


def _cheapest(ladder: _Ladder) -> list[str]:
    """The cheapest arm that is not shown to be worse than the reference, or than what beats it."""
    reference = ladder.reference
    assert reference is not None
    own = seconds_of(reference)
    cheaper = [arm for arm in ladder.others if own and own > _CHEAPER * _time(arm)]
    if not own or not cheaper:
        return []
    winners = [arm for arm in ladder.others if ladder.beaten_by(arm)]
    name = ladder.name(reference)
    as_good = [arm for arm in cheaper if (arm in winners if winners else not ladder.beats(arm))]
    if not as_good:
        return [] if winners else [sentence(t("every cheaper way is shown to be worse than {name}", name=name))]
    best = min(as_good, key=_time)
    values = {"arm": ladder.name(best), "name": name, "time": duration(_time(best)), "others": duration(own)}
    if winners:
        text = t("the cheapest way that beats {name} is {arm}: {time} in all, against {others} for {name}", **values)
    else:
        text = t(
            "the cheapest way not shown to be worse than {name} is {arm}: {time} in all, against {others} for {name}",
            **values,
        )
    return [sentence(text)]


def _time(arm: Arm) -> float:
    seconds = seconds_of(arm)
    return float("inf") if seconds is None else seconds


def _unseen(ladder: _Ladder) -> list[str]:
    """What the items could not have shown, where they are few or something was left open."""
    settled = all(ladder.beats(arm) or ladder.beaten_by(arm) for arm in ladder.others)
    smallest = ladder.report.get("detectable")
    if settled and ladder.items >= FEW_ITEMS:
        return []
    values = {"items": count_of_items(ladder.items), "metric": metric_name(ladder.metric)}
    limits = measure(ladder.metric).limits
    if smallest is None or (limits and smallest >= limits[1]):
        return (
            [t("{items} are too few to show any difference in {metric}.", **values)] if ladder.items < FEW_ITEMS else []
        )
    size = Amount(smallest, 0.0, smallest, ladder.metric).size
    return [
        t(
            "On {items}, differences in {metric} of less than about {size} would often go unseen (80 % power).",
            **values,
            size=size,
        )
    ]


def _general(report: Mapping[str, Any]) -> str:
    """What became of general text: the change of its loss, in percent of what it was."""
    found = ((report.get("side_effects") or {}).get("general")) or {}
    titles = {"en": t("general English text"), "zh": t("general Chinese text")}
    clauses = [_changed(titles[name], found[name]) for name in titles if found.get(name)]
    if len(clauses) == 2 and not any(clause for _, clause in clauses):
        return t("no change on general text could be shown")
    said = [clause or t("no change on {text} could be shown", text=title) for title, clause in clauses]
    return t("; ").join(said)


def _changed(title: str, found: Mapping[str, Any]) -> tuple[str, str]:
    difference, before = found["difference"], found["before"]["value"]
    now = effect(measure("loss"), difference)
    if now not in ("better", "worse") or not before:
        return title, ""
    ends = sorted(100 * abs(difference[end]) / before for end in ("low", "high"))
    number, low, high = in_figures(100 * difference["value"] / before, *ends)
    values = {"text": title, "number": number, "interval": f"[{low}, {high}]"}
    if now == "worse":
        return title, t("{text} got {number} % worse {interval}", **values)
    return title, t("{text} got {number} % better {interval}", **values)


def _parents(report: Mapping[str, Any]) -> list[str]:
    """What became of each task that an earlier run had learned."""
    said = []
    for parent in (report.get("side_effects") or {}).get("parents") or []:
        metric, difference = parent["metric"], parent["difference"]
        sign = 1 if measure(metric).higher_is_better else -1
        amount = Amount(difference["value"], difference["low"], difference["high"], metric)
        gained = amount if sign > 0 else amount.reversed()
        values = {"task": parent["task"] or parent["run"], "metric": metric_name(metric)}
        now = effect(measure(metric), difference)
        if now == "worse":
            lost = gained.reversed()
            text = t(
                "the earlier task “{task}” lost {size} in {metric} {interval}",
                **values,
                size=lost.size,
                interval=lost.interval,
            )
        elif now == "better":
            text = t(
                "the earlier task “{task}” gained {size} in {metric} {interval}",
                **values,
                size=gained.size,
                interval=gained.interval,
            )
        else:
            text = t(
                "no change of the earlier task “{task}” in {metric} could be shown {interval}",
                **values,
                interval=gained.interval,
            )
        said.append(sentence(text))
    return said
