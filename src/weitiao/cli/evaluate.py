"""``weitiao evaluate``: how good a run or a model is on test rows, every score with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weitiao.cli.counting import counting
from weitiao.cli.output import output
from weitiao.cli.own_flags import refuse_unused, take_flags
from weitiao.errors import SettingsError
from weitiao.process import importing
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.api.evaluate import Evaluation

USED = frozenset(
    (
        "model", "data", "format", "kind", "text_column", "label_column", "prompt_column", "reply_column", "question",
        "val_size", "test_size", "template", "cutoff_len", "precision", "learn", "engine", "threads",
        "eval_max_samples", "generate_max_samples", "max_new_tokens", "output_dir", "lang",
    )
)  # fmt: skip


def describe() -> str:
    """The help text."""
    return t(
        "Scores a run or a model on labelled data, with 95 % intervals. Without --data a run is scored on its own test "
        "split, and the scores are those of its report.\n"
        "\n"
        "  weitiao evaluate RUN\n"
        "  weitiao evaluate RUN --data more.csv --output evaluations/more\n"
        "  weitiao evaluate smollm2-135m-instruct --data sms-spam --split test\n"
        "\n"
        "Flags of its own:\n"
        "  --split test   of the data only the rows that training keeps for the test; without it, all rows\n"
        "  --slices       short, middling and long texts apart\n"
        "  --output DIR   write report.html, report.json and card.md there"
    )


def command(arguments: list[str]) -> None:
    """Score, and show the scores."""
    own, others = take_flags(arguments, ("split", "output"), ("slices",))
    others += [f"--output-dir={own['output']}"] if "output" in own else []
    split = own.get("split")
    if split not in (None, "all", "test"):
        raise SettingsError(t("--split is {value}, but it must be all or test", value=split), t("write --split test"))
    from weitiao.cli.train import announce
    from weitiao.settings import parse_settings

    parsed = parse_settings(others, word="model", required=("model",))
    refuse_unused(parsed.given, USED, "evaluate")
    announce(parsed)
    with importing():
        from weitiao.api.evaluate import evaluate

    with counting(t("rows scored:")) as count:
        found = evaluate(
            parsed.settings,
            "test" if split == "test" else "all",
            "slices" in own,
            lambda kind, facts: _tell(kind, facts, count),
        )
    _show(found)
    output().result(
        {
            **found.json(),
            "ledger": found.report["data"]["ledger"],
            "problems": found.report["data"]["problems"],
            "report": str(found.folder / "report.html") if found.folder else None,
        }
    )


def _tell(kind: str, facts: dict[str, Any], count: Any) -> None:
    from weitiao.cli.watch import ledger_line

    match kind:
        case "data":
            for sentence in facts["read_as"]:
                output().say(sentence)
        case "rows":
            output().say(ledger_line(facts))
        case "engine" if facts["note"]:
            output().say(facts["note"])
        case "problem":
            where = f"{facts['where']}: " if facts["where"] else ""
            output().say(t("warning: {message}", message=f"{where}{facts['message']}"))
        case "kept":
            output().say(
                t(
                    "going on where it was stopped: {done} of {count} rows had been scored",
                    done=facts["done"],
                    count=facts["count"],
                )
            )
        case "scoring":
            count(facts["done"], facts["count"])


def _show(found: Evaluation) -> None:
    from weitiao.evaluation.measures import in_order, measure, score_text

    out = output()
    names = in_order(found.scores) + [name for name in found.scores if name.startswith("f1/")]
    rows = []
    for name in names:
        shown = score_text(measure(name), found.scores[name].json())
        if shown:
            rows.append([measure(name).title, shown.value, shown.interval, shown.count])
    out.table([t("measure"), t("measured"), t("95 % interval"), "n"], rows)
    for part in found.slices:
        out.show(_slice_line(part.name, part.shortest, part.longest))
        for name in names[:2]:
            shown = score_text(measure(name), part.scores[name].json()) if name in part.scores else None
            if shown:
                out.show(f"  {measure(name).title} {shown.value} ({shown.interval}), n = {shown.count}")
    if found.folder:
        out.show(t("report: {path}", path=found.folder / "report.html"))


def _slice_line(name: str, shortest: int, longest: int) -> str:
    values = {"low": shortest, "high": longest}
    match name:
        case "short":
            return t("short texts ({low} to {high} characters):", **values)
        case "middle":
            return t("middling texts ({low} to {high} characters):", **values)
    return t("long texts ({low} to {high} characters):", **values)
