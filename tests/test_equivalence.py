"""The engine against its references: transformers' own loss, one row at a time, all logits, every word by brute force.

Each fast path here has a slow one that must give the same. Tolerances: float32 sums in another order differ by about
1e-6 of the largest value; bfloat16 keeps 8 bits, so 2^-8 of it is the least that can be expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import tiny
from conftest import TinyFolders
from tiny_training import EVERY_METHOD, METHOD, gradients, learner, pace, random_rows
from weitiao.codec import open_codec
from weitiao.codec.prompt import conversation
from weitiao.data.ledger import Dropped
from weitiao.evaluation import score
from weitiao.evaluation.ask import ask
from weitiao.evaluation.score import category_log_probabilities, probabilities, row_losses
from weitiao.example import Category, Example, Message, Task, make_example
from weitiao.methods import Lora, merge, save_result
from weitiao.models.anatomy import Model, plain
from weitiao.models.load import load
from weitiao.models.precision import one_precision
from weitiao.models.source import resolve
from weitiao.objectives.causal import encode
from weitiao.objectives.row import IGNORE, Row
from weitiao.training import exact
from weitiao.training.batches import Batch, packed, padded
from weitiao.training.exact import Exact
from weitiao.training.loop import train
from weitiao.training.loss import asked_hidden, learn, logits_of
from weitiao.training.optimizer import Masters
from weitiao.training.pace import Place
from weitiao.training.prefix import shared_length

LOSS_TOLERANCE = 1e-6  # of the loss
GRADIENT_TOLERANCE = 1e-5  # of the largest gradient of the same weight
Gradients = dict[str, NDArray[np.float32]]
LAYOUTS = {"packed": packed, "padded": padded}

families = pytest.mark.parametrize("family", tiny.FAMILIES)
methods = pytest.mark.parametrize("method", METHOD)
each_family_and_each_method = pytest.mark.parametrize(
    ("family", "method"), [*((family, "lora") for family in tiny.FAMILIES), ("llama", "full"), ("gpt2", "top_layers")]
)
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def rows_over_the_window() -> list[Row]:
    """Longer, too, than the 64 tokens that the tiny Gemma's sliding window sees."""
    rows = random_rows(6, longest=90)
    assert max(len(row.tokens) for row in rows) > 64
    return rows


def ours(model: Model, masters: Masters, batches: Sequence[Batch]) -> tuple[float, int, Gradients]:
    """The loss over all batches, its targets, and the gradients that the masters collect."""
    total, count = 0.0, 0
    for batch in batches:
        loss, targets = learn(model, batch)
        masters.collect()
        total, count = total + loss, count + targets
    found = gradients(masters)
    masters.step(0.0, 1, 0.0)
    return total, count, found


def of_transformers(model: Model, rows: Sequence[Row]) -> tuple[float, Gradients]:
    """The summed loss by ``model(input_ids, labels)``, one row at a time, and its gradients."""
    total = 0.0
    for row in rows:
        tokens = torch.tensor([[*row.tokens.tolist(), 3]])
        labels = torch.tensor([[IGNORE, *row.targets.tolist()]])
        loss = model(input_ids=tokens, labels=labels).loss * row.asked  # it divides by the labels that are not IGNORE
        torch.autograd.backward(loss)
        total += loss.item()
    found = {
        name: weight.grad.float().numpy().copy() for name, weight in model.named_parameters() if weight.grad is not None
    }
    for weight in model.parameters():
        weight.grad = None
    return total, found


def assert_same_gradients(
    found: dict[str, NDArray[np.float32]], wanted: dict[str, NDArray[np.float32]], share: float
) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert np.abs(found[name] - gradient).max() <= share * np.abs(gradient).max(), name
        assert np.abs(gradient).max() > 0, name


@families
@methods
def test_loss_and_gradients_are_transformers_own(tiny_folders: TinyFolders, family: str, method: str) -> None:
    model, masters = learner(tiny_folders[family], METHOD[method])
    rows = rows_over_the_window()
    wanted, wanted_gradients = of_transformers(model, rows)
    for batches in ([padded([row]) for row in rows], [padded(rows)], [packed(rows)]):
        total, count, found = ours(model, masters, batches)
        assert count == sum(row.asked for row in rows)
        assert total == pytest.approx(wanted, rel=LOSS_TOLERANCE)
        assert_same_gradients(found, wanted_gradients, GRADIENT_TOLERANCE)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize("method", [name for name in EVERY_METHOD if name not in METHOD])
def test_every_other_method_learns_as_with_transformers(tiny_folders: TinyFolders, family: str, method: str) -> None:
    model, masters = learner(tiny_folders[family], EVERY_METHOD[method])
    if method == "adalora":  # PEFT adds it to the loss; here it is the budget's
        model.peft_config["default"].orth_reg_weight = 0.0  # type: ignore[union-attr]
    rows = rows_over_the_window()
    wanted, wanted_gradients = of_transformers(model, rows)
    total, count = Exact(model).learn(rows, masters, pace(1), 0)
    assert count == sum(row.asked for row in rows)
    assert total == pytest.approx(wanted, rel=LOSS_TOLERANCE)
    assert_same_gradients(gradients(masters), wanted_gradients, 10 * GRADIENT_TOLERANCE)


@families
@layouts
def test_no_row_sees_another(tiny_folders: TinyFolders, family: str, layout: str) -> None:
    """Every token of one row is changed; the logits of the rows before and after it must not move."""
    model, _ = learner(tiny_folders[family], METHOD["lora"])
    model.eval()
    rows = [Row("", row.tokens, np.where(row.targets < 0, 7, row.targets)) for row in rows_over_the_window()]
    changed = Row("", (rows[2].tokens + 11) % tiny.VOCABULARY, rows[2].targets)
    with torch.inference_mode():
        before, after = (
            logits_of(model, asked_hidden(model, LAYOUTS[layout](each))[0]).split([len(row.tokens) for row in rows])
            for each in (rows, [*rows[:2], changed, *rows[3:]])
        )
    for number in range(len(rows)):
        difference = (before[number] - after[number]).abs().max().item()
        assert difference < 1e-5 if number != 2 else difference > 0.1, number


@families
def test_logits_at_the_asked_positions_are_those_of_all_positions(tiny_folders: TinyFolders, family: str) -> None:
    model, _ = learner(tiny_folders[family], METHOD["full"])
    for layout in LAYOUTS.values():
        batch = layout(rows_over_the_window())
        with torch.inference_mode():
            hidden, targets = asked_hidden(model, batch)
            some = logits_of(model, hidden)
            tokens, positions = torch.from_numpy(batch.tokens), torch.from_numpy(batch.positions)
            # A cache, which is the default, would let packed rows see each other.
            all_of_them = model(input_ids=tokens, position_ids=positions, use_cache=False).logits
        wanted = all_of_them[torch.from_numpy(batch.targets) != IGNORE]
        assert (some - wanted).abs().max() < 1e-5
        assert targets.tolist() == batch.targets[batch.targets != IGNORE].tolist()


@each_family_and_each_method
def test_bf16_is_close_to_fp32(tiny_folders: TinyFolders, family: str, method: str) -> None:
    """Half a percent of the loss, and gradients that point the same way, also after some steps."""
    rows = rows_over_the_window()
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        model, masters = learner(tiny_folders[family], METHOD[method], dtype)
        total, _, gradient = ours(model, masters, [packed(rows)])
        losses = [step.loss for step in train(Exact(model), rows, masters, pace(6), Place())]
        found[dtype] = total, np.concatenate([each.ravel() for each in gradient.values()]), losses[-1]
    (loss, gradient, last), (rough_loss, rough_gradient, rough_last) = found.values()
    cosine = gradient @ rough_gradient / np.linalg.norm(gradient) / np.linalg.norm(rough_gradient)
    assert rough_loss == pytest.approx(loss, rel=5e-3)
    assert cosine > 0.995
    assert rough_last == pytest.approx(last, rel=2e-2)


# --- scoring ---


CATEGORIES = {
    "words": ("ham", "spam"),
    "of many tokens": ("quite a normal message", "urgent advertising"),
    "one begins another": ("not", "not spam", "spam"),
    "Chinese": ("垃圾短信", "正常短信"),
    "Chinese, one begins another": ("垃圾", "垃圾短信", "正常"),
    "both": ("spam 垃圾", "spam", "正常 ham"),
    "one token that begins none": ("a", "b", "c"),
}
QUESTION = "Is the following message spam or ham? Answer with one word. 下面的消息是垃圾短信还是正常短信？ " * 2


def examples() -> list[Example]:
    texts = ("你好", *tiny.SPAM[:4], *tiny.HAM[:4])
    return [make_example((Message("document", text),), Category("ham"), f"x:{n}") for n, text in enumerate(texts)]


@cache
def _tokenizer(folder: Path):  # type: ignore[no-untyped-def]
    return AutoTokenizer.from_pretrained(folder)


def brute_force(model: Model, folder: Path, task: Task) -> NDArray[np.float64]:
    """Each category's words put behind each prompt by transformers' own template, and read off all logits."""
    tokenizer = _tokenizer(folder)
    words = [tokenizer(name, add_special_tokens=False)["input_ids"] for name in task.categories]
    begins = any(one != other and other[: len(one)] == one for one in words for other in words)
    scores = np.zeros((len(examples()), len(words)))
    for row, example in enumerate(examples()):
        turns = [{"role": "user", "content": conversation(example, task)[0].content}]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        for column, word in enumerate(words):
            answer = [*word, tokenizer.eos_token_id] if begins else word
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].double()
            logs = torch.log_softmax(logits, -1)
            places = range(len(prompt) - 1, len(prompt) - 1 + len(answer))
            scores[row, column] = sum(logs[place, token].item() for place, token in zip(places, answer, strict=True))
    return scores


@pytest.mark.parametrize("categories", CATEGORIES.values(), ids=CATEGORIES.keys())
def test_scores_are_those_of_every_word_by_brute_force(tiny_llama: Path, categories: tuple[str, ...]) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"])
    task = Task("classify", "Which?", categories)
    found = category_log_probabilities(Exact(model), examples(), task, open_codec(tiny_llama), tiny.CONTEXT)
    assert np.abs(found - brute_force(model, tiny_llama, task)).max() < 1e-4


@families
def test_scores_are_exact_for_every_family_behind_a_shared_prefix(tiny_folders: TinyFolders, family: str) -> None:
    """The prefix is longer than the tiny Gemma's window, the batch is cut into several, and answers branch."""
    model, _ = learner(tiny_folders[family], METHOD["lora"])
    task, codec = Task("classify", QUESTION, CATEGORIES["both"]), open_codec(tiny_folders[family])
    wanted = brute_force(model, tiny_folders[family], task)
    found = []
    for share in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "SHARE_PREFIX", share)
            patch.setattr(exact, "CAPACITY", 300)
            found.append(category_log_probabilities(Exact(model), examples(), task, codec, tiny.CONTEXT))
    prompts = [Row("", tokens, np.full(len(tokens), IGNORE)) for tokens in _prompts(codec, task)]
    assert shared_length(prompts) > 64
    for each in found:
        assert np.abs(each - wanted).max() < 1e-4


def _prompts(codec, task: Task) -> list[NDArray[np.int32]]:  # type: ignore[no-untyped-def]
    return list(codec.encode_prompts([conversation(example, task) for example in examples()]))


@families
def test_losses_behind_a_shared_prefix_are_those_without(tiny_folders: TinyFolders, family: str) -> None:
    model, _ = learner(tiny_folders[family], METHOD["full"])
    prefix = np.arange(100, dtype=np.int32)
    rows = [
        Row("", np.concatenate([prefix, row.tokens]), np.concatenate([prefix * 0 + IGNORE, row.targets]))
        for row in random_rows(7)
    ]
    rows.append(Row("", rows[0].tokens[:101], np.append(prefix * 0 + IGNORE, np.int32(5))))
    shared = row_losses(Exact(model), rows, tiny.CONTEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "SHARE_PREFIX", False)
        alone = row_losses(Exact(model), rows, tiny.CONTEXT)
    wanted = [of_transformers(model, [row])[0] for row in rows]
    assert np.abs(shared - wanted).max() < 1e-3 and np.abs(alone - wanted).max() < 1e-3
    assert shared == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("template", [None, "plain", "chatml"])
@pytest.mark.parametrize("names", ["words", "one begins another", "Chinese, one begins another"])
def test_what_is_scored_is_what_is_learned(tiny_llama: Path, template: str | None, names: str) -> None:
    """The loss of a training row over its category's words is minus that category's score, under every template."""
    model, _ = learner(tiny_llama, METHOD["lora"])
    codec, task = open_codec(tiny_llama, template), Task("classify", QUESTION, CATEGORIES[names])
    found = category_log_probabilities(Exact(model), examples(), task, codec, tiny.CONTEXT)
    words = [len(tokens) for tokens in score.answer_tokens(codec, task)]
    for column, name in enumerate(task.categories):
        labelled = [make_example(example.messages, Category(name), example.source) for example in examples()]
        for row, encoded in enumerate(encode(labelled, task, codec, tiny.CONTEXT)):
            assert not isinstance(encoded, Dropped)
            learned = encoded.row.targets.copy()
            learned[np.flatnonzero(learned != IGNORE)[words[column] :]] = (
                IGNORE  # the end token, where it is not scored
            )
            loss = row_losses(Exact(model), [Row("", encoded.row.tokens, learned)], tiny.CONTEXT)[0]
            assert -loss == pytest.approx(found[row, column], abs=2e-4), (name, row)


def test_probabilities_sum_to_one_however_unlikely_all_words_are() -> None:
    shares = probabilities(np.array([[-5000.0, -5001.0], [0.0, -np.inf], [-3.0, -3.0]]))
    assert np.allclose(shares, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], [1, 0], [0.5, 0.5]])


def test_a_prompt_over_the_context_is_cut_at_its_end_and_still_answered(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"])
    task, codec = Task("classify", "Which?", ("ham", "spam")), open_codec(tiny_llama)
    long = make_example((Message("document", "free prize, call now! 恭喜 " * 80),), None, "x:1")
    prompts = score.prompts_within([long, *examples()], task, codec, 60)
    whole = _prompts(codec, task)
    assert 40 <= len(prompts[0]) <= 60
    assert prompts[0][-3:].tolist() == whole[0][-3:].tolist()  # where the reply begins
    assert all(np.array_equal(one, other) for one, other in zip(prompts[1:], whole, strict=True) if len(other) <= 60)
    assert np.isfinite(category_log_probabilities(Exact(model), [long], task, codec, 60)).all()


def test_answers_do_not_depend_on_what_else_is_asked(tiny_llama: Path) -> None:
    model, _ = learner(tiny_llama, METHOD["lora"])
    task, codec = Task("classify", QUESTION, ("ham", "spam")), open_codec(tiny_llama)
    items = [(example, Row("", np.zeros(1, np.int32), np.zeros(1, np.int32))) for example in examples()]
    together = ask(Exact(model), items, task, codec, tiny.CONTEXT).probabilities
    alone = [ask(Exact(model), [item], task, codec, tiny.CONTEXT).probabilities for item in items]
    assert together is not None
    assert np.abs(together - np.concatenate([each for each in alone if each is not None])).max() < 1e-5


# --- what is saved ---


def all_logits(model: Model | PreTrainedModel) -> Tensor:
    tokens = torch.from_numpy(np.stack([row.tokens[:4] for row in random_rows(5)])).long()
    model.eval()
    with torch.inference_mode():
        return model(input_ids=tokens).logits.float()  # type: ignore[no-any-return]


@each_family_and_each_method
def test_what_is_saved_and_loaded_again_says_the_same(
    tiny_folders: TinyFolders, tmp_path: Path, family: str, method: str
) -> None:
    """Opened by us, and by transformers and PEFT alone."""
    base = tiny_folders[family]
    loaded = load(resolve(str(base)), torch.float32)
    model, masters = learner(base, METHOD[method])
    list(train(Exact(model), random_rows(8), masters, pace(2), Place()))
    save_result(model, loaded.tokenizer, tmp_path / "out", masters.weights, base, torch.float32)
    wanted = all_logits(model)
    assert (wanted - all_logits(loaded.model)).abs().max() > 1e-3
    assert torch.equal(all_logits(load(resolve(str(tmp_path / "out")), torch.float32).model), wanted)
    if method == "lora":
        alone = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        alone = PeftModel.from_pretrained(alone, str(tmp_path / "out"))
    else:
        alone = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert (all_logits(alone) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_is_saved_in_bf16_says_the_same_wherever_it_is_opened(
    tiny_llama: Path, tmp_path: Path, method: str
) -> None:
    """Served = trained: the adapter is kept in float32, and calculates in the base's type, as it was trained."""
    loaded = load(resolve(str(tiny_llama)), torch.bfloat16)
    model, masters = learner(tiny_llama, METHOD[method], torch.bfloat16)
    list(train(Exact(model), random_rows(8), masters, pace(2), Place()))
    save_result(model, loaded.tokenizer, tmp_path / "out", masters.weights, tiny_llama, torch.bfloat16)
    again = load(resolve(str(tmp_path / "out")), torch.bfloat16).model
    assert torch.equal(all_logits(one_precision(again, torch.bfloat16)), all_logits(model))  # type: ignore[arg-type]


@families
def test_merged_is_unmerged(tiny_folders: TinyFolders, family: str) -> None:
    model, _ = learner(tiny_folders[family], Lora(4, 8.0))
    assert isinstance(model, PeftModel)
    wanted = all_logits(model)
    with model.disable_adapter():
        assert (all_logits(model) - wanted).abs().max() > 1e-2
    merged = merge(model)
    assert not isinstance(merged, PeftModel) and plain(merged) is merged
    assert (all_logits(merged) - wanted).abs().max() < 1e-4


@methods
def test_training_never_writes_into_the_base_models_files(
    tiny_folders: TinyFolders, tmp_path: Path, method: str
) -> None:
    """Weights in the file's own type are mapped from it, and learned in place."""
    folder = tiny.tiny_model("llama", tmp_path / "model")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    model, masters = learner(folder, METHOD[method])
    list(train(Exact(model), random_rows(8), masters, pace(3), Place()))
    masters.load_weights({name: weight * 0 for name, weight in masters.weights.items()})
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
