"""What the figures were measured on."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from benchmarks.cells import Bench, run_cell
from benchmarks.jobs import Job, Side


def describe(job: Job, data: Path, bench: Bench) -> dict[str, Any]:
    """The machine, with the peak of one core as torch's products reach it. ``job`` and ``data`` only name a cell."""
    peak = run_cell(Side("peak", "machine"), job, data, bench)
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": peak["versions"]["torch"],
        "gflops": {name: round(value / 1e9, 1) for name, value in peak["flops"].items()},
        "gflops_by_shape": {
            name: {shape: round(value / 1e9, 1) for shape, value in speeds.items()}
            for name, speeds in peak["by_shape"].items()
        },
    }


def processor() -> str:
    """Its name, and its family and model, since virtual machines hide the former."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    return (
        f"{found.get('model name', platform.machine())}, family {found.get('cpu family')}, model {found.get('model')}"
    )


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
