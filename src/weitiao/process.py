"""How this process treats memory, threads and imports, settled before torch is loaded.

Separate because it must come first, and because it is worth more than any code behind it: a training step frees and
takes gigabytes, and glibc hands each block back to the system, which unmaps it on every core and clears it when it is
taken again. docs/log.md has the measurement.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MOST = 2**31 - 1  # what mallopt's int can hold
_SPARE_BYTES = 64 * 2**20

# How often a waiting thread of GNU OpenMP looks before it sleeps: tens of microseconds, so that short operations run on
# all cores, and a busy machine loses nothing worth mentioning.
_SPINS = "10000"

# Products are compiled for their very sizes and kept, by oneDNN and by torch's layer over it, 1,024 each and 0.7 MB a
# piece, while every step brings new sizes. So many are of two steps.
_PRODUCTS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "128"}


def settle() -> None:
    """Keep freed memory for the next step, few compiled products, and let waiting threads sleep soon.

    What the user has set stays.
    """
    for name, count in _PRODUCTS.items():
        os.environ.setdefault(name, count)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    _glibc("mallopt", _M_MMAP_MAX, 0)
    _glibc("mallopt", _M_TRIM_THRESHOLD, _MOST)
    _glibc("mallopt", _M_TOP_PAD, _SPARE_BYTES)


def give_back() -> None:
    """Hand the system what is free, where one kind of work ends: the next one's blocks fit badly between its gaps."""
    _glibc("malloc_trim", 0)


@contextmanager
def importing() -> Iterator[None]:
    """Around the import of what is heavy: nothing is looked through for garbage, which there is none of.

    torch and transformers make a million objects that stay; looking again and again is a fifth of their import.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor are they looked through later
        gc.enable()


def _glibc(name: str, *numbers: int) -> None:
    """Call ``name`` of the C library, where that is glibc."""
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*numbers)
