"""Which model a name means, and its digest."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from weitiao.errors import ModelError
from weitiao.methods import Lora, prepare, save_result, trained
from weitiao.models import fingerprint, source
from weitiao.models.load import load
from weitiao.models.source import resolve


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def make_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text("model: tiny\n")
    (folder / "lineage.json").write_text("{}")
    return folder


def save_adapter(base: Path, folder: Path, seed: int = 0) -> Path:
    loaded = load(resolve(str(base)), torch.float32)
    model = prepare(loaded, Lora(rank=2), seed)
    save_result(model, loaded.tokenizer, folder, trained(model), base, torch.float32)
    return folder


def test_a_folder_is_itself(tiny_llama: Path) -> None:
    found = resolve(str(tiny_llama))
    assert (found.name, found.folder, found.adapter, found.run) == (str(tiny_llama), tiny_llama, None, None)
    assert len(found.digest) == 16
    assert found.tokenizer_folder == tiny_llama


def test_resolving_needs_no_torch(tiny_llama: Path) -> None:
    script = (
        "import sys; from weitiao.models.source import resolve; resolve(sys.argv[1]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, tiny_llama], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_sample_is_fetched(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(source, "fetch", lambda name, on_progress: seen.append((name, on_progress)) or tiny_llama)
    found = resolve("smollm2-135m-instruct", on_progress=print)
    assert (found.name, found.folder) == ("smollm2-135m-instruct", tiny_llama)
    assert seen == [("smollm2-135m-instruct", print)]


def test_a_data_set_is_no_model() -> None:
    with pytest.raises(ModelError, match="sms-spam is a data set") as caught:
        resolve("sms-spam")
    assert "smollm2-135m-instruct" in caught.value.hint


def test_a_run_is_its_result(tiny_llama: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "first")
    with pytest.raises(ModelError, match="has no result yet") as caught:
        resolve(str(run))
    assert "weitiao train" in caught.value.hint
    copy(tiny_llama, run / "model")
    for name in (run, run / "model"):
        found = resolve(str(name))
        assert (found.folder, found.adapter, found.run) == (run / "model", None, run)


def test_a_run_with_an_adapter_names_its_base(tiny_llama: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save_adapter(tiny_llama, run / "model")
    found = resolve(str(run))
    assert (found.folder, found.adapter, found.run) == (tiny_llama, run / "model", run)
    assert found.tokenizer_folder == run / "model"
    assert found.digest != resolve(str(tiny_llama)).digest


def test_an_adapter_finds_its_base_beside_itself(tiny_llama: Path, tmp_path: Path) -> None:
    save_adapter(tiny_llama, tmp_path / "adapter")
    copy(tiny_llama, tmp_path / "base")
    config = tmp_path / "adapter" / "adapter_config.json"
    before = resolve(str(tmp_path / "adapter")).digest
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "../base"}))
    found = resolve(str(tmp_path / "adapter"))
    assert found.folder.resolve() == tmp_path / "base"
    assert found.digest == before


def test_a_model_of_a_hub_is_found_in_its_cache_and_never_fetched(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="there is no model owner/tiny") as caught:
        resolve("owner/tiny")
    assert "nothing is fetched from a model hub" in caught.value.hint
    root = tmp_path / "models--owner--tiny"
    copy(tiny_llama, root / "snapshots" / "abc")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    assert resolve("owner/tiny").folder == root / "snapshots" / "abc"


def test_an_unknown_name_names_the_nearest(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy(tiny_llama, make_run(tmp_path / "runs" / "spam-lora") / "model")
    copy(tiny_llama, tmp_path / "llama")
    for wrong, right in (
        ("smollm2-135m-instuct", "smollm2-135m-instruct"),
        ("runs/spam-lor", "runs/spam-lora"),
        ("lama", "llama"),
    ):
        with pytest.raises(ModelError, match="there is no model") as caught:
            resolve(wrong)
        assert right in caught.value.hint
        assert caught.value.exit_code == 4
    with pytest.raises(ModelError) as caught:
        resolve("xyzzy")
    assert "pass a folder" in caught.value.hint


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is not a model"):
        resolve(str(tmp_path / "model.safetensors"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"has no config\.json") as caught:
        resolve(str(tmp_path / "empty"))
    assert caught.value.hint == "the folder is empty"
    (tmp_path / "a.gguf").touch()
    (tmp_path / "b.gguf").touch()
    with pytest.raises(ModelError, match=r"several models: a\.gguf, b\.gguf"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", "generation_config.json"])
def test_the_digest_changes_with_every_file_that_matters(name: str, tiny_llama: Path, tmp_path: Path) -> None:
    folder = copy(tiny_llama, tmp_path / "model")
    before = resolve(str(folder)).digest
    assert before == resolve(str(tiny_llama)).digest
    if name.endswith("config.json"):
        value = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**value, "transformers_version": "9.9"}))
        assert resolve(str(folder)).digest == before  # what wrote the file does not matter
        (folder / name).write_text(json.dumps({**value, "new": 1}))
    else:
        (folder / name).write_text((folder / name).read_text() + " ")
    assert resolve(str(folder)).digest != before


def test_the_digest_changes_with_one_bit_of_the_weights_even_at_the_same_time_and_size(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = copy(tiny_llama, tmp_path / "model")
    weights = folder / "model.safetensors"
    before, facts = resolve(str(folder)).digest, weights.stat()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert resolve(str(folder)).digest != before


def test_a_digest_is_computed_once(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy(tiny_llama, tmp_path / "model")
    before = resolve(str(folder)).digest

    def refuse(*arguments: object) -> list[str]:
        raise AssertionError("computed again")

    monkeypatch.setattr(fingerprint, "_hash_tensors", refuse)
    monkeypatch.setattr(fingerprint, "_sha256", refuse)
    assert resolve(str(folder)).digest == before


def test_a_cache_that_cannot_be_written_only_costs_time(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resolve(str(tiny_llama)).digest
    (tmp_path / "file").touch()
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "file"))
    assert resolve(str(tiny_llama)).digest == before


def test_two_adapters_on_one_base_have_two_digests(tiny_llama: Path, tmp_path: Path) -> None:
    first = resolve(str(save_adapter(tiny_llama, tmp_path / "first", seed=1)))
    second = resolve(str(save_adapter(tiny_llama, tmp_path / "second", seed=2)))
    again = resolve(str(save_adapter(tiny_llama, tmp_path / "again", seed=1)))
    assert len({first.digest, second.digest}) == 2
    assert first.digest == again.digest
