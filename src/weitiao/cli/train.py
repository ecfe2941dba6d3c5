"""``weitiao train``: tune a model, or go on with a run; before and after with intervals at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.cli.output import output
from weitiao.cli.own_flags import refuse_comparison
from weitiao.errors import SettingsError
from weitiao.process import importing
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.run import Run
    from weitiao.settings import Parsed

_MOST_CATEGORIES = 4  # whose F1 is shown in the terminal; the report has all


def describe() -> str:
    """The help text."""
    return t(
        "Tunes a model on your data, and measures it before and after on test rows that it never learns from. The task "
        "is read off the data and said; every guess and every default can be overruled by a flag, by name=value or in "
        "a YAML file. A run folder as the only argument goes on with that run.\n"
        "\n"
        "  weitiao train --model smollm2-135m-instruct --data sms-spam\n"
        "  weitiao train settings.yaml learning_rate=5e-4\n"
        "  weitiao train runs/2026-11-24-sms-spam-lora"
    )


def command(arguments: list[str]) -> None:
    """Train or resume, show the results, and say what to do next."""
    folder = _run_to_resume(arguments)
    if folder is None:
        from weitiao.settings import parse_settings

        parsed = parse_settings(arguments)
        refuse_comparison(parsed.given, "train")
        announce(parsed)
    with importing():
        from weitiao.api.train import resume, train
    from weitiao.cli.watch import watching

    with watching() as listen:
        run = train(parsed.settings, listen) if folder is None else resume(folder, listen)
    report = json.loads(run.report.read_text(encoding="utf-8"))
    _show(run, report)
    output().result(_result(run, report))


def announce(parsed: Parsed) -> None:
    """Say what foreign names became."""
    for note in parsed.notes:
        output().say(note)
    for translation in parsed.translations:
        output().say(translation.sentence())


def _run_to_resume(arguments: list[str]) -> Path | None:
    from weitiao.run import is_run

    words = [word for word in arguments if not word.startswith("-") and "=" not in word]
    if len(words) != 1 or not Path(words[0]).is_dir():
        return None
    folder = Path(words[0])
    if not is_run(folder):
        raise SettingsError(t("{folder} is not a run", folder=folder), t("weitiao runs lists them"))
    others = [word for word in arguments if word != words[0] and not word.startswith("--lang")]
    if others:
        raise SettingsError(
            t("a run is resumed with its own settings, but there is also {words}", words=" ".join(others)),
            t("leave it out, or start a new run from the result: weitiao train --model {run} …", run=folder),
        )
    return folder


def _show(run: Run, report: dict[str, Any]) -> None:
    out = output()
    rows = [_row(name, report) for name in headline_metrics(report)]
    out.show("")
    out.table([t("on the test rows"), t("before"), t("after"), t("difference"), "p"], rows)
    out.show("")
    for sentence in report["verdict"]:
        out.show(sentence)
    cost = report["cost"]
    out.show(
        t(
            "{seconds} s in all; {tokens} tokens learned from at {speed} tokens/s; peak memory {memory} GB",
            seconds=round(cost["seconds"]),
            tokens=cost["tokens"],
            speed=round(cost["tokens_per_second"] or 0),
            memory=round(cost["peak_memory_bytes"] / 2**30, 1),
        )
    )
    out.show("\n" + t("report: {path}", path=run.folder / "report.html"))
    out.show(t("next:"))
    if report["settings"]["head"]["value"] == "words":
        out.show(f"  weitiao chat {run.folder}")
    out.show(f"  weitiao predict {run.folder} --data FILE")
    out.show(f"  weitiao train --model {run.folder} --data MORE")


def headline_metrics(report: dict[str, Any]) -> list[str]:
    """The metrics that a terminal shows: the task's own, and each category's F1 where there are few."""
    from weitiao.evaluation.measures import HEADLINES

    kind, categories = report["task"]["kind"], report["task"]["categories"]
    names = list(HEADLINES[kind])
    if len(categories) <= _MOST_CATEGORIES:
        names += [f"{'span_f1' if kind == 'mark' else 'f1'}/{category}" for category in categories]
    return [name for name in names if name in report["after"]["scores"]]


def _row(name: str, report: dict[str, Any]) -> list[str]:
    before, after = (report[when]["scores"].get(name) for when in ("before", "after"))
    difference = report["difference"].get(name)
    if difference is None:
        return [name, score_text(before), score_text(after), "–", "–"]
    change = f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    p = "< 0.001" if difference["p"] < 0.001 else f"{difference['p']:.3f}"
    return [name, score_text(before), score_text(after), change, p]


def score_text(score: dict[str, Any] | None) -> str:
    """A score with its interval and n, for a terminal."""
    if score is None:
        return "–"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['count']}"


def _result(run: Run, report: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": str(run.folder),
        "before": report["before"]["scores"],
        "after": report["after"]["scores"],
        "difference": report["difference"],
        "ledger": report["data"]["ledger"],
        "seconds": report["cost"]["seconds"],
        "tokens": report["cost"]["tokens"],
    }
