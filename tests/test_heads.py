"""Category heads: what the engines calculate is what transformers and PEFT alone calculate from what was saved.

The reference is always a folder that was written, opened by a foreign library, and asked in a padded batch of texts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForSequenceClassification
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

import tiny
from conftest import TinyFolders
from tiny_training import pace
from weitiao.codec import open_codec
from weitiao.errors import ModelError
from weitiao.evaluation.score import head_log_probabilities
from weitiao.example import Category, Example, Message, Task, make_example
from weitiao.methods import Full, Lora, Method, TopLayers, prepare, save_result, trained
from weitiao.models.anatomy import Model, head_width, parameter_count, sees_both_sides
from weitiao.models.heads import head_modules, use_of
from weitiao.models.load import Loaded, load
from weitiao.models.precision import one_precision
from weitiao.models.source import resolve
from weitiao.models.use import ENCODERS, Use, model_config, own_use, place_of
from weitiao.objectives.causal import Encoded
from weitiao.objectives.form import Form, rows_of
from weitiao.objectives.row import IGNORE, Row
from weitiao.training.exact import Exact
from weitiao.training.fast import Fast, engine_for
from weitiao.training.loop import train
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Place

TASK = Task("classify", "Is it spam?", ("ham", "other", "spam"))
USE = Use("category", TASK.categories)
METHOD: Mapping[str, Method] = {"full": Full(), "top_layers": TopLayers(1), "lora": Lora(4, 8.0)}
DECODERS = ("llama", "qwen3", "gemma3", "gpt2")
TEXTS = ("Free prize!", tiny.HAM[0], tiny.SENTENCES[3] * 3, "a", "今天天气很好")


def examples() -> list[Example]:
    return [
        make_example((Message("document", text),), Category(TASK.categories[number % 3]), f"row {number}")
        for number, text in enumerate(TEXTS)
    ]


def rows(folder: Path, limit: int = 64) -> list[Row]:
    source = resolve(str(folder))
    form = Form(open_codec(source.tokenizer_folder), limit, answered=place_of(model_config(source)))
    found = rows_of(examples(), TASK, form)
    assert all(isinstance(one, Encoded) for one in found)
    return [one.row for one in found if isinstance(one, Encoded)]


def with_head(folder: Path, method: str, dtype: torch.dtype = torch.float32, seed: int = 1) -> tuple[Loaded, Model]:
    """A fresh head, and weights that learn moved from where they begin."""
    loaded = load(resolve(str(folder)), dtype, use=USE, seed=seed)
    model = prepare(loaded, METHOD[method], seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in trained(model).values():
            weight.add_(torch.randn(weight.shape, generator=draw) * 0.05)
    return loaded, model


def saved(loaded: Loaded, model: Model, folder: Path) -> Path:
    save_result(model, loaded.tokenizer, folder, trained(model), loaded.source.folder, torch.float32)
    return folder


def asked_alone(model: Any, folder: Path) -> Tensor:
    """Log-probabilities from a padded batch, by the files alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt", truncation=True, max_length=64)
    batch.pop("token_type_ids", None)
    with torch.no_grad():
        return torch.log_softmax(model.eval()(**batch).logits, dim=-1)


def apart(mine: Any, theirs: Tensor) -> float:
    return float((torch.as_tensor(mine) - theirs).abs().max())


@pytest.mark.parametrize("family", [*tiny.ENCODERS, *DECODERS])
def test_transformers_alone_gives_the_same_answers_in_a_padded_batch(
    family: str, tiny_folders: TinyFolders, tmp_path: Path
) -> None:
    loaded, model = with_head(tiny_folders[family], "full")
    alone = AutoModelForSequenceClassification.from_pretrained(saved(loaded, model, tmp_path / "model"))
    wanted = asked_alone(alone, tmp_path / "model")
    assert apart(head_log_probabilities(Exact(model), rows(tiny_folders[family])), wanted) < 1e-5
    assert wanted.std() > 1e-3
    assert alone.config.id2label == {0: "ham", 1: "other", 2: "spam"}
    again = load(resolve(str(tmp_path / "model")), torch.float32)
    assert use_of(again.model) == own_use(again.source) == USE
    assert apart(head_log_probabilities(Exact(again.model), rows(tmp_path / "model")), wanted) < 1e-5


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "llama", "gpt2"])
def test_peft_alone_gives_the_same_answers(family: str, tiny_folders: TinyFolders, tmp_path: Path) -> None:
    loaded, model = with_head(tiny_folders[family], "lora")
    saved(loaded, model, tmp_path / "model")
    wanted = head_log_probabilities(Exact(model), rows(tiny_folders[family]))
    alone = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "model", num_labels=3)
    assert apart(wanted, asked_alone(alone, tmp_path / "model")) < 1e-5
    again = load(resolve(str(tmp_path / "model")), torch.float32)
    assert own_use(again.source) == USE
    assert apart(head_log_probabilities(Exact(again.model), rows(tmp_path / "model")), torch.tensor(wanted)) < 1e-5


@pytest.mark.parametrize("method", METHOD)
def test_padding_that_is_also_the_end_token_changes_nothing(method: str, tiny_llama: Path, tmp_path: Path) -> None:
    """As in SmolLM2, where a text read at its end token would be read one token too early."""
    base = tmp_path / "base"
    shutil.copytree(tiny_llama, base)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (base / name).exists():
            stated = json.loads((base / name).read_text())
            (base / name).write_text(json.dumps({**stated, "pad_token": "<|im_end|>"}))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "pad_token_id": 2}))
    loaded, model = with_head(base, method)
    saved(loaded, model, tmp_path / "model")
    opener = AutoPeftModelForSequenceClassification if method == "lora" else AutoModelForSequenceClassification
    alone = opener.from_pretrained(tmp_path / "model", num_labels=3)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").pad_token_id == 2
    assert apart(head_log_probabilities(Exact(model), rows(base)), asked_alone(alone, tmp_path / "model")) < 1e-5


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_loss_is_transformers_own(family: str, tiny_folders: TinyFolders, tmp_path: Path) -> None:
    loaded, model = with_head(tiny_folders[family], "full")
    alone = AutoModelForSequenceClassification.from_pretrained(saved(loaded, model, tmp_path / "model"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt", truncation=True, max_length=64)
    batch.pop("token_type_ids", None)
    labels = torch.tensor([row.targets[row.targets != IGNORE].item() for row in rows(tiny_folders[family])])
    mean = alone.train()(**batch, labels=labels).loss
    mean.backward()
    total = Exact(model).pass_over(rows(tiny_folders[family]))
    assert total == pytest.approx(len(TEXTS) * mean.item(), rel=1e-5)
    theirs = dict(alone.named_parameters())
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            wanted = theirs[name].grad * len(TEXTS)
            assert (weight.grad - wanted).abs().max() <= 1e-4 * wanted.abs().max() + 1e-6, name


@pytest.mark.parametrize("method", METHOD)
@pytest.mark.parametrize(
    "family", ["llama", "qwen3", "gemma3", "mistral", "glm4", "bert", "roberta", "xlm-roberta", "camembert"]
)
def test_the_fast_engine_learns_and_reads_as_the_exact_one(family: str, method: str, tiny_folders: TinyFolders) -> None:
    curves, read = [], []
    some = rows(tiny_folders[family])
    for kind in (Exact, Fast):
        _, model = with_head(tiny_folders[family], method)
        masters = Masters(trained(model), 0.0)
        engine = kind(model)
        steps = train(engine, some, masters, pace(5, 3, peak=1e-2), Place())
        curves.append([(step.loss, step.gradient_norm, step.targets) for step in steps])
        read.append(head_log_probabilities(engine, some))
    for exact, fast in zip(*curves, strict=True):
        assert fast == pytest.approx(exact, rel=1e-4)
    assert np.abs(read[0] - read[1]).max() < 1e-3  # of weights that have moved apart by rounding


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "bert", "roberta"])
def test_auto_takes_the_fast_engine_for_a_head(family: str, tiny_folders: TinyFolders, dtype: torch.dtype) -> None:
    for method in METHOD:
        _, model = with_head(tiny_folders[family], method, dtype)
        one_precision(model, dtype)
        engine, note = engine_for(model, "auto", rows(tiny_folders[family]))
        assert (engine.name, note) == ("fast", "")


def test_auto_takes_the_exact_engine_for_an_encoder_without_the_pattern(tiny_folders: TinyFolders) -> None:
    for family, block in (("distilbert", "TransformerBlock"), ("electra", "ElectraLayer")):
        engine, note = engine_for(with_head(tiny_folders[family], "lora")[1], "auto", rows(tiny_folders[family]))
        assert engine.name == "exact" and block in note


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert"])
def test_a_row_of_an_encoder_is_read_alike_in_any_company(family: str, tiny_folders: TinyFolders) -> None:
    _, model = with_head(tiny_folders[family], "full")
    engine, some = Exact(model), rows(tiny_folders[family])
    together = head_log_probabilities(engine, some)
    alone = np.concatenate([head_log_probabilities(engine, [row]) for row in some])
    assert np.abs(together - alone).max() < 1e-5
    whole = engine.pass_over(some)
    assert whole == pytest.approx(sum(engine.pass_over([row]) for row in some), rel=1e-5)


def test_whether_a_model_sees_both_sides_is_said_by_its_type(tiny_folders: TinyFolders) -> None:
    for family in tiny.ENCODERS:
        assert sees_both_sides(load(resolve(str(tiny_folders[family])), torch.float32, use=USE).model), family
    for family in DECODERS:
        for dtype in (torch.float32, torch.bfloat16):
            assert not sees_both_sides(load(resolve(str(tiny_folders[family])), dtype).model), family
    assert set(ENCODERS) == set(tiny.ENCODERS), "every encoder that is named is tested"


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_the_head_always_learns_and_nothing_else_that_the_method_does_not_name(
    family: str, tiny_folders: TinyFolders
) -> None:
    for method in METHOD:
        _, model = with_head(tiny_folders[family], method)
        names = trained(model)
        head = [weight for module in head_modules(model).values() for weight in module.parameters()]
        learning = {id(weight) for weight in names.values()}
        assert sum(id(weight) in learning for weight in head) >= len(head) / 2  # beside an adapter it stands twice
        assert any("score" in name or "classifier" in name for name in names)
        assert not any("embed" in name for name in names) or method == "full"
        if method == "lora":
            assert all("lora_" in name or ".modules_to_save." in name for name in names)
        assert head_width(model) == 3


def test_a_head_counts_once(tiny_llama: Path) -> None:
    plain_count = parameter_count(with_head(tiny_llama, "full")[1])
    assert parameter_count(with_head(tiny_llama, "lora")[1]) == plain_count


def test_a_new_head_is_drawn_from_its_seed_alone(tiny_folders: TinyFolders) -> None:
    def head(seed: int) -> dict[str, Tensor]:
        torch.rand(3)  # whatever else was drawn
        model = load(resolve(str(tiny_folders["bert"])), torch.float32, use=USE, seed=seed).model
        return {name: weight.detach() for name, weight in model.named_parameters() if name.startswith("classifier")}

    state = torch.get_rng_state()
    first = head(1)
    torch.set_rng_state(state)
    assert all(torch.equal(weight, head(1)[name]) for name, weight in first.items())
    assert not torch.equal(first["classifier.weight"], head(2)["classifier.weight"])
    assert first["classifier.weight"].std() == pytest.approx(0.02, rel=0.3)
    assert (first["classifier.bias"] == 0).all()


@pytest.mark.parametrize("opener", [AutoModelForMaskedLM, AutoModelForCausalLM])
def test_the_head_of_another_purpose_is_left_behind(opener: Any, tiny_folders: TinyFolders, tmp_path: Path) -> None:
    """A base that was saved with its own head: only that is exchanged, and the pooler that it lacks is drawn."""
    family = "bert" if opener is AutoModelForMaskedLM else "mistral"  # whose head is a matrix of its own
    base = opener.from_pretrained(tiny_folders[family])
    shutil.copytree(tiny_folders[family], tmp_path / "base")
    base.save_pretrained(tmp_path / "base")
    model = load(resolve(str(tmp_path / "base")), torch.float32, use=USE).model
    theirs = dict(base.base_model.named_parameters())
    for name, weight in model.base_model.named_parameters():
        assert "pooler" in name or torch.equal(weight, theirs[name]), name


@pytest.mark.parametrize(("family", "lost"), [("bert", "encoder.layer.1.attention.self.key.weight"), ("llama", "")])
def test_a_base_that_lacks_more_than_a_head_is_refused(
    family: str, lost: str, tiny_folders: TinyFolders, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_folders[family], base)
    tensors = load_file(base / "model.safetensors")
    lost = lost or "model.layers.1.self_attn.k_proj.weight"
    other = lost.replace(".1.", ".0.")
    for changed in ({lost: None}, {lost.replace("key", "kex").replace("k_proj", "kex"): tensors[other].clone()}):
        kept = {name: tensor for name, tensor in {**tensors, **changed}.items() if tensor is not None}
        save_file(kept, base / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match="tensors"):
            load(resolve(str(base)), torch.float32, use=USE)


def test_a_saved_head_that_is_damaged_is_refused_not_drawn_anew(tiny_llama: Path, tmp_path: Path) -> None:
    folder = saved(*with_head(tiny_llama, "full"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["score.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"missing: score\.weight"):
        load(resolve(str(folder)), torch.float32)


def test_a_model_with_a_category_head_writes_no_text(tiny_folders: TinyFolders, tmp_path: Path) -> None:
    folder = saved(*with_head(tiny_folders["llama"], "full"), tmp_path / "model")
    for place in (folder, tiny_folders["bert"]):
        with pytest.raises(ModelError, match="writes no text"):
            load(resolve(str(place)), torch.float32, use=Use())


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_an_adapter_goes_on_learning_under_a_head_for_other_categories(
    family: str, tiny_folders: TinyFolders, tmp_path: Path
) -> None:
    loaded, model = with_head(tiny_folders[family], "lora")
    saved(loaded, model, tmp_path / "model")
    other = load(resolve(str(tmp_path / "model")), torch.float32, True, Use("category", ("a", "b")), seed=5)
    before, after = dict(model.named_parameters()), dict(other.model.named_parameters())
    assert head_width(other.model) == 2
    for name, weight in before.items():
        if "lora_" in name:
            assert torch.equal(after[name], weight) and after[name].requires_grad
    again = prepare(other, Lora(), 1)
    assert use_of(again).categories == ("a", "b")


def test_words_learned_by_an_adapter_stay_under_a_new_head(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = load(resolve(str(tiny_llama)), torch.float32)
    model = prepare(loaded, Lora(4, 8.0), seed=3)
    with torch.no_grad():
        for weight in trained(model).values():
            weight.add_(0.02)
    saved(loaded, model, tmp_path / "model")
    tokens = torch.arange(3, 20)[None]
    wanted = model.get_base_model().base_model(tokens).last_hidden_state
    headed = load(resolve(str(tmp_path / "model")), torch.float32, True, USE).model
    assert torch.allclose(headed.get_base_model().base_model(tokens).last_hidden_state, wanted, atol=1e-6)  # type: ignore[operator]


# --- several categories at once ---


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_loss_of_several_categories_is_transformers_own(
    family: str, tiny_folders: TinyFolders, tmp_path: Path
) -> None:
    several = Use("category", TASK.categories, several=True)
    loaded = load(resolve(str(tiny_folders[family])), torch.float32, use=several, seed=1)
    model = prepare(loaded, METHOD["full"])
    alone = AutoModelForSequenceClassification.from_pretrained(saved(loaded, model, tmp_path / "model"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt", truncation=True, max_length=64)
    batch.pop("token_type_ids", None)
    sets = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]])
    some = [
        Row(row.example, row.tokens, np.where(row.targets == IGNORE, IGNORE, int(bits)).astype(np.int32))
        for row, bits in zip(rows(tiny_folders[family]), sets @ torch.tensor([1, 2, 4]), strict=True)
    ]
    output = alone.train()(**batch, labels=sets.float())
    output.loss.backward()
    assert Exact(model).pass_over(some) == pytest.approx(sets.numel() * output.loss.item(), rel=1e-5)
    theirs = dict(alone.named_parameters())
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            wanted = theirs[name].grad * sets.numel()
            assert (weight.grad - wanted).abs().max() <= 1e-4 * wanted.abs().max() + 1e-6, name
    logits = output.logits.detach()
    assert apart(head_log_probabilities(Exact(model), some), torch.nn.functional.logsigmoid(logits)) < 1e-5
    of_targets = np.concatenate([logs for _, logs in sorted(Exact(model).read(some, "targets"))])
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, sets.float(), reduction="none")
    assert apart(of_targets, -each.sum(1)) < 1e-5
    assert own_use(resolve(str(tmp_path / "model"))) == several


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fast_engine_knows_several_categories(tiny_llama: Path, dtype: torch.dtype) -> None:
    several = Use("category", TASK.categories, several=True)
    model = prepare(load(resolve(str(tiny_llama)), dtype, use=several), METHOD["full"])
    one_precision(model, dtype)
    some = [
        Row(row.example, row.tokens, np.where(row.targets == IGNORE, IGNORE, number + 2).astype(np.int32))
        for number, row in enumerate(rows(tiny_llama))
    ]
    engine, note = engine_for(model, "auto", some)
    assert (engine.name, note) == ("fast", "")
    assert isinstance(engine, Fast)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert engine.pass_over(some) == pytest.approx(Exact(model).pass_over(some), rel=tolerance)
    read = head_log_probabilities(engine, some)
    assert np.abs(read - head_log_probabilities(Exact(model), some)).max() < 10 * tolerance


# --- rows ---


def test_a_text_is_tokenized_as_transformers_does_and_cut_as_it_cuts(tiny_folders: TinyFolders) -> None:
    for family in ("bert", "llama"):
        tokenizer = AutoTokenizer.from_pretrained(tiny_folders[family])
        for limit in (64, 9):
            for row, text in zip(rows(tiny_folders[family], limit), TEXTS, strict=True):
                assert row.tokens.tolist() == tokenizer(text, truncation=True, max_length=limit)["input_ids"]
                place = 0 if family == "bert" else len(row.tokens) - 1
                assert np.flatnonzero(row.targets != IGNORE).tolist() == [place]


def test_a_text_that_is_cut_says_so(tiny_folders: TinyFolders) -> None:
    form = Form(open_codec(tiny_folders["bert"]), 9, answered="first")
    found = rows_of(examples(), TASK, form)
    assert [bool(one.shortened) for one in found if isinstance(one, Encoded)] == [
        len(open_codec(tiny_folders["bert"]).encode_texts([text], 999)[0].tokens) > 9 for text in TEXTS
    ]
    assert "the first 9 of" in found[2].shortened  # type: ignore[union-attr]


def test_a_control_token_in_a_text_stays_text(tiny_folders: TinyFolders) -> None:
    codec = open_codec(tiny_folders["bert"])
    (found,) = codec.encode_texts(["a <sep> b <|endoftext|>"], 99)
    special = [number for number in found.tokens.tolist() if number in codec.control.names]
    assert special == [found.tokens[0], found.tokens[-1]]
    assert found.control_tokens == 2
