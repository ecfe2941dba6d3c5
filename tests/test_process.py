import os
import subprocess
import sys

import pytest

from weitiao.process import settle

PROGRAM = """
import resource, sys
from weitiao.process import settle
if sys.argv[1] == "settled":
    settle()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
import torch
for _ in range(3):
    torch.ones(40_000_000, dtype=torch.uint8)
before = faults()
for _ in range(20):
    torch.ones(40_000_000, dtype=torch.uint8)
print(faults() - before)
"""


def page_faults(how: str) -> int:
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, env=environment, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_memory_that_was_freed_is_taken_again_without_asking_the_system() -> None:
    assert page_faults("settled") < 0.5 * page_faults("as it is")


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")  # then glibc's other settings are not touched either
    settle()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == os.environ["LRU_CACHE_CAPACITY"] == "7"
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("LRU_CACHE_CAPACITY")
    settle()
    assert int(os.environ["LRU_CACHE_CAPACITY"]) < 1024
