"""What this machine can do: its device, its arithmetic, its threads, its memory."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from pathlib import Path

import psutil
import torch

from weitiao.errors import MachineError
from weitiao.words import t


def device() -> torch.device:
    """Where models run: the first GPU that torch can use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_bf16() -> bool:
    """Whether bfloat16 products run in hardware."""
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def dtype_of(precision: str) -> torch.dtype:
    """The torch type of ``precision``."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, and what it can calculate with."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8", errors="replace").splitlines() if told.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"


def memory_now_bytes() -> int:
    """The memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    """The most memory that this process has held at once."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check_disk(folder: Path, needed_bytes: int) -> None:
    """Raise MachineError when the disk of ``folder`` cannot hold ``needed_bytes`` more."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise MachineError(
            t(
                "{folder}: {free} MB are free, the run needs {needed} MB",
                folder=folder,
                free=free >> 20,
                needed=needed_bytes >> 20,
            ),
            t("free some space, or choose another output_dir"),
        )
