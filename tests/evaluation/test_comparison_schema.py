"""The documented schema of a comparison's report is read from the page, and whole reports are held against it."""

import re
from typing import Any

import pytest

from documents import ROOT
from sample_comparisons import COMPARISONS
from weitiao.evaluation import report_json as run_report_json
from weitiao.evaluation.ladder import report_json

PAGES = ("comparison-report.md", "comparison-report.zh-CN.md")
PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}
Schema = dict[str, dict[str, str]]


def schema(page: str) -> Schema:
    """Of each table of the page its fields and their types."""
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    tables = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        tables[section.split("\n")[0]] = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE))
    return tables


def faults(tables: Schema, kind: str, value: Any, where: str) -> list[str]:
    """Where ``value`` is not of the documented ``kind``."""
    if kind.endswith("?"):
        return [] if value is None else faults(tables, kind[:-1], value, where)
    if kind[0] in "[{":
        if not isinstance(value, list if kind[0] == "[" else dict):
            return [f"{where} is not {kind}"]
        inner = enumerate(value) if isinstance(value, list) else value.items()
        return [fault for name, one in inner for fault in faults(tables, kind[1:-1], one, f"{where}.{name}")]
    if kind == "any":
        return []
    if kind in PLAIN:
        right = isinstance(value, PLAIN[kind]) and (kind == "boolean" or not isinstance(value, bool))
        return [] if right else [f"{where} is not {kind}: {value!r}"]
    if not isinstance(value, dict):
        return [f"{where} is not an object"]
    found = [f"{where}.{name} is not documented" for name in value if name not in tables[kind]]
    for name, of in tables[kind].items():
        if name in value:
            found += faults(tables, of, value[name], f"{where}.{name}")
        elif not of.endswith("?"):
            found.append(f"{where}.{name} is missing")
    return found


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_whole_report_is_as_documented(name: str) -> None:
    assert faults(schema(PAGES[0]), "report", COMPARISONS[name](), name) == []


def test_the_whole_example_has_everything_that_is_documented() -> None:
    tables, seen = schema(PAGES[0]), set()

    def visit(kind: str, value: Any) -> None:
        kind = kind.rstrip("?")
        if kind[0] in "[{" and value:
            for one in value if isinstance(value, list) else value.values():
                visit(kind[1:-1], one)
        elif kind in tables and value is not None:
            for name in value:
                seen.add((kind, name))
                visit(tables[kind][name], value[name])

    visit("report", COMPARISONS["classify"]())
    assert {(kind, name) for kind, fields in tables.items() for name in fields} - seen == set()


def test_both_languages_document_the_same() -> None:
    assert schema(PAGES[0]) == schema(PAGES[1])


def test_what_is_documented_is_what_the_views_fill_in() -> None:
    tables = schema(PAGES[0])
    blanks = {
        "report": report_json.BLANK,
        "arm": report_json.ARM,
        "omission": report_json.OMISSION,
        "slice": report_json.SLICE,
        "parent": run_report_json.PARENT,
        "general": run_report_json.EFFECT,
        "item": report_json.ITEM,
    }
    parts = {"curve": "curve", "threshold": "threshold", "side_effects": "side_effects", "slices": "slices"}
    blanks |= {kind: report_json.BLANK[name] for name, kind in {**parts, "task": "task", "cost": "cost"}.items()}
    blanks |= {"spread": report_json.ARM["spread"], "arm_cost": report_json.ARM["cost"]}
    assert {kind: set(tables[kind]) for kind in blanks} == {kind: set(blank) for kind, blank in blanks.items()}


def test_a_fault_is_found() -> None:
    report = COMPARISONS["mark"]()
    report["arms"][0]["scores"]["span_f1"]["value"] = "high"
    report["extra"] = 1
    del report["task"]["kind"]
    found = faults(schema(PAGES[0]), "report", report, "r")
    assert found == [
        "r.extra is not documented",
        "r.task.kind is missing",
        "r.arms.0.scores.span_f1.value is not number: 'high'",
    ]
