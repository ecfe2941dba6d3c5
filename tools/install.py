"""Install Weitiao and its tools into the environment that runs this file; ``make setup`` calls it.

Where there is no NVIDIA driver, torch must be a CPU build: the other one is several gigabytes that nothing here could
use. Which build an index offers shows in what it would install, so that is asked first.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"


def main() -> None:
    pip("install", "--quiet", "--upgrade", "pip>=23.2")
    if not has_nvidia_driver() and would_bring_cuda():
        install_cpu_torch()
    pip("install", "--quiet", "-c", str(CONSTRAINTS), "-e", f"{ROOT}[dev]")


def has_nvidia_driver() -> bool:
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def would_bring_cuda() -> bool:
    """Whether the torch of the constraints comes with CUDA's libraries from the user's index."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip("install", "--quiet", "--dry-run", "--report", str(report), "-c", str(CONSTRAINTS), "torch")
        packages = json.loads(report.read_text(encoding="utf-8"))["install"]
    return any(package["metadata"]["name"].lower().startswith(("nvidia-", "cuda-")) for package in packages)


def install_cpu_torch() -> None:
    """uv knows where torch's own CPU builds are."""
    pip("install", "--quiet", "uv")
    version = next(line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    uv_pip = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable)
    run(*uv_pip, "--torch-backend=cpu", version)


def pip(*arguments: str) -> None:
    run(sys.executable, "-m", "pip", *arguments)


def run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"error: this failed: {' '.join(command)}")


main()
