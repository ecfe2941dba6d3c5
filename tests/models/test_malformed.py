"""Malformed models: one clear error with exit code 4, whatever is wrong with them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from weitiao.errors import ModelError
from weitiao.methods import Lora, prepare, save_result, trained
from weitiao.models.load import load
from weitiao.models.source import resolve

Damage = Callable[[Path], object]


def edit_json(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({key: new for key, new in {**value, **changes}.items() if new != "GONE"}))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def in_config(**changes: Any) -> Damage:
    return lambda folder: edit_json(folder / "config.json", **changes)


def with_text(name: str, text: str) -> Damage:
    return lambda folder: (folder / name).write_text(text)


def without(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def link_out(folder: Path) -> None:
    secret = folder.parent / "secret.json"
    shutil.move(folder / "tokenizer.json", secret)
    (folder / "tokenizer.json").symlink_to(secret)


def link_to_nothing(folder: Path) -> None:
    (folder / "merges.txt").symlink_to("gone")


def a_fifo(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def nan_inside(folder: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")

    edit_weights(folder, change)


def infinity_inside(folder: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"][0] = float("-inf")

    edit_weights(folder, change)


def one_missing(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))


def one_extra(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update(surplus=torch.zeros(3)))


def one_of_another_shape(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(7)}))


def one_token_too_many(folder: Path) -> None:
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    value["model"]["vocab"]["surplus"] = tiny.VOCABULARY + 5
    path.write_text(json.dumps(value))


CASES: dict[str, tuple[Damage, str]] = {
    "pickle only": (only_pickle, r"only pickle weights: pytorch_model.bin"),
    "weights cut off": (cut_off, r"cut off: its header promises \d+ bytes"),
    "no weights": (without("model.safetensors"), "has no weights"),
    "no config": (without("config.json"), "has no config.json"),
    "no tokenizer": (without("tokenizer.json"), "has no tokenizer.json"),
    "config not JSON": (with_text("config.json", "{'a': 1}"), "config.json is not JSON"),
    "config a list": (with_text("config.json", "[]"), "not a JSON object"),
    "config with a name twice": (with_text("config.json", '{"a": 1, "a": 2}'), "the name a stands there twice"),
    "config bottomless": (with_text("config.json", '{"a":' * 100_000), "nested too deeply"),
    "no model_type": (in_config(model_type="GONE"), "names no model_type"),
    "unknown model_type": (in_config(model_type="nothing_known"), "does not know the model type nothing_known"),
    "not a causal model": (in_config(model_type="clip"), "which does not write text|cannot be loaded"),
    "auto_map": (in_config(auto_map={"AutoModel": "evil.Model"}), "asks to run code"),
    "auto_map in the tokenizer": (
        lambda folder: edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}),
        "asks to run code",
    ),
    "quantized": (in_config(quantization_config={"quant_method": "gptq"}), "the weights are quantized"),
    "weights elsewhere": (in_config(transformers_weights="../x.bin"), "asks for files from elsewhere"),
    "a kernel from a hub": (in_config(attn_implementation="evil/kernel"), "asks for files from elsewhere"),
    "a billion layers": (in_config(num_hidden_layers=10**9), "describes another model than its weights"),
    "a vast vocabulary": (in_config(vocab_size=10**9), "describes another model than its weights"),
    "vast layers": (in_config(intermediate_size=10**7), "config.json describes .* weights, the files hold"),
    "a negative width": (in_config(hidden_size=-4), "cannot be loaded"),
    "a width that is text": (in_config(hidden_size="wide"), "cannot be loaded"),
    "link out of the folder": (link_out, "a link that leaves the folder"),
    "link to nothing": (link_to_nothing, "a link to nothing"),
    "a FIFO": (a_fifo, "not an ordinary file"),
    "NaN": (nan_inside, "model.layers.1.mlp.up_proj.weight holds NaN or infinity"),
    "infinity": (infinity_inside, "model.norm.weight holds NaN or infinity"),
    "missing tensor": (one_missing, r"tensors are missing: model.layers.1.mlp.up_proj.weight \(1\)"),
    "extra tensor": (one_extra, r"no place for: surplus \(1\)"),
    "tensor of another shape": (one_of_another_shape, r"another shape than config.json says: model.norm.weight \(1\)"),
    "more layers than weights": (in_config(num_hidden_layers=3), r"tensors are missing: .* \(9\)"),
    "fewer layers than weights": (in_config(num_hidden_layers=1), r"no place for: .* \(9\)"),
    "token over the vocabulary": (one_token_too_many, r"gives surplus the id 485, and the model knows 480"),
    "tokenizer broken": (with_text("tokenizer.json", '{"version": "1.0"}'), "its tokenizer cannot be loaded"),
    "tokenizer cut off": (with_text("tokenizer.json", '{"version": "1.0", "mod'), "its tokenizer cannot be loaded"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_model_is_one_clear_error(case: str, tiny_llama: Path, tmp_path: Path) -> None:
    damage, message = CASES[case]
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(resolve(str(folder)), torch.float32)
    assert caught.value.exit_code == 4
    assert caught.value.hint
    assert "\n" not in caught.value.problem


def sharded(folder: Path) -> dict[str, str]:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / file)
    (folder / "model.safetensors").unlink()
    index = {name: file for file, held in parts.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return index


def test_a_model_in_parts_is_the_same_model(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    sharded(folder)
    whole, parts = resolve(str(tiny_llama)), resolve(str(folder))
    assert whole.digest == parts.digest
    ids = torch.arange(20)[None]
    assert torch.equal(load(whole, torch.float32).model(ids).logits, load(parts, torch.float32).model(ids).logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder, index: (folder / "model-00002-of-00002.safetensors").unlink(),
            "only part of a model: model-00002",
        ),
        (lambda folder, index: (folder / "model.safetensors.index.json").unlink(), "only part of a model"),
        (lambda folder, index: index.pop("model.norm.weight"), "does not hold what model.safetensors.index.json says"),
        (lambda folder, index: index.update(surplus="model-00001-of-00002.safetensors"), "does not hold what"),
        (lambda folder, index: index.update(surplus="../other.safetensors"), "puts tensor surplus into"),
        (lambda folder, index: index.update(surplus="pytorch_model.bin"), "puts tensor surplus into"),
        (lambda folder, index: index.update(surplus=7), "puts tensor surplus into 7"),
        (lambda folder, index: index.clear(), "lists no tensors"),
    ],
)
def test_half_a_model_is_refused(
    tiny_llama: Path, tmp_path: Path, change: Callable[[Path, dict[str, Any]], object], message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    index: dict[str, Any] = dict(sharded(folder))
    file = folder / "model.safetensors.index.json"
    change(folder, index)
    if file.exists():
        file.write_text(json.dumps({"weight_map": index}))
    with pytest.raises(ModelError, match=message):
        resolve(str(folder))


def test_the_links_of_a_hub_cache_are_fine_and_others_in_it_are_not(tiny_llama: Path, tmp_path: Path) -> None:
    root = tmp_path / "models--owner--tiny"
    snapshot, blobs = root / "snapshots" / "abc", root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in tiny_llama.iterdir():
        shutil.copy(file, blobs / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    assert resolve(str(snapshot)).digest == resolve(str(tiny_llama)).digest
    (snapshot / "extra.json").symlink_to(tiny_llama / "config.json")
    with pytest.raises(ModelError, match="leaves the folder"):
        resolve(str(snapshot))


def test_a_pickle_beside_safetensors_is_never_opened(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/weitiao-was-here'\ntR.")
    load(resolve(str(folder)), torch.float32)
    assert not Path("/tmp/weitiao-was-here").exists()


@pytest.fixture(scope="module")
def adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    loaded = load(resolve(str(tiny_llama)), torch.float32)
    model = prepare(loaded, Lora(rank=4), seed=1)
    rng = np.random.default_rng(0)
    weights = {
        name: torch.from_numpy(rng.normal(0, 0.05, tuple(weight.shape)).astype("float32"))
        for name, weight in trained(model).items()
    }
    folder = tmp_path_factory.mktemp("adapters") / "adapter"
    save_result(model, loaded.tokenizer, folder, weights, tiny_llama, torch.float32)
    return folder


def edit_adapter(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "adapter_model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


def base_is(family: str) -> Callable[[Path, Any], object]:
    def change(folder: Path, folders: Any) -> None:
        edit_json(folder / "adapter_config.json", base_model_name_or_path=str(folders[family]))

    return change


def forget_base(folder: Path, folders: Any) -> None:
    (folder / "weitiao.json").unlink()


def rename_modules(folder: Path, folders: Any) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.replace("q_proj", "query")] = tensors.pop(name)

    edit_adapter(folder, change)


def drop_half(folder: Path, folders: Any) -> None:
    edit_adapter(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "lora_B" in name])


def add_one(folder: Path, folders: Any) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_C.weight"
    edit_adapter(folder, lambda tensors: tensors.update({name: torch.zeros(2)}))


def empty(folder: Path, folders: Any) -> None:
    edit_adapter(folder, lambda tensors: tensors.clear())


def targets_elsewhere(folder: Path, folders: Any) -> None:
    edit_json(folder / "adapter_config.json", target_modules=["nothing"])


def other_rank(folder: Path, folders: Any) -> None:
    edit_json(folder / "adapter_config.json", r=8)


def nan_in_adapter(folder: Path, folders: Any) -> None:
    edit_adapter(folder, lambda tensors: next(iter(tensors.values())).fill_(float("nan")))


def adapter_config(**changes: Any) -> Callable[[Path, Any], object]:
    return lambda folder, folders: edit_json(folder / "adapter_config.json", **changes)


def only_pickled_adapter(folder: Path, folders: Any) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


@pytest.mark.parametrize(
    ("damages", "message"),
    [
        ([base_is("qwen3")], "was made for another base"),
        ([forget_base, base_is("gpt2")], "does not fit the model .*: no module model.layers.0"),
        ([forget_base, rename_modules], "no module model.layers.0.self_attn.query"),
        ([drop_half], "does not fit the model"),
        ([add_one], "does not fit the model"),
        ([empty], "does not fit the model"),
        ([targets_elsewhere], "does not fit the model .*not found"),
        ([other_rank], "does not fit the model .*size mismatch|does not fit the model"),
        ([nan_in_adapter], "lora_A.* holds NaN"),
        ([adapter_config(base_model_name_or_path="/gone/model")], "the base model of the adapter .* is not here"),
        ([adapter_config(base_model_name_or_path=None)], "the base model of the adapter .* is not here"),
        ([adapter_config(peft_type="MAGIC")], "an adapter of kind MAGIC"),
        ([adapter_config(auto_map={"a": "b"})], "asks to run code"),
        ([adapter_config(megatron_config={"a": 1}, megatron_core="evil")], "not part of PEFT"),
        ([only_pickled_adapter], "only pickle weights: adapter_model.bin"),
    ],
)
def test_an_adapter_that_does_not_fit_is_never_silently_the_base(
    adapter: Path, tiny_folders: Any, tmp_path: Path, damages: list[Callable[[Path, Any], object]], message: str
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    for damage in damages:
        damage(folder, tiny_folders)
    with pytest.raises(ModelError, match=message) as caught:
        load(resolve(str(folder)), torch.float32)
    assert caught.value.exit_code == 4
