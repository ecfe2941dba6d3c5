"""``weitiao predict``: a label with its confidence, or a reply, for every row of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.cli.counting import counting
from weitiao.cli.output import output
from weitiao.cli.own_flags import refuse_unused, take_flags
from weitiao.process import importing
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.api.predict import Predictions

USED = frozenset(
    (
        "model", "data", "format", "kind", "text_column", "label_column", "prompt_column", "reply_column", "question",
        "max_samples", "template", "cutoff_len", "precision", "seed", "engine", "threads", "max_new_tokens", "lang",
    )
)  # fmt: skip
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
_SHOWN = 10


def describe() -> str:
    """The help text."""
    return t(
        "Gives every row of a file the run's answer: a category with its confidence and a probability for each, or a "
        "written reply. The data need no label. A file of any size is read; killed, it goes on where it was.\n"
        "\n"
        "  weitiao predict RUN --data new.csv\n"
        "  weitiao predict RUN --data new.jsonl --output answers.jsonl\n"
        "  weitiao predict RUN --data questions.csv --temperature 0.7 --top-p 0.9\n"
        "\n"
        "Flags of its own:\n"
        "  --output FILE          a .csv or .jsonl; without it, DATA.predictions.csv beside the data\n"
        "  --no-text              do not repeat the texts in the output\n"
        "  --temperature --top-k --top-p --min-p --repetition-penalty   how replies are written; at temperature 0, "
        "which is the default, always the likeliest word"
    )


def command(arguments: list[str]) -> None:
    """Predict, and say where the answers are."""
    own, others = take_flags(arguments, ("output", *_SAMPLING), ("no_text",))
    from weitiao.cli.train import announce
    from weitiao.settings import parse_settings

    parsed = parse_settings(others, word="model")
    refuse_unused(parsed.given, USED, "predict")
    announce(parsed)
    with importing():
        from weitiao.api.predict import predict
        from weitiao.api.sampling import make_sampling

    settings = parsed.settings
    lengths = {"max_new_tokens": settings.max_new_tokens, "seed": settings.seed}
    sampling = make_sampling({**{name: own[name] for name in _SAMPLING if name in own}, **lengths})
    path = Path(own["output"]).expanduser() if "output" in own else None
    with counting(t("rows answered:")) as count:

        def tell(kind: str, facts: dict[str, Any]) -> None:
            if kind == "predicted":
                count(facts["rows"], None)
            said = facts["note"] if kind == "engine" else ""
            for sentence in (*facts.get("read_as", ()), *([said] if said else ())):
                output().say(sentence)

        found = predict(settings, path, sampling, "no_text" not in own, tell)
    _show(found)
    output().result(
        {
            "output": str(found.path),
            "ledger": dict(found.ledger),
            "reasons": dict(found.reasons),
            "predicted": dict(found.predicted),
            "went_on_after": found.went_on_after,
        }
    )


def _show(found: Predictions) -> None:
    from weitiao.cli.watch import ledger_line

    out = output()
    if found.went_on_after:
        out.say(t("went on after row {count}, where it had been stopped", count=found.went_on_after))
    out.show(ledger_line({**found.ledger, "reasons": found.reasons}))
    commonest = sorted(found.predicted.items(), key=lambda pair: -pair[1])
    total = sum(found.predicted.values())
    for name, count in commonest[:_SHOWN]:
        out.show(f"  {name}: {count:,} ({100 * count / total:.0f} %)")
    if len(commonest) > _SHOWN:
        out.show("  …")
    out.show(t("written: {path}", path=found.path))
