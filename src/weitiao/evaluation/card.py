"""``card.md``, the model card: what was tuned, on what, how good it is with intervals, its limits, how to load it.

Separate from the page because a model hub reads it: front matter, one table, and the code to load the result.
"""

import contextvars
import re
import shlex
from collections.abc import Mapping
from typing import Any

from weitiao.evaluation import figures, measures, sections, titles
from weitiao.evaluation.frame import SHARED
from weitiao.evaluation.markdown import markdown_environment
from weitiao.evaluation.report_json import complete
from weitiao.words import Language, set_language, t

_COMMON_ENGLISH = frozenset(
    ("the", "and", "or", "of", "to", "in", "is", "are", "was", "you", "your", "it", "this", "that", "for", "with", "on")
)


def card_markdown(report: Mapping[str, Any], language: Language) -> str:
    """The model card of ``report``: YAML front matter and Markdown, as model hubs read it."""
    return contextvars.copy_context().run(_card, report, language)


def _card(report: Mapping[str, Any], language: Language) -> str:
    set_language(language)
    report = complete(report)
    values = {
        "report": report,
        "paired": sections.paired(report),
        "languages": _languages(report),
        "tags": [name for name in ("weitiao", report["model"]["method"], report["task"]["kind"]) if name],
        "summary": _summary(report),
        "task": titles.kind_title(report["task"]["kind"]),
        "method": titles.method_title(report["model"]["method"]),
        "weights": sections.weights(report["model"]),
        "ledger": _ledger(report["data"]["ledger"]),
        "balance": [(split.title, f"{split.total:,}", _shares(split)) for split in figures.splits(report)],
        "rows": [*sections.metric_rows(report), *_category_rows(report)],
        "limits": sections.limits(report),
        "use_command": _use_command(report),
        "opener": _opener(report),
        "labels": len(report["task"]["categories"]) if _has_head(report) else 0,
        "command": sections.command(report),
        "lineage": sections.lineage(report),
    }
    return markdown_environment(SHARED).get_template("card.md").render(values)


def _summary(report: Mapping[str, Any]) -> str:
    if report["model"]["method"]:
        return t(
            "{base}, tuned with Weitiao {version} and measured before and after on rows that it never learned from.",
            base=report["model"]["name"],
            version=report["weitiao"],
        )
    return t("{base}, measured with Weitiao {version}.", base=report["model"]["name"], version=report["weitiao"])


def _has_head(report: Mapping[str, Any]) -> bool:
    return bool(report["settings"].get("head", {}).get("value") == "category")


def _opener(report: Mapping[str, Any]) -> str:
    """The class of transformers that opens the result."""
    return "AutoModelForSequenceClassification" if _has_head(report) else "AutoModelForCausalLM"


def _ledger(ledger: Mapping[str, int]) -> str:
    if not ledger:
        return ""
    counts = {name: f"{ledger.get(name, 0):,}" for name in ("read", "used", "truncated", "dropped")}
    return t(
        "Rows: {read} read = {used} used + {truncated} truncated + {dropped} dropped",
        read=counts["read"],
        used=counts["used"],
        truncated=counts["truncated"],
        dropped=counts["dropped"],
    )


def _shares(split: figures.Split) -> str:
    named = [(name, count) for name, count in split.counts.items() if name]
    shown = [
        f"{name} {measures.percent(count / split.total, 1)}"
        for name, count in sorted(named, key=lambda one: -one[1])[:8]
    ]
    return t(", ").join(shown) + ("…" if len(named) > 8 else "")


def _category_rows(report: Mapping[str, Any]) -> list[sections.MetricRow]:
    rows = [row for _, _, cells in sections.category_rows(report) for row in cells]
    return [row for row in rows if row.before or row.after]


def _use_command(report: Mapping[str, Any]) -> str:
    run = shlex.quote(report["run"] or "RUN")
    if report["task"]["kind"] == "reply":
        return f"weitiao chat runs/{run}"
    return f"weitiao predict runs/{run} --data FILE"


def _languages(report: Mapping[str, Any]) -> list[str]:
    """Chinese and English, as far as the test rows show them; any other language stays unsaid."""
    sample = " ".join(f"{item['text']} {item['gold']}" for item in report["items"][:500])[:200_000]
    words = re.findall(r"[a-z']+", sample.casefold())
    letters = sum(map(str.isalpha, sample))
    found = []
    common = [word for word in words if word in _COMMON_ENGLISH]
    if len(set(common)) > 2 and len(common) > 0.1 * len(words):
        found.append("en")
    if letters and sum("一" <= letter <= "鿿" for letter in sample) > 0.1 * letters:
        found.append("zh")
    return found
