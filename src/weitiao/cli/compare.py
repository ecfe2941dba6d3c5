"""``weitiao compare``: every way of getting the task done, on the same test items, and a plain answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.cli.output import output
from weitiao.cli.own_flags import take_flags
from weitiao.cli.train import announce, score_text
from weitiao.errors import SettingsError
from weitiao.process import importing
from weitiao.words import language, t

if TYPE_CHECKING:
    from weitiao.api.compare import Comparison

_PAGES = ("md", "json", "html")


def describe() -> str:
    """The help text."""
    return t(
        "Answers the question whether to tune: the commonest answer, a small classical model, prompts without and with "
        "solved examples, and the tuned model answer the same test rows, which nobody has learned from, and the report "
        "says with error bars which is better, by how much and at what cost. What has been answered is kept: a folder "
        "as the only argument goes on with that comparison.\n"
        "\n"
        "  weitiao compare --model smollm2-135m-instruct --data sms-spam\n"
        "  weitiao compare --model smollm2-135m-instruct --data reviews.csv --arms small,zero-shot,tuned --curve off\n"
        "  weitiao compare comparisons/2026-11-24-sms-spam\n"
        "  weitiao compare comparisons/2026-11-24-sms-spam --format md\n"
        "\n"
        "Flags of its own:\n"
        "  --format md|json|html   of a comparison that has ended: its report on stdout"
    )


def command(arguments: list[str]) -> None:
    """Compare or go on, show the ladder, and say what to do next."""
    folder = _folder(arguments)
    if folder is not None:
        own, others = take_flags(arguments, ("format",))
        _refuse(others, folder)
        if "format" in own:
            _print_page(folder, own["format"])
            return
    else:
        from weitiao.settings import parse_settings

        parsed = parse_settings(arguments)
        announce(parsed)
    with importing():
        from weitiao.api.compare import compare, resume_comparison
    from weitiao.cli.watch import watching

    with watching() as listen:
        found = compare(parsed.settings, listen) if folder is None else resume_comparison(folder, listen)
    report = json.loads(found.report.read_text(encoding="utf-8"))
    _show(found, report)
    output().result(_result(found, report))


def _folder(arguments: list[str]) -> Path | None:
    """The comparison to go on with, where one is named."""
    words = [word for word in arguments if not word.startswith("-") and "=" not in word]
    if not words or not Path(words[0]).is_dir() or arguments[0] != words[0]:
        return None
    folder = Path(words[0])
    if not (folder / "comparison.yaml").is_file():
        raise SettingsError(
            t("{folder} is not a comparison", folder=folder), t("start one: weitiao compare --model M --data D")
        )
    return folder


def _refuse(arguments: list[str], folder: Path) -> None:
    others = [word for word in arguments if word != str(folder) and Path(word) != folder and word[:6] != "--lang"]
    if others:
        raise SettingsError(
            t("a comparison goes on with its own settings, but there is also {words}", words=" ".join(others)),
            t("leave it out, or start a new comparison"),
        )


def _print_page(folder: Path, form: str) -> None:
    if form not in _PAGES:
        raise SettingsError(
            t("--format is {value}, but it must be {names}", value=form, names=", ".join(_PAGES)),
            t("write --format md"),
        )
    file = folder / "report.json"
    if not file.is_file():
        raise SettingsError(
            t("{folder} has no report yet", folder=folder), t("go on with: weitiao compare {folder}", folder=folder)
        )
    text = file.read_text(encoding="utf-8")
    if form != "json":
        from weitiao.evaluation.ladder import comparison_html, comparison_markdown
        from weitiao.evaluation.ladder_verdict import said_again

        page = comparison_markdown if form == "md" else comparison_html
        text = page(said_again(json.loads(text)), language())
    output().show(text.rstrip("\n"))


def _show(found: Comparison, report: dict[str, Any]) -> None:
    from weitiao.evaluation.measures import measure

    out, headline = output(), report["headline"]
    rows = [_row(arm, report) for arm in report["arms"]]
    out.show("")
    against = t("{reference} minus it", reference=report["reference"])
    out.table([t("arm"), measure(headline).title, against, "p", t("learning, answering")], rows)
    out.show("")
    for sentence in report["verdict"]:
        out.show(sentence)
    for each in report["left_out"]:
        out.show(t("left out: {name}: {reason}", name=each["name"], reason=each["reason"]))
    out.show("\n" + t("report: {path}", path=found.folder / "report.html"))
    out.show(t("next:"))
    tuned = next((arm for arm in report["arms"] if arm["run"]), None)
    if tuned:
        out.show(f"  weitiao predict {found.folder / tuned['run']} --data FILE")
    out.show(f"  weitiao compare {found.folder} --format md")


def _row(arm: dict[str, Any], report: dict[str, Any]) -> list[str]:
    cost, difference = arm["cost"], report["differences"].get(arm["name"])
    times = f"{cost['prepare_seconds']:.1f} s, {cost['answer_seconds']:.1f} s"
    score = score_text(arm["scores"].get(report["headline"]))
    if difference is None:
        return [arm["name"], score, "–", "–", times]
    change = f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    p = "< 0.001" if difference["adjusted_p"] < 0.001 else f"{difference['adjusted_p']:.3f}"
    return [arm["name"], score, change, p, times]


def _result(found: Comparison, report: dict[str, Any]) -> dict[str, Any]:
    return {
        "comparison": str(found.folder),
        "headline": report["headline"],
        "reference": report["reference"],
        "arms": {arm["name"]: arm["scores"] for arm in report["arms"]},
        "differences": report["differences"],
        "verdict": report["verdict"],
        "ledger": report["data"]["ledger"],
        "report": str(found.folder / "report.html"),
    }
