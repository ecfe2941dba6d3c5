"""The compiled kernels, where the package was built with a compiler; without them torch does the same, slower.

Separate because finding and calling a library is no arithmetic. The kernels share torch's own threads: they are built
without an OpenMP library of their own and take the one that torch has loaded.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

_VERSION = 2  # of the functions' signatures; weitiao_kernels_version in kernels.c
_LIBRARY = Path(__file__).with_name("libkernels.so")
_OFF = "WEITIAO_KERNELS"  # set to "off", torch's own operations are used


@cache
def kernels() -> ctypes.CDLL | None:
    """The library; None where it was not built, is of another version, or is switched off."""
    if os.environ.get(_OFF, "").lower() in ("off", "0", "no") or not _LIBRARY.is_file():
        return None
    try:
        for openmp in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
            ctypes.CDLL(str(openmp), mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(str(_LIBRARY))
    except OSError:  # built for another machine, or for threads that this torch does not have
        return None
    return library if library.weitiao_kernels_version() == _VERSION else None


def call(name: str, like: Tensor, *arguments: Tensor | int | float | None) -> bool:
    """Run kernel ``name`` for tensors of ``like``'s type; False, with nothing done, where there is none."""
    suffix = {torch.bfloat16: "_bf16", torch.float32: "_f32"}.get(like.dtype)
    library = kernels()
    if library is None or suffix is None or like.device.type != "cpu":
        return False
    getattr(library, name + suffix)(*map(_argument, arguments))
    return True


def _argument(value: Tensor | int | float | None) -> ctypes.c_void_p | ctypes.c_float | ctypes.c_int64:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if value is None:
        return ctypes.c_void_p()
    return ctypes.c_float(value) if isinstance(value, float) else ctypes.c_int64(value)
