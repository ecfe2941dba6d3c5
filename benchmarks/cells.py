"""One side does one job, once: in a process of its own, on as many cores as the job has, and measured by itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.jobs import MODEL, Job, Side
from benchmarks.peers.install import python_of

ROOT = Path(__file__).resolve().parents[1]
_ENVIRONMENTS = {"transformers": "trl"}  # programs that run in the environment of another peer
_MOST_SECONDS = 3600
_REASON_LINES = 3


class CellFailed(Exception):  # noqa: N818 - a fact to write down, not a fault of the harness
    """Why a side could not do a job, in its own last words."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything lies: ``home`` holds environments, data, logs; ``model`` is a folder in transformers' layout."""

    home: Path
    model: Path


def run_cell(side: Side, job: Job, data: Path, bench: Bench, more: Sequence[str] = ()) -> dict[str, Any]:
    """What ``side`` measured. Raises CellFailed."""
    log = bench.home / "logs" / f"{job.name}-{side.name.replace(' ', '-')}.log"
    out = bench.home / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    log.parent.mkdir(exist_ok=True)
    result = bench.home / "result.json"
    result.unlink(missing_ok=True)
    command = [*_command(side, job, data, bench, out), f"--result={result}", *more]
    cores = _cores(job.threads)
    with log.open("w", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        try:
            code = subprocess.run(
                command,
                cwd=out,
                env=environment(side.program, job.threads, bench.home),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=_MOST_SECONDS,
                preexec_fn=lambda: os.sched_setaffinity(0, cores) if cores else None,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as late:
            raise CellFailed(f"not done after {_MOST_SECONDS} s; see {log}") from late
    if code or not result.exists():
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise CellFailed(f"exit code {code}: {' | '.join(lines[-_REASON_LINES:])}"[:500])
    facts: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return facts


def environment_of(side: Side) -> str | None:
    """The peer whose environment ``side`` needs; None where it is our own."""
    return None if side.program in ("ours", "peak") else _ENVIRONMENTS.get(side.program, side.program)


def environment(program: str, threads: int, home: Path) -> dict[str, str]:
    """The variables of a cell: nothing of a network, no thread too many, caches that are the bench's own."""
    ours = program in ("ours", "peak")
    before = os.environ.get("PYTHONPATH") if ours else None
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (before, str(ROOT)))),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "cache" / "huggingface"),
        "MODELSCOPE_CACHE": str(home / "cache" / "modelscope"),
        "DO_NOT_TRACK": "1",
    }


def _command(side: Side, job: Job, data: Path, bench: Bench, out: Path) -> list[str]:
    if side.program == "peak":
        return [sys.executable, "-m", "benchmarks.peak"]
    if side.program == "ours":
        settings = [f"--set=batch_size={job.batch}"] if "train" in side.arguments else []
        threads = [] if any("threads=" in each for each in side.arguments) else [f"--set=threads={job.threads}"]
        words = [*side.arguments, f"--model={MODEL}", *settings, *threads]
        return [sys.executable, "-m", "benchmarks.ours", *words, f"--data={data}", f"--out={out}"]
    python = python_of(bench.home, environment_of(side) or "")
    words = [*side.arguments, f"--model={bench.model}", f"--batch={job.batch}", f"--home={bench.home}"]
    return [str(python), "-m", f"benchmarks.peers.{side.program}", *words, f"--data={data}", f"--out={out}"]


def _cores(threads: int) -> set[int]:
    """The last ones that this process may use, as interrupts tend to arrive at the first. Empty: not to be chosen."""
    return set(sorted(os.sched_getaffinity(0))[-threads:]) if hasattr(os, "sched_getaffinity") else set()
