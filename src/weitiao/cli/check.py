"""``weitiao check``: what was read, what is wrong with it, and what would be learned, before anything is."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from weitiao.cli.output import Output, output, set_output
from weitiao.errors import SettingsError, WeitiaoError
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.api.check import Checked
    from weitiao.data.ledger import Problem
    from weitiao.settings import Parsed

_ROWS_OF_A_REASON = 5
_IN_LEDGER = ("duplicate", "contradiction", "leak", "shortened", "too_long")  # whose rows the ledger's table shows


def describe() -> str:
    """The help text."""
    return t(
        "Looks at your data before anything is trained: what they were read as, what became of every row, duplicates, "
        "contradictory labels, leaks between the splits, balance and lengths; with --model also the mask proof, which "
        "shows token by token what would be learned. What cannot be trained on is refused with a reason. It takes the "
        "same settings as weitiao train.\n"
        "\n"
        "  weitiao check reviews.csv\n"
        "  weitiao check sms-spam --model smollm2-135m-instruct\n"
        "\n"
        "A flag of its own:\n"
        "  --rows N   how many rows to show token by token; without it, 3"
    )


def command(arguments: list[str]) -> None:
    """Check, show, and raise what stands against training."""
    from weitiao.cli.own_flags import refuse_comparison, take_flags

    own, others = take_flags(arguments, ("rows",))
    rows = _count(own.get("rows", "3"))
    from weitiao.cli.train import announce
    from weitiao.settings import parse_settings

    parsed = parse_settings(others, word="data", required=("data",))
    refuse_comparison(parsed.given, "check")
    announce(parsed)
    from weitiao.api.check import check

    found = check(parsed.settings, rows, _tell)
    if found.refused is None:
        output().result(found.json())
        _show(found)
        _show_next(found, parsed)
        return
    output().result({**found.json(), "error": _error(found.refused)})
    _show(found)
    set_output(Output())  # the one object has been printed, and holds the error that is raised now
    raise found.refused


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= 1000):
        raise SettingsError(
            t("--rows is {value}, but it must be a whole number from 0 to 1000", value=value[:60]),
            t("write --rows 5"),
        )
    return int(value)


def _tell(kind: str, facts: dict[str, Any]) -> None:
    match kind:
        case "reading":
            output().say(t("reading …"))
        case "inspecting":
            output().say(t("looking for what is almost the same …"))
        case "encoding":
            output().say(t("going through every row …"))


def _show(found: Checked) -> None:
    out = output()
    for sentence in found.read_as:
        out.show(sentence)
    out.show("")
    _show_ledger(found)
    _show_splits(found)
    _show_lengths(found)
    _show_problems(found)
    if found.rows:
        from weitiao.cli.mask import show_rows

        out.show("")
        show_rows(found.rows)


def _show_ledger(found: Checked) -> None:
    from weitiao.cli.watch import ledger_line

    output().show(ledger_line(found.ledger.counts()))
    shown = found.ledger.shown()
    if not shown:
        return
    rows = []
    for reason, count in found.ledger.reasons().items():
        entries = [entry for entry in shown if entry.reason == reason][:_ROWS_OF_A_REASON]
        rows += [[entry.source, reason, entry.detail] for entry in entries]
        if count > len(entries):
            rows.append(["…", reason, t("and {count} more", count=count - len(entries))])
    output().table([t("row"), t("reason"), t("in detail")], rows)


def _show_splits(found: Checked) -> None:
    if not found.splits:
        return
    totals = {split: sum(counts.values()) for split, counts in found.splits.items()}
    names = sorted({name for counts in found.splits.values() for name in counts})
    one_each = found.kind != "mark"  # where a row counts in each of its categories, shares and sums mean nothing
    rows = []
    for name in names:
        counts = [(counts.get(name, 0), totals[split]) for split, counts in found.splits.items()]
        title = name or (t("rows") if one_each else t("rows without any"))
        rows.append([title, *(_share(*count) if one_each else str(count[0]) for count in counts)])
    if len(names) > 1 and one_each:
        rows.append([t("together"), *map(str, totals.values())])
    output().show("")
    output().table([t("split"), *totals], rows)


def _share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.0f} %)" if 0 < count < total else str(count)


def _show_lengths(found: Checked) -> None:
    if not found.lengths:
        return
    titles = {
        "text": t("characters of a text"),
        "reply": t("characters of a reply"),
        "tokens": t("tokens of a row, of {limit} at most", limit=found.cutoff_len),
    }
    rows = [
        [titles[name], *map(str, (lengths.shortest, lengths.median, lengths.longest_of_95, lengths.longest))]
        for name, lengths in found.lengths.items()
    ]
    output().show("")
    output().table([t("lengths"), t("shortest"), t("half are up to"), t("95 % are up to"), t("longest")], rows)


def _show_problems(found: Checked) -> None:
    """Those that the ledger's table does not show already, the first of each kind."""
    told = [kind for kind in _IN_LEDGER if kind in found.ledger.reasons()]
    by_kind: dict[str, list[Problem]] = {}
    for problem in found.problems:
        if problem.kind not in told:
            by_kind.setdefault(problem.kind, []).append(problem)
    rows = []
    for kind, problems in by_kind.items():
        placed = [problem for problem in problems if problem.where]
        rest = [problem for problem in problems if not problem.where]  # which say how many there are in all
        rows += [[problem.where, kind, problem.message] for problem in placed[:_ROWS_OF_A_REASON]]
        rows += [["…" if placed else "–", kind, problem.message] for problem in rest]
        if len(placed) > _ROWS_OF_A_REASON and not rest:
            rows.append(["…", kind, t("and {count} more", count=len(placed) - _ROWS_OF_A_REASON)])
    output().show("")
    if rows:
        output().table([t("where"), t("to know"), t("in detail")], rows)
    else:
        output().show(t("no other problem was found"))


def _show_next(found: Checked, parsed: Parsed) -> None:
    out = output()
    out.show("")
    if parsed.settings.model:
        out.show_styled([(t("ready to train:"), "1;32"), (" " + _train_command(parsed), "")])
    else:
        out.show(t("the data can be trained on. What would be learned, token by token:"))
        out.show(f"  weitiao check {shlex.quote(parsed.settings.data)} --model smollm2-135m-instruct")


def _train_command(parsed: Parsed) -> str:
    words = ["weitiao", "train"]
    values = parsed.settings.model_dump(mode="json")
    for name in sorted(parsed.given - {"lang"}, key=lambda name: (name != "model", name != "data", name)):
        value = values[name]
        text = ",".join(value) if isinstance(value, list) else str(value)
        words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(words)


def _error(error: WeitiaoError) -> dict[str, Any]:
    kind = type(error).__name__.removesuffix("Error").lower()
    return {"kind": kind, "problem": error.problem, "hint": error.hint, "exit_code": error.exit_code}
