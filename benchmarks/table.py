"""Results as a table: the jobs of the issue with what was measured, in Markdown, English or Chinese."""

from typing import Any

ENGLISH = {
    "alpaca": "instructions, batch 4, LoRA, equal mathematics: tokens a CPU s",
    "alpaca-fp32": "the same in exact fp32: tokens a CPU s",
    "sms": "text messages, batch 16, LoRA: rows a CPU s",
    "top-layers": "second epoch, top 4 layers, against all layers: rows a CPU s",
    "full": "full tuning: tokens a CPU s",
    "scoring": "closed-set scoring: rows a CPU s",
    "time-to-loss": "time to TRL's held-out loss after an epoch: CPU s",
    "memory": "peak memory, 4 × 512 tokens: GB",
    "share-of-peak": "share of the core's bf16 peak: GFLOP/s",
    "start-up": "start-up beyond torch and weights: CPU s",
    "start-up-first": "the same where the engines have not been compared yet: CPU s",
    "two-cores": "two cores: tokens a second of the wall",
    "demo": "training time of `make demo`, spam F1 ≥ 0.95: s",
    "without": "a fast path switched off, text messages: rows a CPU s",
}
CHINESE = {
    "alpaca": "指令数据，批大小 4，LoRA，数学上等价：词元/CPU 秒",
    "alpaca-fp32": "同上，精确 fp32：词元/CPU 秒",
    "sms": "短信，批大小 16，LoRA：行/CPU 秒",
    "top-layers": "第二轮，只训练最上面 4 层，对比训练所有层：行/CPU 秒",
    "full": "全参数微调：词元/CPU 秒",
    "scoring": "在给定类别中打分：行/CPU 秒",
    "time-to-loss": "达到 TRL 训练一轮后验证损失所需的时间：CPU 秒",
    "memory": "内存峰值，4 × 512 个词元：GB",
    "share-of-peak": "占单核 bf16 峰值的比例：GFLOP/s",
    "start-up": "启动时间（不含导入 torch 与读取权重）：CPU 秒",
    "start-up-first": "同上，尚未比较过两个引擎时：CPU 秒",
    "two-cores": "双核：每秒（墙上时间）词元数",
    "demo": "`make demo` 的训练时间，spam F1 ≥ 0.95：秒",
    "without": "关闭一条快速路径，短信：行/CPU 秒",
}
_HEADS = {
    "en": "| job | against | goal | measured | range | ours | theirs |\n|---|---|---|---|---|---|---|",
    "zh": "| 任务 | 对比 | 目标 | 实测 | 范围 | 我们 | 对方 |\n|---|---|---|---|---|---|---|",
}
_FAILED = {"en": "not measured", "zh": "未测得"}


def ratios_table(document: dict[str, Any], language: str = "en") -> str:
    """Every ratio, and every job that failed with its reason."""
    titles = ENGLISH if language == "en" else CHINESE
    lines = [_HEADS[language]]
    for line in document["ratios"]:
        ours, theirs = _number(line["ours"]), "–" if line["theirs"] is None else _number(line["theirs"])
        times = "" if line["theirs"] is None else "×"
        span = f"{_number(line['low'])}–{_number(line['high'])}{times}" if line["repeats"] > 1 else "–"
        measured = f"{_number(line['ratio'])}{times}{_MARKS[line['met']]}"
        cells = [titles[line["job"]], line["against"] or "–", _goal(line), measured, span, ours, theirs]
        lines.append(f"| {' | '.join(cells)} |")
    for failure in document["failures"]:
        cells = [titles[failure["job"]], failure["against"] or "–", "", _FAILED[language], "", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def more_table(document: dict[str, Any], language: str = "en") -> str:
    """Loss, memory and start-up of both sides, of the jobs that train."""
    head = {
        "en": "| job | side | loss | peak memory, GB | start-up, CPU s | tokens/s of the wall |",
        "zh": "| 任务 | 一方 | 损失 | 内存峰值，GB | 启动，CPU 秒 | 每秒（墙上时间）词元 |",
    }[language]
    lines = [head, "|---|---|---|---|---|---|"]
    shown = set()
    for line in document["ratios"]:
        sides = (("Weitiao", line["ours_median"]), (line["against"], line["theirs_median"]))
        for side, facts in sides:
            trained = all("loss" in each for _, each in sides if each)
            if facts and trained and (line["job"], side) not in shown:
                shown.add((line["job"], side))
                lines.append(f"| {line['job']} | {side} | {_costs(facts, document['rows'][line['job']])} |")
    return "\n".join(lines)


def _costs(facts: dict[str, Any], rows: dict[str, Any]) -> str:
    speed = rows["tokens"] * facts.get("epochs", 1) / facts["train_wall_seconds"]
    memory, start = facts["peak_memory_bytes"] / 1e9, facts["startup_cpu_seconds"]
    return f"{facts['loss']:.3f} | {memory:.1f} | {start:.1f} | {_number(speed)}"


def _goal(line: dict[str, Any]) -> str:
    if line["goal"] is None:
        return "–"
    return f"{'≤' if line['at_most'] else '≥'} {line['goal']:g}{'' if line['theirs'] is None else '×'}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_MARKS = {True: " ✓", False: " ✗", None: ""}
