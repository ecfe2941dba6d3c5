"""``weitiao runs``: the family tree of the runs in a folder, how far each is and what it reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weitiao.cli.output import output
from weitiao.words import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weitiao.api.runs import Branch, RunFacts

_RUNS = Path("runs")


def describe() -> str:
    """The help text."""
    return t(
        "Lists the runs in a folder: how far each is, what it was tuned for, its score on its test rows, and, set in "
        "under it, the runs that were tuned from its result.\n"
        "\n"
        "  weitiao runs\n"
        "  weitiao runs experiments"
    )


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help=t("where the runs are; without it, runs"))
    ] = None,
) -> None:
    """Show the tree."""
    from weitiao.api.runs import family, list_runs

    found = list_runs(folder or _RUNS) if folder or _RUNS.is_dir() else []
    output().result({"runs": [run.json() for run in found]})
    if not found:
        output().say(t("there are no runs in {folder}", folder=folder or _RUNS))
        output().say(t("begin one with: weitiao train --model smollm2-135m-instruct --data FILE"))
        return
    rows = [_row(head, run) for branch in family(found) for head, run in _lines(branch, "", "")]
    output().table([t("run"), t("state"), t("task"), t("method"), t("score"), t("model")], rows)
    for run in found:
        if run.state == "stopped":
            output().say(t("{name} can go on: weitiao train {folder}", name=run.name, folder=run.folder))
        if run.state == "broken":
            output().say(t("{name} is damaged: {problem}", name=run.name, problem=run.problem))


def _lines(branch: Branch, head: str, below: str) -> Iterator[tuple[str, RunFacts]]:
    """Each run with the branches that are drawn before its name."""
    yield head, branch.run
    for child in branch.children:
        last = child is branch.children[-1]
        yield from _lines(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _row(head: str, run: RunFacts) -> list[str]:
    return [head + run.name, _state(run), run.kind, run.method, _score(run), _origin(run, nested=bool(head))]


def _state(run: RunFacts) -> str:
    step = t("step {step} of {steps}", step=run.step, steps="?" if run.steps is None else run.steps)
    match run.state:
        case "finished":
            return t("finished")
        case "running":
            return t("running, {step}", step=step)
        case "stopped":
            return t("stopped, {step}", step=step)
    return t("damaged")


def _score(run: RunFacts) -> str:
    from weitiao.evaluation.measures import measure, score_text

    shown = score_text(measure(run.metric), run.score)
    return f"{measure(run.metric).title} {shown.value} ({shown.interval})" if shown else "–"


def _origin(run: RunFacts, nested: bool) -> str:
    if run.parent and not nested:
        return t("{parent}, which is not here", parent=run.parent)
    return run.model
