"""What the tests of training stand on: random rows, a learner, and whole small runs, each in well under a second.

Separate from ``tiny.py`` because it needs torch and the package's own training code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

import tiny
from weitiao.methods import METHODS, AdaLora, Full, Lora, Method, TopLayers, VirtualTokens, prepare, trained
from weitiao.models.anatomy import Model
from weitiao.models.load import load
from weitiao.models.precision import one_precision
from weitiao.models.source import resolve
from weitiao.objectives.row import IGNORE, Row
from weitiao.run import Run, read_events
from weitiao.settings import Settings, make_settings
from weitiao.training.optimizer import Masters, Rate
from weitiao.training.pace import Pace

METHOD: Mapping[str, Method] = {"full": Full(), "top_layers": TopLayers(1), "lora": Lora(4, 8.0)}

EVERY_METHOD: Mapping[str, Method] = {**METHODS, **METHOD} | {
    "rslora": Lora(4, 4.0, variant="rslora"),
    "dora": Lora(4, 8.0, variant="dora"),
    "loraplus": Lora(4, 8.0, ratio=8),
    "pissa": Lora(4, 8.0, start="pissa"),
    "olora": Lora(4, 8.0, start="olora"),
    "adalora": AdaLora(4, 8.0),
    **{kind: VirtualTokens(kind, 5) for kind in ("prefix", "prompt", "p_tuning")},
}
"""Every method by its name, of a size that fits the tiny models."""


def random_rows(count: int, seed: int = 0, longest: int = 40) -> list[Row]:
    """Rows of 4 to ``longest`` tokens, with between one and all positions asked, here and there not at the end."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        length = int(draw.integers(4, longest + 1))
        tokens = draw.integers(3, tiny.VOCABULARY, length + 1, dtype=np.int32)
        asked = np.zeros(length, dtype=np.bool_)
        asked[draw.choice(length, int(draw.integers(1, length + 1)), replace=False)] = True
        rows.append(Row(str(number), tokens[:-1], np.where(asked, tokens[1:], IGNORE).astype(np.int32)))
    return rows


def learner(
    folder: Path, method: Method, dtype: torch.dtype = torch.float32, decay: float = 0.0
) -> tuple[Model, Masters]:
    """The model in ``folder`` under ``method``, as a run builds it. What is zero at first in LoRA is drawn."""
    model = prepare(load(resolve(str(folder)), dtype), method, seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in trained(model).items():
            if "lora_B" in name or "lora_E" in name:
                weight.copy_(torch.randn(weight.shape, generator=draw) * 0.05)
    masters = Masters(trained(model), decay)
    one_precision(model, dtype)
    return model, masters


def learned(model: Any, seed: int) -> dict[str, Tensor]:
    """What ``model`` could have learned: its weights, moved a little."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: weight.detach().float() + 0.05 * torch.randn(weight.shape, generator=generator)
        for name, weight in trained(model).items()
    }


def pace(steps: int, rows_per_step: int = 4, **changes: Any) -> Pace:
    """A pace with a constant rate of 1e-3, unless ``changes`` says otherwise."""
    values = {"max_grad_norm": 1.0, "seed": 0, "capacity": 2048, "packing": False, "peak": 1e-3} | changes
    rate = Rate(values.pop("peak"), steps, 0, "constant")
    return Pace(rows_per_step, rate, **values)


def tiny_settings(model: Path, folder: Path, name: str = "run", **changes: Any) -> Settings:
    """Settings of a run of eight steps over the thirty rows, scored every two steps, in ``folder / name``.

    Its dev loss is best at step 2; checkpoints are saved at steps 2, 3, 6 and 8.
    """
    data = folder / "rows.csv"
    if not data.exists():
        tiny.tiny_rows(data)
    values: dict[str, Any] = {
        "model": model,
        "data": data,
        "output_dir": folder / name,
        "precision": "fp32",
        "threads": 1,
        "batch_size": 8,
        "max_steps": 8,
        "eval_steps": 2,
        "save_steps": 3,
        "lora_rank": 4,
        "lora_dropout": 0.1,
        "early_stopping_patience": 9,
        "learning_rate": 1e-2,
        "metric_for_best_model": "loss",
    }
    return make_settings(values | changes)


def step_losses(run: Run) -> list[tuple[int, float, float]]:
    """Step, loss and gradient norm of every step in the log, in its order."""
    events = [event for event in read_events(run.events) if event["kind"] == "step"]
    return [(event["step"], event["loss"], event["gradient_norm"]) for event in events]


def last_weights(run: Run) -> bytes:
    """The bytes of the newest checkpoint's weights."""
    return sorted(run.checkpoints.glob("[0-9]*/weights.safetensors"))[-1].read_bytes()


def result_bytes(run: Run) -> bytes:
    """The bytes of the result's weights."""
    return next(file for file in sorted(run.model.iterdir()) if file.suffix == ".safetensors").read_bytes()


def tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file."""
    return load_file(path)


def gradients(masters: Masters) -> dict[str, NDArray[np.float32]]:
    """What the masters have collected."""
    return {name: weight.grad.numpy().copy() for name, weight in masters.weights.items() if weight.grad is not None}
