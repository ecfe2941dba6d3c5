"""A run as it is seen from the terminal: what was found, a bar with loss, speed and time left, warnings."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from weitiao.api.listener import Listener
from weitiao.cli.output import Output, output
from weitiao.cli.train import score_text
from weitiao.data.visible import visible
from weitiao.words import t

_LINE_SECONDS = 10.0  # between two lines where there is no bar


@contextmanager
def watching() -> Iterator[Listener]:
    """A listener for :func:`weitiao.api.train.train` that tells a person on stderr how it goes."""
    out = output()
    if not sys.stderr.isatty():
        yield _Teller(out, _Lines(out))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[facts]}", markup=False),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Teller(Output(out.json), _Bar(bars, console))


class _Teller:
    """Puts each event into words."""

    def __init__(self, out: Output, shown: _Lines | _Bar) -> None:
        self._shown = shown
        self._total = 1
        self._speed = 0.0

    def __call__(self, kind: str, facts: dict[str, Any]) -> None:
        match kind:
            case "data":
                for sentence in facts["read_as"]:
                    self._shown.say(sentence)
            case "head" if facts["head"] != "words" and facts["reason"]:
                self._shown.say(t("head: {head}, because {reason}", head=facts["head"], reason=facts["reason"]))
            case "engine" | "activations" if facts["note"]:
                self._shown.say(facts["note"])
            case "rows":
                self._shown.say(ledger_line(facts))
                if facts.get("rows") != facts.get("train"):  # texts were cut, or joined
                    self._shown.say(_rows_line(facts))
            case "tokenizer":
                self._shown.say(_tokenizer_line(facts))
            case "plan":
                self._total = facts["steps"]
                self._shown.say(_plan_line(facts))
            case "trying":
                words = t("rate {rate}", rate=f"{facts['rate']:g}")
                self._shown.move(t("trying learning rates"), facts["done"], facts["count"], words)
            case "probe":
                self._shown.say(_probe_line(facts))
            case "scoring":
                titles = {"before": t("asking before"), "after": t("asking after")}
                when = titles.get(facts.get("when", ""), t("asking"))
                self._shown.move(when, facts["done"], facts["count"], "")
            case "step":
                self._step(facts)
            case "evaluation":
                mark = " ✓" if facts["best"] else ""
                shown = "  ".join(
                    f"{name} {score['value']:.3f}"
                    for name, score in facts["scores"].items()
                    if name in ("loss", "accuracy", "macro_f1", "span_f1", "blank_accuracy")
                )
                self._shown.say(t("step {step}, dev: {scores}", step=facts["step"], scores=shown) + mark)
            case "untuned":
                for said in facts["answers"]:
                    self._shown.say(_untuned_line(said))
            case "resume":
                self._shown.say(t("going on after step {step}", step=facts["step"]))
            case "early_stop":
                self._shown.say(
                    t("dev no longer improves: stopping; step {step} was the best", step=facts["best_step"])
                )
            case "arms":
                self._shown.say(t("arms: {names}", names=", ".join(facts["arms"])))
            case "arm":
                self._shown.say(t("arm {number} of {count}: {name}", **facts))
            case "point":
                self._shown.say(t("learning curve: {rows} rows", rows=facts["rows"]))
            case "judging":
                self._shown.say(t("comparing the answers"))
            case "warning":
                self._shown.say(t("warning: {message}", message=facts["message"]))

    def _step(self, facts: dict[str, Any]) -> None:
        speed = facts["tokens"] / max(facts["seconds"], 1e-9)
        self._speed = speed if not self._speed else 0.8 * self._speed + 0.2 * speed
        words = t("loss {loss}  {speed} tokens/s", loss=f"{facts['loss']:.3f}", speed=round(self._speed))
        self._shown.move(t("training"), facts["step"], self._total, words)


class _Bar:
    """One bar that moves, and lines above it."""

    def __init__(self, bars: Any, console: Any) -> None:
        self._bars = bars
        self._console = console
        self._tasks: dict[str, Any] = {}

    def say(self, text: str) -> None:
        self._console.print(visible(text), markup=False, highlight=False)

    def move(self, what: str, done: int, count: int, facts: str) -> None:
        if what not in self._tasks:
            for other in self._tasks.values():
                self._bars.update(other, visible=False)
            self._tasks[what] = self._bars.add_task(what, total=count, facts="")
        self._bars.update(self._tasks[what], completed=done, total=count, facts=facts)


class _Lines:
    """Lines now and then, for a log file."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last = 0.0

    def say(self, text: str) -> None:
        self._out.say(text)

    def move(self, what: str, done: int, count: int, facts: str) -> None:
        now = time.monotonic()
        if done == count or now - self._last >= _LINE_SECONDS:
            self._last = now
            self._out.say(f"{what} {done}/{count} {facts}".rstrip())


def ledger_line(counts: dict[str, Any]) -> str:
    """``read = used + shortened + dropped``, with the reasons."""
    line = t(
        "{read} rows read = {used} used + {truncated} shortened + {dropped} dropped",
        read=counts["read"],
        used=counts["used"],
        truncated=counts["truncated"],
        dropped=counts["dropped"],
    )
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.get("reasons", {}).items())
    return f"{line} ({reasons})" if reasons else line


def _rows_line(facts: dict[str, Any]) -> str:
    """How the texts lie in rows."""
    return t(
        "{train} to learn from, in {rows} rows of at most {most} tokens, {filled} full on average",
        train=facts["train"],
        rows=facts["rows"],
        most=facts["most"],
        filled=f"{100 * facts['filled']:.0f} %",
    )


def _tokenizer_line(facts: dict[str, Any]) -> str:
    return t(
        "a tokenizer is made of the training texts: {vocabulary} tokens, {algorithm}",
        vocabulary=facts["vocabulary"],
        algorithm=facts["algorithm"],
    )


def _untuned_line(said: dict[str, str]) -> str:
    return t(
        "untuned: {text} → {answer} (wanted: {wanted})",
        text=_short(said["text"], 60),
        answer=_short(said["answer"], 40),
        wanted=_short(said["wanted"], 40),
    )


def _short(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _probe_line(facts: dict[str, Any]) -> str:
    no_number = t("no number any more")
    losses = [score_text(each["loss"]) if each["loss"] else no_number for each in facts["tried"]]
    tried = "; ".join(f"{each['rate']:g} → {loss}" for each, loss in zip(facts["tried"], losses, strict=True))
    return t(
        "learning rates tried in {seconds} s, with their dev loss: {tried}; {rate} is taken",
        seconds=round(facts["seconds"]),
        tried=tried,
        rate=f"{facts['taken']:g}",
    )


def _plan_line(facts: dict[str, Any]) -> str:
    return t(
        "{steps} steps; about {minutes} min and {memory} GB of memory",
        steps=facts["steps"],
        minutes=max(1, round(facts["seconds"] / 60)),
        memory=round(facts["memory_bytes"] / 2**30, 1),
    )
