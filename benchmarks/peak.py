"""What one core of this machine can multiply at most: ``python -m benchmarks.peak --result FILE``.

Products of torch in the shapes of SmolLM2-135M and in larger ones; the fastest is the peak. One thread.
"""

import argparse
import time
from pathlib import Path

import torch

from benchmarks.meter import versions, write_result

SHAPES = (
    (512, 576, 1536),
    (512, 1536, 576),
    (1024, 576, 3072),
    (1024, 1536, 576),
    (1024, 576, 49152),
    (2048, 2048, 2048),
)
SECONDS = 0.5  # of each shape and type


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    found = {
        name: {"x".join(map(str, shape)): speed(shape, dtype) for shape in SHAPES} for name, dtype in types.items()
    }
    peaks = {name: max(speeds.values()) for name, speeds in found.items()}
    write_result(given.result, {"flops": peaks, "by_shape": found, "versions": versions("torch")})


def speed(shape: tuple[int, int, int], dtype: torch.dtype) -> float:
    """Operations a processor second of [rows, inner] times [inner, outer], the best of many calls."""
    rows, inner, outer = shape
    left, weight = torch.randn(rows, inner, dtype=dtype), torch.randn(outer, inner, dtype=dtype)
    best, spent = float("inf"), 0.0
    while spent < SECONDS:
        before = time.process_time()
        torch.nn.functional.linear(left, weight)
        taken = time.process_time() - before
        best, spent = min(best, taken), spent + taken
    return 2 * rows * inner * outer / best


if __name__ == "__main__":
    main()
