"""Builds the kernels of the fast engine where there is a C compiler; without one the package works all the same."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/weitiao/models/fast/kernels.c")
LIBRARY = SOURCE.with_name("libkernels.so")
FLAGS = ("-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math")


class KernelsHook(BuildHookInterface[Any]):
    """Called by hatchling for a wheel and for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the library to the wheel, which is then one for this platform."""
        root = Path(self.root)
        if not build(root / SOURCE, root / LIBRARY):
            self.app.display_warning("no C compiler: the kernels are left out, and torch's own operations are used")
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


def build(source: Path, library: Path) -> bool:
    """Compile; the library is whole or not there. Threads come from the OpenMP that torch has loaded."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    library.unlink(missing_ok=True)
    if compiler is None:
        return False
    made, work = library.with_suffix(".o"), library.with_suffix(".unfinished")
    threads = ("-fopenmp",) if sys.platform == "linux" else ("-fopenmp-simd",)
    steps = (
        (compiler, *FLAGS, *threads, "-c", str(source), "-o", str(made)),
        (compiler, "-shared", str(made), "-o", str(work), "-lm"),
    )
    try:
        if any(subprocess.run(step, check=False).returncode for step in steps):
            return False
        work.replace(library)
        return True
    except OSError:
        return False
    finally:
        made.unlink(missing_ok=True)
        work.unlink(missing_ok=True)
