"""``compare``: one frozen test set, every way of getting the task done, and a plain answer with error bars.

A comparison is a folder. Each arm answers alone, and what it answered is on disk before the next begins; whoever goes
on after whatever has ended it reads those files, so that the numbers are the same as without the interruption.
"""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weitiao.api.arms import Arm, check_names, plan_arms
from weitiao.api.begun_in import begun_in
from weitiao.api.comparison_report import Facts, publish_comparison
from weitiao.api.curve import Point, curve_points
from weitiao.api.endpoint_arm import endpoint_outcome
from weitiao.api.listener import Listener
from weitiao.api.outcomes import Draw, Outcome, Outcomes
from weitiao.api.prompting import Prompting
from weitiao.api.session import fingerprints
from weitiao.api.stopping import StopRequest
from weitiao.api.train import Known
from weitiao.api.trial import Trial, open_trial
from weitiao.api.tuned_arms import small_outcome, tuned_outcome
from weitiao.errors import SettingsError, Stopped
from weitiao.evaluation.commonest import commonest_answers, nothing_marked
from weitiao.evaluation.marked import gold_json
from weitiao.evaluation.stored import Given
from weitiao.example import names_of
from weitiao.lineage import Lineage, differences
from weitiao.objectives.mark import gold_spans
from weitiao.run import Run, check_unused, locked, named_by_data, write_whole
from weitiao.settings import Settings, comparison_yaml, parse_settings
from weitiao.words import t

GIVEN = "comparison.yaml"
_ARMS = "arms"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The folder of a comparison."""

    folder: Path

    @property
    def report(self) -> Path:
        """The report as JSON; report.html and card.md lie beside it."""
        return self.folder / "report.json"

    def finished(self) -> bool:
        """Whether it has ended with a report."""
        return self.report.is_file()


def is_comparison(folder: Path) -> bool:
    """Whether ``folder`` is one of a comparison, also of one that was killed."""
    return (folder / GIVEN).is_file()


def compare(settings: Settings, listen: Listener = lambda kind, facts: None) -> Comparison:
    """Try every arm that ``settings`` ask for, in a new folder. Raises Stopped when asked to stop; it can go on.

    Raises SettingsError, DataError, ModelError, MachineError.
    """
    check_names(settings)
    folder = _new_folder(settings)
    with locked(Run(folder)):
        try:
            write_whole(folder / GIVEN, comparison_yaml(settings))
            return _compared(folder, settings, listen)
        except BaseException:
            if not (folder / "lineage.json").is_file():  # nothing has begun: leave nothing half-written
                shutil.rmtree(folder, ignore_errors=True)
            raise


def resume_comparison(folder: Path, listen: Listener = lambda kind, facts: None) -> Comparison:
    """Go on with an unfinished comparison, to the same numbers as without the interruption.

    Raises SettingsError when it has finished, or when data, settings, tokenizer or base have changed since.
    """
    found = Comparison(folder.absolute())
    if found.finished():
        raise SettingsError(t("{run} has finished", run=folder), t("see {report}", report=folder / "report.html"))
    settings = parse_settings([str(found.folder / GIVEN)]).settings
    with locked(Run(found.folder)), chdir(begun_in(Run(found.folder), settings)):
        _compared(found.folder, settings, listen)
    return Comparison(folder)


def _new_folder(settings: Settings) -> Path:
    if settings.output_dir is None:
        return named_by_data("comparisons", settings.data)
    folder = Path(settings.output_dir)
    if is_comparison(folder):
        raise SettingsError(
            t("output_dir {folder} is a comparison already", folder=folder),
            t("go on with it: weitiao compare {folder}, or name another output_dir", folder=folder),
        )
    check_unused(folder)
    return folder


def _compared(folder: Path, settings: Settings, listen: Listener) -> Comparison:
    trial = open_trial(settings, folder / "ledger.jsonl")
    listen("data", {"read_as": list(trial.opened.read_as)})
    listen("rows", {**trial.ledger.counts(), "reasons": trial.ledger.reasons()})
    arms, left_out = plan_arms(trial.settings, trial.task, trial.source, trial.use)
    listen("arms", {"arms": [arm.name for arm in arms], "left_out": [asdict(each) for each in left_out]})
    lineage = _settled(folder, trial)
    kept = Outcomes(folder / _ARMS)
    try:
        outcomes, points = _answered(folder, arms, trial, kept, listen)
    except Stopped as stopped:
        hint = t("go on with: weitiao compare {folder}", folder=folder)
        raise Stopped(stopped.problem, hint, stopped.exit_code) from stopped
    listen("judging", {})
    facts = Facts(trial, outcomes, left_out, points, lineage, kept.spent())
    publish_comparison(folder, facts)
    return Comparison(folder)


def _answered(
    folder: Path, arms: list[Arm], trial: Trial, kept: Outcomes, listen: Listener
) -> tuple[list[Outcome], list[Point]]:
    prompting = Prompting(trial, kept, listen)
    found: list[Outcome] = []
    with StopRequest() as stop:
        for number, arm in enumerate(arms, 1):
            listen("arm", {"name": arm.name, "number": number, "count": len(arms)})
            outcome = kept.find(arm)
            if outcome is None:
                outcome = kept.keep(_outcome(arm, trial, prompting, kept, folder, found, listen))
            found.append(outcome)
            stop.obey(t("stopped after the arm {name}, and saved", name=arm.name), "")
        prompting.forget()
        known = Known(_before(found, trial), beside=False)
        return found, curve_points(found, trial, kept, folder, known, _of_a_run(listen))


def _outcome(
    arm: Arm,
    trial: Trial,
    prompting: Prompting,
    kept: Outcomes,
    folder: Path,
    found: list[Outcome],
    listen: Listener,
) -> Outcome:
    match arm.family:
        case "baseline":
            return _commonest(arm, trial)
        case "small":
            return small_outcome(arm, trial)
        case "tuned":
            prompting.forget()
            known = Known(_before(found, trial))
            return tuned_outcome(arm, trial, kept, folder, known, _of_a_run(listen))
        case "endpoint":
            return endpoint_outcome(arm, trial, folder, listen)
    return prompting.outcome(arm)


def _of_a_run(listen: Listener) -> Listener:
    """Without what a run says of the data and the untuned model, which the comparison has said."""

    def tell(kind: str, facts: dict[str, Any]) -> None:
        if kind not in ("data", "rows", "untuned", "head"):
            listen(kind, facts)

    return tell


def _commonest(arm: Arm, trial: Trial) -> Outcome:
    """What always giving the commonest answer of the rows to learn from reaches."""
    if trial.task.kind == "mark":
        gold = [gold_json(gold_spans(example), example.text) for example in trial.examples]
        return Outcome(arm, (Draw("1", nothing_marked(gold), 0.0),))
    counts = trial.opened.partition.counts["train"]
    rows = int((trial.opened.partition.split_of == 0).sum())
    answers = commonest_answers([names_of(one.label) for one in trial.examples], trial.task, counts, rows)
    return Outcome(arm, (Draw("1", answers, 0.0),))


def _before(found: list[Outcome], trial: Trial) -> Given | None:
    """What a run need not ask before it learns: the zero-shot arm has asked this model the same."""
    zero = next((one for one in found if one.arm.name == "zero-shot"), None)
    if zero is None or zero.settings["questions"][0] != trial.task.question:
        return None
    return Given(tuple(example.id for example in trial.examples), zero.draws[0].answers, zero.draws[0].seconds)


def _settled(folder: Path, trial: Trial) -> Lineage:
    """Write down what the comparison is made of, or check that it is still made of the same."""
    file = folder / "lineage.json"
    made_of = trial.settings.model_dump(mode="json", exclude={"output_dir", "lang"})
    lineage = fingerprints(trial.source, trial.opened, made_of, trial.settings.seed)
    if not file.is_file():
        write_whole(file, json.dumps(lineage.json(), indent=1))
        return lineage
    changed = differences(Lineage.from_json(json.loads(file.read_text(encoding="utf-8"))), lineage)
    if changed:
        shown = "; ".join(f"{name}: {before} → {after}" for name, before, after in changed)
        raise SettingsError(
            t("{run} cannot be resumed, something has changed: {changes}", run=folder, changes=shown),
            t("put it back, or start a new comparison; only the same inputs give the same numbers"),
        )
    return lineage
