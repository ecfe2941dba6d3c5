"""What the rules for learning rate, batch, warm-up and rank rest on: ``python -m benchmarks.rates --output FILE``.

Each trial is one short training from the same start, over the same rows in the same order, through the session and the
loop of every run. The held-out loss is kept for each row, so that two trials can be compared pair by pair. FILE is
written after every trial, and what it holds already is not measured again.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import results
from benchmarks.machine import processor
from benchmarks.meter import versions
from benchmarks.ours import FILES
from benchmarks.rows import write_rows
from weitiao.lineage import code_version
from weitiao.process import settle

if TYPE_CHECKING:
    import torch

    from weitiao.api.session import Session

ROWS = {"sms": (384, 96), "alpaca": (256, 96), "alpaca-zh": (122, 128)}
"""Of each data set: rows to learn from, and the most tokens of a row."""

STEPS = {"sms": 16, "alpaca": 16, "alpaca-zh": 12}  # rows of Chinese are dear

HELD_OUT = 60  # rows
SCORED_AFTER = (8,)  # steps, besides the last
CHOOSES_ROWS = "smollm2-135m-instruct"  # its tokenizer, for every model
RATES = {
    "lora": (2e-4, 5e-4, 1e-3, 1.4e-3, 2e-3, 4e-3),
    "full": (3e-5, 1e-4, 3e-4),
    "top_layers": (1e-4, 3e-4, 1e-3),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One short training."""

    model: str
    data: str
    method: str
    rate: float
    batch: int = 8
    steps: int = 16
    warmup: float = 0.1  # of the steps
    rank: int = 16


def trials(model: str, data: str, parts: Sequence[str]) -> Iterator[Trial]:
    """What is measured of one model on one data set."""
    plain = Trial(model, data, "lora", 2e-3, steps=STEPS[data])
    for method, rates in RATES.items():
        if method in parts:
            yield from (replace(plain, method=method, rate=rate) for rate in rates)
    if "batch" in parts:  # the same rows in more steps, and in fewer
        yield from (replace(plain, batch=4, steps=32, rate=rate) for rate in (1e-3, 2e-3))
        yield from (replace(plain, batch=16, steps=8, rate=rate) for rate in (2e-3, 4e-3))
    if "short" in parts:
        yield from (replace(plain, steps=8, rate=rate) for rate in RATES["lora"])
    if "long" in parts:
        yield from (replace(plain, steps=64, rate=rate) for rate in RATES["lora"])
    if "warmup" in parts:
        yield from (replace(plain, warmup=warmup) for warmup in (0.0, 0.3))
    if "rank" in parts:
        yield from (replace(plain, rank=rank) for rank in (4, 64))


def main() -> None:
    """Measure what is asked for and not yet in the file."""
    settle()  # before torch is loaded
    given = arguments()
    document = results.read(given.output) if given.output.is_file() else _begun()
    known = {_trial_of(cell) for cell in document["trials"]}
    for data, model in product(given.data, given.model):
        wanted = [trial for trial in trials(model, data, given.part) if _named(trial) not in known]
        wanted = [trial for trial in wanted if not given.rate or trial.rate in given.rate]
        for trial in sorted(wanted, key=lambda trial: (trial.method, trial.rank, trial.rate)):  # a session serves many
            cell = measure(trial, given.home)
            document["trials"].append(cell)
            results.write(document, given.output)
            losses = (f"{loss:.3f} ± {error:.3f} after {step}" for step, loss, error in cell["curve"])
            print(trial, *losses, f"{cell['cpu_seconds']} s", sep=", ", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rates", description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--data", action="append", required=True, choices=list(ROWS))
    parser.add_argument(
        "--part", action="append", required=True, choices=[*RATES, "batch", "short", "long", "warmup", "rank"]
    )
    parser.add_argument("--rate", action="append", type=float, help="of those rates only this, or these")
    parser.add_argument("--home", type=Path, default=Path(".bench"), help="the folder for rows")
    parser.add_argument("--output", type=Path, required=True, help="where the results are, and are added to")
    return parser.parse_args()


def measure(trial: Trial, home: Path) -> dict[str, Any]:
    """The trial, with its held-out loss after some steps: nats a token, with the standard error over the rows."""
    from weitiao.training.loop import train
    from weitiao.training.optimizer import Rate
    from weitiao.training.pace import Place

    before = time.process_time()
    session, start, untuned = _session(trial.model, trial.data, trial.method, trial.rank, home)
    session.masters.begin_again(start)
    rate = Rate(trial.rate, trial.steps, math.ceil(trial.warmup * trial.steps), "cosine")
    pace = replace(session.pace, rows_per_step=trial.batch, rate=rate)
    curve, nats = [(0, *_loss(untuned, session))], untuned
    for step in train(session.engine, session.rows, session.masters, pace, Place()):
        if step.place.step in (*SCORED_AFTER, trial.steps):
            nats = _nats(session)
            curve.append((step.place.step, *_loss(nats, session)))
    seconds = round(time.process_time() - before, 1)
    return {**asdict(_named(trial)), "curve": curve, "heldout_nats": nats, "cpu_seconds": seconds}


@cache
def _session(
    model: str, data: str, method: str, rank: int, home: Path
) -> tuple[Session, dict[str, torch.Tensor], list[float]]:
    """A session, what learns as it was at the start, and the nats of the held-out rows then."""
    from weitiao.api.session import build
    from weitiao.settings import make_settings

    _session.cache_clear()  # the one before goes first: one model at a time
    count, cutoff = ROWS[data]
    _, folder = write_rows(data, CHOOSES_ROWS, count, HELD_OUT, cutoff, home)
    files = {name: str(folder / f"{file}.jsonl") for name, file in FILES.items()}
    lora = {"lora_rank": rank} if method == "lora" else {}
    settings = make_settings({"model": model, **files, "method": method, "max_steps": 16, "threads": 1, **lora})
    session = build(settings, home / "work", None, lambda kind, facts: None)
    start = {name: weight.clone() for name, weight in session.masters.weights.items()}
    return session, start, _nats(session)


def _nats(session: Session) -> list[float]:
    """Of each held-out row."""
    from weitiao.evaluation.score import row_losses

    rows = [item.row for item in session.dev]
    return [float(nats) for nats in row_losses(session.engine, rows, session.cutoff_len)]


def _loss(nats: Sequence[float], session: Session) -> tuple[float, float]:
    """Nats a token, and its standard error: that of a ratio of sums."""
    asked = [item.row.asked for item in session.dev]
    loss, count = sum(nats) / sum(asked), len(asked)
    scatter = sum((total - loss * tokens) ** 2 for total, tokens in zip(nats, asked, strict=True))
    return loss, (scatter * count / (count - 1)) ** 0.5 / sum(asked)


def _named(trial: Trial) -> Trial:
    """Without the path of this machine."""
    return replace(trial, model=Path(trial.model).stem)


def _trial_of(cell: dict[str, Any]) -> Trial:
    return Trial(**{field.name: cell[field.name] for field in fields(Trial)})


def _begun() -> dict[str, Any]:
    return {
        "version": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": code_version().rpartition("+")[2],
        "machine": {"processor": processor(), "versions": versions("torch", "transformers", "peft")},
        "trials": [],
    }


if __name__ == "__main__":
    main()
