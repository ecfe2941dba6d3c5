"""What a training run costs, taken the same way on every side: processor seconds of its steps, start-up, peak memory.

Separate, and of the standard library alone, because it runs in every peer's environment. A peer needs no change to be
measured: torch's own hooks tell of its first forward pass with gradients and of each step of its optimizer.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment: seconds that the processor has spent on this process, and seconds of the wall."""

    processor: float
    wall: float


class Meter:
    """Marks where the steps begin and where each ends; what lies between the first and the last is training."""

    def __init__(self) -> None:
        self._began: Mark | None = None
        self._ended: list[Mark] = []
        self._left_out = Mark(0.0, 0.0)
        self._peak_bytes = 0

    def begin(self) -> None:
        """The steps begin now; later calls change nothing."""
        self._began = self._began or _now()

    def step(self) -> None:
        """A step has ended."""
        now = _now()
        self._ended.append(Mark(now.processor - self._left_out.processor, now.wall - self._left_out.wall))
        self._peak_bytes = peak_bytes()

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What happens inside is no part of training."""
        before = _now()
        try:
            yield
        finally:
            after = _now()
            processor = self._left_out.processor + after.processor - before.processor
            self._left_out = Mark(processor, self._left_out.wall + after.wall - before.wall)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Begin and step by torch's hooks, in whatever trains inside."""
        import torch
        from torch.nn.modules.module import register_module_forward_pre_hook
        from torch.optim.optimizer import register_optimizer_step_post_hook

        def first_pass(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
            on_meta = any(isinstance(value, torch.Tensor) and value.is_meta for value in inputs)  # counts FLOPs only
            if module.training and torch.is_grad_enabled() and not on_meta:
                self.begin()
                passes.remove()

        passes = register_module_forward_pre_hook(first_pass)
        steps = register_optimizer_step_post_hook(lambda *_: self.step())
        try:
            yield
        finally:
            passes.remove()
            steps.remove()

    def facts(self) -> dict[str, Any]:
        """The figures; RuntimeError when nothing was trained."""
        if self._began is None or not self._ended:
            raise RuntimeError("no step was seen")
        marks = [self._began, *self._ended]
        return {
            "startup_cpu_seconds": self._began.processor,
            "train_cpu_seconds": marks[-1].processor - self._began.processor,
            "train_wall_seconds": marks[-1].wall - self._began.wall,
            "step_cpu_seconds": [after.processor - before.processor for before, after in pairwise(marks)],
            "steps": len(self._ended),
            "peak_memory_bytes": self._peak_bytes,
        }


def peak_bytes() -> int:
    """The most memory that this program has held. Not ``ru_maxrss``: that begins with what the parent held."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (FileNotFoundError, StopIteration):
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of ``packages``."""
    return {package: metadata.version(package) for package in packages}


def write_result(path: Path, facts: dict[str, Any]) -> None:
    """Leave ``facts`` where the harness reads them; stdout belongs to the peers' logs."""
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _now() -> Mark:
    return Mark(time.process_time(), time.perf_counter())
