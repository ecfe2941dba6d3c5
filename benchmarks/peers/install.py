"""The peers' environments, made by one command: ``python -m benchmarks.peers.install [--home DIR] [PEER …]``.

Each peer gets one of its own, because they forbid each other's versions. What became of each stands in
``installed.json`` of its environment: versions, size, or the reason why it could not be installed.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TORCH = "torch==2.13.0"
_REASON_LINES = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """What pip is asked for. ``unwanted`` comes along, needs the CUDA build of torch, and breaks the import without."""

    package: str
    requirements: tuple[str, ...]
    unwanted: tuple[str, ...] = ()


PEERS = {
    "trl": Peer("trl", ("trl==1.16.0", "transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0")),
    "llamafactory": Peer("llamafactory", ("llamafactory==0.9.5",), ("torchvision", "torchaudio")),
    "swift": Peer("ms-swift", ("ms-swift==4.6.0",)),
    "torchtune": Peer("torchtune", ("torchtune==0.6.1", "torchao==0.9.0")),
    "litgpt": Peer("litgpt", ("litgpt==0.5.13", "requests")),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path(".bench"), help="the folder for environments, data and logs")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; without any: all")
    given = parser.parse_args()
    unknown = [name for name in given.peers if name not in PEERS]
    if unknown:
        parser.error(f"there is no peer {', '.join(unknown)}")
    states = {name: install(name, given.home) for name in given.peers or PEERS}
    return 0 if all(state["reason"] is None for state in states.values()) else 1


def python_of(home: Path, name: str) -> Path:
    """The interpreter of a peer's environment."""
    return home.resolve() / "envs" / name / "bin" / "python"


def state_of(home: Path, name: str) -> dict[str, Any]:
    """What became of the installation of ``name``; ``reason`` is None where the peer can run."""
    try:
        state: dict[str, Any] = json.loads((home / "envs" / name / "installed.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"reason": f"not installed: python -m benchmarks.peers.install {name}"}
    if state["requirements"] != [TORCH, *PEERS[name].requirements]:
        return {"reason": f"installed for other versions: python -m benchmarks.peers.install {name}"}
    return state


def install(name: str, home: Path) -> dict[str, Any]:
    """Make the environment of ``name``, unless it is there already."""
    state = state_of(home, name)
    if state["reason"] is None:
        _say(f"{name}: {state['version']} is there")
        return state
    folder, peer, began = home / "envs" / name, PEERS[name], time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _say(f"{name}: installing {', '.join(peer.requirements)} into {folder}")
    state = {"requirements": [TORCH, *peer.requirements], "reason": _fill(folder, peer)}
    if state["reason"] is None:
        state |= _facts(folder, peer)
    state["seconds"] = round(time.monotonic() - began)
    (folder / "installed.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    _say(f"{name}: {state['reason'] or state['version']}")
    return state


def _fill(folder: Path, peer: Peer) -> str | None:
    """Install; the reason in pip's own words where that fails."""
    log, pip = folder / "install.log", [str(folder / "bin" / "python"), "-m", "pip"]
    constraints = folder / "constraints.txt"
    constraints.write_text(f"{TORCH}\n", encoding="utf-8")
    failed = _run([sys.executable, "-m", "venv", str(folder)], log) or _install_torch(folder, pip, log)
    failed = failed or _run([*pip, "install", "-c", str(constraints), *peer.requirements], log)
    if not failed and peer.unwanted:
        failed = _run([*pip, "uninstall", "--yes", *peer.unwanted], log)
    return failed


def _install_torch(folder: Path, pip: list[str], log: Path) -> str | None:
    """A CPU build: the other one is several gigabytes that nothing here could use. Which one an index offers shows in
    what it would install, so that is asked first; uv knows where torch's own CPU builds are."""
    report = folder / "torch.json"
    failed = _run([*pip, "install", "--dry-run", "--report", str(report), TORCH], log)
    if failed:
        return failed
    packages = [item["metadata"]["name"].lower() for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    if not any(package.startswith(("nvidia-", "cuda-")) for package in packages):
        return _run([*pip, "install", TORCH], log)
    uv = [pip[0], "-m", "uv", "pip", "install", "--python", pip[0], "--torch-backend=cpu"]
    return _run([*pip, "install", "uv"], log) or _run([*uv, TORCH], log)


def _facts(folder: Path, peer: Peer) -> dict[str, Any]:
    ask = [str(folder / "bin" / "python"), "-m", "pip", "list", "--format", "json"]
    listed = json.loads(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)
    versions = {package["name"].lower().replace("_", "-"): package["version"] for package in listed}
    size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    return {"version": versions[peer.package], "size_bytes": size, "packages": len(versions)}


def _run(command: list[str], log: Path) -> str | None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if code == 0:
        return None
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_REASON_LINES:])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
