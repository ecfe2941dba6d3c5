"""The page of results: ``python -m benchmarks.page`` writes the newest ones into docs/benchmarks.md and its twin."""

import re
from pathlib import Path
from typing import Any

from benchmarks.results import latest
from benchmarks.table import more_table, ratios_table

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {"en": "benchmarks.md", "zh": "benchmarks.zh-CN.md"}
_NOTHING = {"en": "Nothing has been measured yet.", "zh": "尚无测量结果。"}


def main() -> None:
    document = latest()
    for language, name in PAGES.items():
        path = DOCS / name
        path.write_text(filled(path.read_text(encoding="utf-8"), document, language), encoding="utf-8")


def filled(text: str, document: dict[str, Any] | None, language: str) -> str:
    """``text`` with what stands between ``<!-- NAME -->`` and ``<!-- end -->`` made of ``document``."""

    def part(found: re.Match[str]) -> str:
        body = _PARTS[found[1]](document, language) if document else _NOTHING[language]
        return f"<!-- {found[1]} -->\n{body}\n<!-- end -->"

    return re.sub(rf"<!-- ({'|'.join(_PARTS)}) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def _machine(document: dict[str, Any], language: str) -> str:
    machine, date, commit = document["machine"], document["date"][:10], document["commit"]
    bf16, fp32 = machine["gflops"]["bf16"], machine["gflops"]["fp32"]
    if language == "en":
        return (
            f"Measured on {date} at commit {commit}: {machine['processor']}, {machine['cores']} cores,\n"
            f"{machine['memory_gb']} GB, torch {machine['torch']}; one core multiplies {bf16:.0f} GFLOP/s in bf16 and\n"
            f"{fp32:.0f} in fp32."
        )
    return (
        f"{date} 在提交 {commit} 上测得：{machine['processor']}，{machine['cores']} 核，\n"
        f"{machine['memory_gb']} GB，torch {machine['torch']}；单核矩阵乘法 bf16 为 {bf16:.0f} GFLOP/s，"
        f"fp32 为 {fp32:.0f} GFLOP/s。"
    )


def _failures(document: dict[str, Any], language: str) -> str:
    if not document["failures"]:
        return {"en": "Everything was measured.", "zh": "全部测得。"}[language]
    lines = (f"- {failure['job']}, {failure['against']}: {failure['reason']}" for failure in document["failures"])
    return "\n".join(lines)


def _peers(document: dict[str, Any], language: str) -> str:
    head = {
        "en": "| peer | version | size, GB | packages |",
        "zh": "| 对方 | 版本 | 大小，GB | 软件包数 |",
    }[language]
    lines = [head, "|---|---|---|---|"]
    for name, state in document["peers"].items():
        size = f"{state['size_bytes'] / 1e9:.1f}" if state["reason"] is None else "–"
        lines.append(f"| {name} | {state.get('version', '–')} | {size} | {state.get('packages', '–')} |")
    return "\n".join(lines)


_PARTS = {
    "machine": _machine,
    "ratios": ratios_table,
    "more": more_table,
    "peers": _peers,
    "failures": _failures,
}

if __name__ == "__main__":
    main()
