"""Agreement of the engines, remembered: as long as nothing has changed that it is about, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import TinyFolders
from tiny_training import METHOD, learner, random_rows
from weitiao.methods import Lora, Method
from weitiao.models.fast import elementwise, native
from weitiao.training import fast, proved
from weitiao.training.fast import engine_for
from weitiao.training.proof import Proof

DIGEST = "0123456789abcdef"


@pytest.fixture
def proofs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been proved, in order; nothing is remembered from elsewhere."""
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "home"))
    made: list[str] = []

    class Counted(Proof):
        def difference(self, engine: object) -> str:
            made.append(super().difference(engine))  # type: ignore[arg-type]
            return made[-1]

    monkeypatch.setattr(fast, "Proof", Counted)
    return made


def choose(
    folder: Path, digest: str = DIGEST, method: Method = METHOD["lora"], dtype: torch.dtype = torch.float32
) -> str:
    model, _ = learner(folder, method, dtype)
    return engine_for(model, "auto", random_rows(4), digest)[0].name


def test_what_was_proved_is_not_proved_again(tiny_llama: Path, proofs: list[str]) -> None:
    assert [choose(tiny_llama) for _ in range(3)] == ["fast"] * 3
    assert proofs == [""]
    assert choose(tiny_llama, "") == choose(tiny_llama, "") == "fast"
    assert len(proofs) == 3, "of a model that is not known nothing is remembered"


def test_whatever_changes_is_proved_anew(
    tiny_folders: TinyFolders, proofs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folders["llama"]
    choose(folder)
    choose(folder, "fedcba9876543210")
    choose(folder, dtype=torch.bfloat16)
    choose(folder, method=METHOD["full"])
    choose(folder, method=Lora(4, 16.0))
    choose(folder, method=Lora(4, 16.0, targets=("q_proj",)))
    choose(tiny_folders["qwen3"])
    for part, name, value in ((native, "kernels", lambda: None), (proved.transformers, "__version__", "9.0")):
        monkeypatch.setattr(part, name, value)
        choose(folder)
    monkeypatch.setattr(proved, "code_version", lambda: "another")
    choose(folder)
    assert proofs == [""] * 10
    choose(folder)
    assert len(proofs) == 10


def test_engines_that_differ_are_compared_every_time(
    tiny_llama: Path, proofs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = elementwise.gate
    monkeypatch.setattr(elementwise, "gate", lambda both, tanh_gelu, out: right(both * 1.02, tanh_gelu, out))
    assert [choose(tiny_llama) for _ in range(2)] == ["exact"] * 2
    assert len(proofs) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    tiny_llama: Path, proofs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "file"))
    assert [choose(tiny_llama) for _ in range(2)] == ["fast"] * 2
    assert len(proofs) == 2
