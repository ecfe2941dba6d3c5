"""The work that a peer's script is given on its command line; the same words for all of them."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RATES = {"lora": 2e-4, "full": 2e-5}  # what the peers' own examples use


@dataclass(frozen=True, slots=True)
class Work:
    """What to train, on what, and how."""

    model: Path  # transformers' layout, float32
    data: Path  # a folder of benchmarks/rows.py
    setting: str  # "default", or what else the script knows
    method: str  # "lora" (rank 8, all linear layers) or "full"
    batch: int
    cutoff: int
    heldout: bool  # whether to score the held-out rows afterwards
    home: Path  # where conversions are kept between runs
    out: Path  # an empty folder for whatever the peer writes
    result: Path

    @property
    def messages(self) -> Path:
        """One chat a line: {"messages": [{"role", "content"}, …]}."""
        return self.data / "messages.jsonl"

    @property
    def alpaca(self) -> Path:
        """The same rows as a list of {"instruction", "input", "output"}."""
        return self.data / "alpaca.json"

    @property
    def rate(self) -> float:
        """The learning rate."""
        return RATES[self.method]


def work() -> Work:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    for name in ("model", "data", "home", "out", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--setting", default="default")
    parser.add_argument("--method", default="lora", choices=list(RATES))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--cutoff", type=int, default=512)
    parser.add_argument("--heldout", action="store_true")
    return Work(**vars(parser.parse_args()))


def read_chats(path: Path) -> list[list[dict[str, str]]]:
    """The chats of a ``messages.jsonl``."""
    return [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]


def mean_loss(history: list[dict[str, Any]]) -> float:
    """The mean loss over the steps that a Hugging Face trainer has logged, one by one."""
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    return sum(losses) / len(losses)
