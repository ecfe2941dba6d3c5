"""The whole measurement: rows written, peers installed, every cell run in turn with ours, ratios taken."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cells import Bench, CellFailed, environment_of, run_cell
from benchmarks.jobs import CUTOFF, MODEL, Against, Job
from benchmarks.machine import describe
from benchmarks.peers.install import install
from benchmarks.results import Pair, ratio_of
from benchmarks.rows import write_rows
from weitiao.lineage import code_version
from weitiao.models.source import resolve

_SAME_LOSS = 0.02  # nats a target; bfloat16 and float32 are 0.003 apart


def compare(jobs: Sequence[Job], home: Path, repeats: int) -> dict[str, Any]:
    """Measure ``jobs``; all that is known afterwards, as it is kept. What fails is in it, with the reason."""
    bench = Bench(home.resolve(), resolve(MODEL).folder)
    wanted = {environment_of(against.side) for job in jobs for against in job.against if against.side}
    states = {name: install(name, bench.home) for name in sorted(filter(None, wanted))}
    document: dict[str, Any] = {
        "version": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": code_version().rpartition("+")[2],
        "model": MODEL,
        "machine": {},
        "peers": states,
        "rows": {},
        "ratios": [],
        "failures": [],
        "cells": [],
    }
    for job in jobs:
        rows, data = write_rows(job.rows, MODEL, job.batch * job.steps, job.heldout, CUTOFF, bench.home)
        document["rows"][job.name] = asdict(rows)
        document["machine"] = document["machine"] or describe(job, data, bench)
        for against in job.against:
            try:
                pairs = list(_pairs(job, against, data, bench, states, job.repeats or repeats, document["cells"]))
                document["ratios"].append(ratio_of(job, against, pairs, asdict(rows)))
                _say(f"{job.name}: {document['ratios'][-1]['ratio']:.2f}")
            except CellFailed as failed:
                name = against.side.name if against.side else ""
                document["failures"].append({"job": job.name, "against": name, "reason": str(failed)})
                _say(f"{job.name}: {failed}")
    return document


def chosen(jobs: Sequence[Job], names: Sequence[str], peers: Sequence[str], steps: int | None) -> list[Job]:
    """Of ``jobs`` those named, against the peers named ("trl", or "trl best"), with other numbers of steps."""
    found = []
    for job in jobs:
        if names and job.name not in names:
            continue
        kept = tuple(against for against in job.against if not peers or _is_one_of(against, peers))
        if kept:
            found.append(replace(job, against=kept, steps=steps or job.steps))
    return found


def _is_one_of(against: Against, peers: Sequence[str]) -> bool:
    return against.side is not None and (against.side.program in peers or against.side.name in peers)


def _pairs(
    job: Job,
    against: Against,
    data: Path,
    bench: Bench,
    states: dict[str, dict[str, Any]],
    repeats: int,
    cells: list[dict[str, Any]],
) -> Iterator[Pair]:
    """Ours and theirs in turn, so that whatever else the machine does meets both. Raises CellFailed."""
    side = against.side
    needed = environment_of(side) if side else None
    if needed and states[needed]["reason"]:
        raise CellFailed(f"{needed} could not be installed: {states[needed]['reason']}")
    for repeat in range(repeats):
        theirs = run_cell(side, job, data, bench) if side else None
        goal = theirs["heldout_after"] if theirs and job.figure == "cpu_seconds" else None
        ours = run_cell(job.ours, job, data, bench, [f"--loss={goal}"] if goal else [])
        if theirs and goal:
            _check_reached(ours, theirs)
        for name, facts in ((side.name if side else "", theirs), (job.ours.name, ours)):
            if facts:
                cells.append({"job": job.name, "side": name, "repeat": repeat, **facts})
        yield Pair(ours, theirs)


def _check_reached(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise CellFailed where the two losses are not of the same rows, or ours never was as low as theirs."""
    before, untuned = ours["heldout"][0][1], theirs["heldout_before"]
    if abs(before - untuned) > _SAME_LOSS:
        raise CellFailed(f"the untuned model's held-out loss is {before:.4f} here and {untuned:.4f} there")
    if not ours["reached"]:
        raise CellFailed(f"a held-out loss of {theirs['heldout_after']:.4f} was not reached: {ours['heldout'][-1]}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
