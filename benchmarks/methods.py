"""Every method on the same model, rows and steps: ``python -m benchmarks.methods FOLDER``, FOLDER for the pages.

What is measured is kept in ``methods.json`` cell by cell, and not measured again: a run may be stopped at any time.
Each cell is a process of its own, forked before anything is loaded, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from weitiao.api.session import build
from weitiao.data.samples import fetch
from weitiao.evaluation.ask import ask
from weitiao.evaluation.metrics import scores
from weitiao.models.anatomy import parameter_count
from weitiao.process import settle
from weitiao.settings import METHODS, make_settings
from weitiao.training.loop import train
from weitiao.training.machine import peak_memory_bytes, processor
from weitiao.training.pace import Place

RESULTS = Path(__file__).with_name("methods.json")
PAGES = {"en": "methods.md", "zh": "methods.zh-CN.md"}
MODEL = "smollm2-135m-instruct"
STEPS = {"alpaca-en": (12, 4), "sms-spam": (24, 8)}  # and the rows of each
SHORT = 320  # characters of an instruction and its reply together: a cell then takes seconds
SHARED: dict[str, Any] = {
    "model": MODEL, "threads": 1, "keep_activations": "off", "val_size": 0.3, "test_size": 0.0,
}  # fmt: skip
DATA: dict[str, dict[str, Any]] = {
    "alpaca-en": {"eval_max_samples": 32},
    "sms-spam": {"eval_max_samples": 150, "max_samples": 600},
}
METRIC = {"alpaca-en": "loss", "sms-spam": "f1/spam"}
RATES: dict[str, tuple[float, ...]] = {
    "full": (1e-4,),
    "top_layers": (2e-4,),
    "bitfit": (3e-3, 1e-2),
    "lora": (2e-3,),
    "rslora": (2e-3,),
    "dora": (2e-3,),
    "loraplus": (2e-4, 1e-3),
    "pissa": (5e-5, 2e-4, 1e-3),
    "olora": (2e-5, 5e-5, 2e-4, 1e-3),
    "adalora": (2e-3, 1e-2),
    "ia3": (1e-2, 5e-2),
    "prefix": (3e-3, 2e-2),
    "prompt": (1e-2, 5e-2),
    "p_tuning": (1e-3, 5e-3),
}
"""Full, top_layers and lora at the rates of docs/concepts/defaults.md; the others at several."""

_TEXTS = {
    "en": {
        "title": "The methods, measured",
        "link": "English | [中文](methods.zh-CN.md)",
        "about": "Made by `python -m benchmarks.methods docs/reference`: {model}, one thread of an {processor};\n"
        "one run each. alpaca-en: instructions of at most {short} characters with their replies,\n"
        "{steps[alpaca-en][0]} steps of {steps[alpaca-en][1]} rows, loss on 32 held-out rows; memory and seconds are\n"
        "of these. sms-spam: {steps[sms-spam][0]} steps of {steps[sms-spam][1]} rows at the same rate, F1 of spam and\n"
        "AUROC on 130 held-out messages, with 95 % intervals. So few steps say how fast a method learns, not how far\n"
        "it comes. Where … stands, the run of this script has not come so far yet.",
        "heads": "| method | learns, share of the model | engine | peak memory | CPU seconds a step | rate "
        "| alpaca-en, loss | sms-spam, F1 of spam | AUROC |",
        "base": "the model as it is",
        "ladder": "The loss on alpaca-en at each rate that was tried; the best is the one above:",
        "ladder_heads": "| method | rate: loss |",
    },
    "zh": {
        "title": "各种方法的实测",
        "link": "[English](methods.md) | 中文",
        "about": "由 `python -m benchmarks.methods docs/reference` 生成：{model}，{processor} 的一个线程，\n"
        "各运行一次。\n"
        "alpaca-en：不超过 {short} 个字符的指令及回复，{steps[alpaca-en][0]} 步、每步 {steps[alpaca-en][1]} 行，\n"
        "在 32 行保留数据上的损失；内存和秒数取自这里。sms-spam：同样的学习率，{steps[sms-spam][0]} 步、\n"
        "每步 {steps[sms-spam][1]} 行，在 130 条保留短信上垃圾短信的 F1 和 AUROC，附 95 % 区间。\n"
        "这么少的步数只说明学得多快，不说明最终能学到多好。标 … 处，脚本还没有测到。",
        "heads": "| 方法 | 学习的份额（占模型） | 引擎 | 内存峰值 | 每步 CPU 秒 | 学习率 "
        "| alpaca-en 损失 | sms-spam 垃圾短信 F1 | AUROC |",
        "base": "原样的模型",
        "ladder": "每个试过的学习率在 alpaca-en 上的损失；上表取其中最好的：",
        "ladder_heads": "| 方法 | 学习率：损失 |",
    },
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement."""

    method: str
    data: str
    rate: float  # 0 for the model as it is

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.data} {self.method} {self.rate:g}"


def main() -> None:
    settle()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pages go")
    folder: Path = parser.parse_args().folder
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    found = {"processor": processor(), "torch": torch.__version__, **found}
    with tempfile.TemporaryDirectory() as data:
        for name in DATA:
            fill(found, Cell("lora", name, 0.0), Path(data))
        for method in reversed(METHODS):
            for rate in RATES[method]:
                fill(found, Cell(method, "alpaca-en", rate), Path(data))
        for method in reversed(METHODS):
            fill(found, Cell(method, "sms-spam", best_rate(found, method)), Path(data))
    for language, name in PAGES.items():
        (folder / name).write_text(page(found, language), encoding="utf-8")


def fill(found: dict[str, Any], cell: Cell, folder: Path) -> None:
    """Measure ``cell`` where it is not among what was ``found``, and keep it."""
    if cell.key not in found:
        found[cell.key] = _in_child(lambda: measure(cell, _data_of(cell.data, folder)))
        RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def measure(cell: Cell, data: Path) -> dict[str, Any]:
    """The cell's figures: the processor's seconds a step, the peak of training, and the score of the dev split."""
    steps, rows = STEPS[cell.data]
    pace = {"max_steps": steps, "batch_size": rows, **({"learning_rate": cell.rate} if cell.rate else {})}
    settings = make_settings({**SHARED, **DATA[cell.data], "data": data, "method": cell.method, **pace})
    with tempfile.TemporaryDirectory() as work:
        session = build(settings, Path(work), None, lambda kind, facts: None)
        began = time.process_time()
        if cell.rate:
            for _ in train(session.engine, session.rows, session.masters, session.pace, Place()):
                pass
        seconds, memory = (time.process_time() - began) / steps, peak_memory_bytes()
        items = [(item.example, item.row) for item in session.dev]
        answers = ask(session.engine, items, session.task, session.codec, session.cutoff_len, 0)
        learning = sum(weight.numel() for weight in session.masters.weights.values())
        found = scores(answers, session.task.categories)
        return {
            "engine": session.engine.name,
            "share": learning / parameter_count(session.model),
            "seconds": seconds,
            "memory": memory,
            **found[METRIC[cell.data]].json(),
            "auroc": found["auroc"].json() if "auroc" in found else None,
        }


def best_rate(found: dict[str, Any], method: str) -> float:
    """The rate that gave the lowest loss on the instructions."""
    return min(RATES[method], key=lambda rate: found[Cell(method, "alpaca-en", rate).key]["value"])


def page(found: dict[str, Any], language: str) -> str:
    """The reference page."""
    text = _TEXTS[language]
    about = text["about"].format(model=MODEL, short=SHORT, processor=found["processor"], steps=STEPS)
    table = [text["heads"], "|---" * (text["heads"].count("|") - 1) + "|", _base(found, text["base"])]
    table += [_line(found, method) for method in METHODS]
    ladder = [text["ladder_heads"], "|---|---|", *(_ladder(found, method) for method in METHODS)]
    return "\n".join(
        [f"# {text['title']}", "", text["link"], "", about, "", *table, "", text["ladder"], "", *ladder, ""]
    )


def _base(found: dict[str, Any], name: str) -> str:
    loss, spam = (found[Cell("lora", data, 0.0).key] for data in DATA)
    return f"| {name} | – | – | – | – | – | {loss['value']:.3f} | {_interval(spam)} | {_interval(spam['auroc'])} |"


def _line(found: dict[str, Any], method: str) -> str:
    rate = best_rate(found, method)
    text = found[Cell(method, "alpaca-en", rate).key]
    spam = found.get(Cell(method, "sms-spam", rate).key)
    cells = (
        f"`{method}`", f"{100 * text['share']:.3g} %", text["engine"], f"{text['memory'] / 2**30:.2f} GiB",
        f"{text['seconds']:.2f}", f"{rate:g}", f"{text['value']:.3f}",
        _interval(spam), _interval(spam and spam["auroc"]),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _ladder(found: dict[str, Any], method: str) -> str:
    tried = (f"{rate:g}: {found[Cell(method, 'alpaca-en', rate).key]['value']:.3f}" for rate in RATES[method])
    return f"| `{method}` | {', '.join(tried)} |"


def _interval(score: dict[str, Any] | None) -> str:
    if score is None:  # not measured yet
        return "…"
    return f"{score['value']:.2f} ({score['low']:.2f}–{score['high']:.2f})"


def _data_of(name: str, folder: Path) -> Path:
    """The sample; of instructions only short ones."""
    sample = fetch(name)
    if name != "alpaca-en":
        return sample
    short = folder / "short.jsonl"
    if not short.exists():
        rows = sample.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if sum(len(str(value)) for value in json.loads(row).values()) < SHORT]
        short.write_text("\n".join(kept[:600]) + "\n", encoding="utf-8")
    return short


def _in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns, done in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w", encoding="utf-8") as file:
                json.dump(work(), file)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as file:
        told = file.read()
    os.waitpid(child, 0)
    if not told:
        raise SystemExit("error: the measuring process has failed")
    found: dict[str, Any] = json.loads(told)
    return found


if __name__ == "__main__":
    main()
