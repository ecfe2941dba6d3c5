"""Weitiao's side of every job, through its public pieces: ``python -m benchmarks.ours WHAT … --result FILE``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.meter import Meter, versions, write_result
from weitiao.data.samples import cache_folder
from weitiao.process import importing, settle

if TYPE_CHECKING:
    from weitiao.api.session import Session
    from weitiao.example import Example, Task
    from weitiao.training.loop import Step
    from weitiao.training.pace import Pace

_EVALUATED_EVERY = 2  # steps, when time to a loss is measured


def main() -> None:
    settle()  # before torch is loaded, as the command line does
    given = arguments()
    if given.without == "kernels":
        os.environ["WEITIAO_KERNELS"] = "off"
    if given.without == "proofs":
        shutil.rmtree(cache_folder() / "proved", ignore_errors=True)
    write_result(given.result, {**WHAT[given.what](given), "versions": versions("weitiao", "torch", "transformers")})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=list(WHAT))
    for name in ("data", "out", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", default="auto", choices=["auto", "fast", "exact"])
    parser.add_argument(
        "--without", default="", choices=["", "prefix", "kernels", "proofs"], help="what is switched off or forgotten"
    )
    parser.add_argument("--loss", type=float, help="of reach: the held-out loss to reach")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the run")
    return parser.parse_args()


def train(given: argparse.Namespace) -> dict[str, Any]:
    """Train on the rows as they are; figures of all steps and of the last epoch."""
    meter = Meter()
    torch_seconds = _seconds_to_import_torch()
    session = _session(given)
    meter.begin()
    steps = []
    for step in _steps(given, session):
        meter.step()
        steps.append(step)
    last = [step for step in steps if step.place.epoch == steps[-1].place.epoch]
    facts = meter.facts()
    return {
        **facts,
        "epochs": steps[-1].place.epoch + 1,
        "last_epoch_cpu_seconds": sum(facts["step_cpu_seconds"][-len(last) :]),
        "loss": sum(step.loss * step.targets for step in last) / sum(step.targets for step in last),
        "startup_beyond_cpu_seconds": facts["startup_cpu_seconds"] - torch_seconds - _seconds_to_read_weights(session),
        "useful_operations": _useful_operations(given, session) if session.settings.method == "lora" else None,
        **_described(session),
    }


def reach(given: argparse.Namespace) -> dict[str, Any]:
    """Train with our own defaults until the held-out loss is at most ``--loss``; scoring is no part of the time."""
    from weitiao.evaluation.score import row_losses

    meter, session = Meter(), _session(given)
    held_out = [item.row for item in session.dev]
    asked = sum(row.asked for row in held_out)

    def loss() -> float:
        return float(row_losses(session.engine, held_out, session.cutoff_len).sum() / asked)

    curve = [(0, loss())]
    meter.begin()
    for step in _steps(given, session):
        meter.step()
        if step.place.step % _EVALUATED_EVERY == 0 or step.place.step == session.pace.rate.steps:
            with meter.left_out():
                curve.append((step.place.step, loss()))
            if curve[-1][1] <= given.loss:
                break
    return {**meter.facts(), "heldout": curve, "reached": curve[-1][1] <= given.loss, **_described(session)}


def score(given: argparse.Namespace) -> dict[str, Any]:
    """Score the categories of every text, with the model as answering commands load it; no answer is written out."""
    from weitiao.api.answering import find_respondent, load_engine
    from weitiao.evaluation.score import category_log_probabilities
    from weitiao.settings import parse_settings

    words = [f"model={given.model}", f"engine={given.engine}", *given.set]
    settings = parse_settings(words, required=("model",)).settings
    task, examples = _texts(given.data)
    respondent = find_respondent(settings)
    engine = load_engine(respondent, settings, lambda kind, facts: None)
    meter = Meter()
    meter.begin()
    found = category_log_probabilities(engine, examples, task, respondent.codec, respondent.cutoff_len)
    meter.step()
    answers = [task.categories[index] for index in found.argmax(axis=1)]
    return {**meter.facts(), "answers": answers, "engine": engine.name}


def demo(given: argparse.Namespace) -> dict[str, Any]:
    """``make demo`` on two cores: seconds of its training steps, and the test score that they led to."""
    run = given.out / "run"
    settings = Path(__file__).parents[1] / "examples" / "spam" / "settings.yaml"
    command = [sys.executable, "-m", "weitiao", "train", str(settings), f"--output-dir={run}", "--threads=2"]
    subprocess.run(command, check=True)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    seconds = sum(event["seconds"] for event in events if event["kind"] == "step")
    return {"train_wall_seconds": seconds, "spam_f1": report["after"]["scores"]["f1/spam"]}


def _session(given: argparse.Namespace) -> Session:
    """The run in memory, of exactly the rows that the other sides get."""
    with importing():  # as the command line does
        from weitiao.api.session import build
        from weitiao.settings import parse_settings

    files = [f"{name}={given.data / f'{file}.jsonl'}" for name, file in FILES.items()]
    settings = parse_settings([f"model={given.model}", *files, f"engine={given.engine}", *given.set]).settings
    session = build(settings, given.out, None, lambda kind, facts: None)
    written = json.loads((given.data / "rows.json").read_text(encoding="utf-8"))
    tokens = sum(len(session.rows[index].tokens) + 1 for index in range(len(session.rows)))  # the last is a target only
    if (len(session.rows), tokens) != (written["count"], written["tokens"]):
        raise SystemExit(f"error: {len(session.rows)} rows of {tokens} tokens are trained, not those of {given.data}")
    return session


def _steps(given: argparse.Namespace, session: Session) -> Iterator[Step]:
    from weitiao.training.loop import train as train_steps
    from weitiao.training.pace import Place

    return train_steps(session.engine, session.rows, session.masters, _pace(given, session), Place())


def _pace(given: argparse.Namespace, session: Session) -> Pace:
    return replace(session.pace, share_prefix=given.without != "prefix")


def _described(session: Session) -> dict[str, Any]:
    """What was decided for this run, and by which engine it was trained."""
    decided = ("method", "precision", "lora_rank", "learning_rate", "batch_size", "epochs", "threads")
    settings = session.settings.model_dump(mode="json")
    trained = sum(weight.numel() for weight in session.masters.weights.values())
    return {"settings": {name: settings[name] for name in decided}, "engine": session.engine.name, "trained": trained}


def _useful_operations(given: argparse.Namespace, session: Session) -> float:
    """Of all steps of the first epoch."""
    from benchmarks.flops import shape_of, step_operations
    from weitiao.models.use import model_config
    from weitiao.training.batches import steps_of_epoch
    from weitiao.training.prefix import shared_length

    pace = _pace(given, session)
    shape = shape_of(model_config(session.source), sum(weight.numel() for weight in session.masters.weights.values()))
    total = 0.0
    for numbers in steps_of_epoch(len(session.rows), pace.rows_per_step, pace.seed, 0):
        rows = [session.rows[int(number)] for number in numbers]
        total += step_operations(rows, shared_length(rows) if pace.share_prefix else 0, shape)
    return total


def _seconds_to_import_torch() -> float:
    before = time.process_time()
    import torch  # noqa: F401

    return time.process_time() - before


def _seconds_to_read_weights(session: Session) -> float:
    """From the disk into memory, in the precision that is trained: what no tuner can do without."""
    from safetensors.torch import load_file

    from weitiao.training.machine import dtype_of

    before, dtype = time.process_time(), dtype_of(session.settings.precision)
    for file in sorted(session.source.folder.glob("*.safetensors")):
        for tensor in load_file(file).values():
            tensor.to(dtype, copy=True)
    return time.process_time() - before


def _texts(data: Path) -> tuple[Task, Sequence[Example]]:
    """The rows' texts as what they were before they became chats: to be classified under the same question."""
    from weitiao.example import Message, Task, make_example

    chats = [
        json.loads(line)["messages"] for line in (data / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    question = json.loads((data / "rows.json").read_text(encoding="utf-8"))["question"]
    task = Task("classify", question, tuple(sorted({answered["content"] for _, answered in chats})))
    texts = [asked["content"].removeprefix(f"{question}\n\n") for asked, _ in chats]
    return task, [make_example((Message("document", text),), None, "") for text in texts]


FILES = {"data": "messages", "dev": "dev", "test": "test"}  # settings, and files of benchmarks/rows.py
WHAT = {"train": train, "reach": reach, "score": score, "demo": demo}

if __name__ == "__main__":
    main()
