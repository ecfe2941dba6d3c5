import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from conftest import TinyFolders
from tiny_training import METHOD, learner, pace, random_rows
from weitiao.methods import Lora
from weitiao.models.anatomy import embeddings
from weitiao.objectives.row import IGNORE, Row
from weitiao.training import exact
from weitiao.training.exact import Exact
from weitiao.training.loop import train
from weitiao.training.pace import Place
from weitiao.training.prefix import may_share, shared_length, without_prefix


def with_prefix(rows: list[Row], length: int) -> list[Row]:
    prefix = np.arange(3, 3 + length, dtype=np.int32)
    return [Row("", np.append(prefix, row.tokens), np.append(prefix * 0 + IGNORE, row.targets)) for row in rows]


def row(tokens: list[int], asked_from: int) -> Row:
    targets = np.array(tokens, dtype=np.int32)
    targets[:asked_from] = IGNORE
    return Row("", np.array(tokens, dtype=np.int32), targets)


def test_a_prefix_is_what_all_rows_begin_with_before_any_is_asked() -> None:
    same = list(range(20))
    assert shared_length([row([*same, n, n], 20) for n in range(30, 34)]) == 20
    assert shared_length([row([*same, n, n], 21) for n in range(30, 34)]) == 20  # there they differ
    assert shared_length([*(row([*same, n], 20) for n in range(30, 34)), row(same, 12)]) == 12  # there one is asked
    assert shared_length([row(same, 18)] * 4) == 18
    assert shared_length([row(same, 20)] * 4) == 19  # asked nothing: a row keeps a token


def test_what_would_not_pay_is_not_shared() -> None:
    same = list(range(20))
    assert shared_length([row([*same, n], 20) for n in (30, 31)]) == 0  # two rows
    assert shared_length([row([*same[:7], n, n], 8) for n in range(30, 40)]) == 0  # seven tokens
    assert shared_length(random_rows(10)) == 0
    assert shared_length([]) == 0


def test_the_rest_of_a_row_asks_the_same() -> None:
    whole = row(list(range(20)), 12)
    rest = without_prefix(whole, 10)
    assert rest.tokens.tolist() == list(range(10, 20))
    assert rest.asked == whole.asked


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("method", METHOD)
def test_loss_and_gradient_are_those_of_whole_rows(tiny_folders: TinyFolders, family: str, method: str) -> None:
    """Behind a prefix longer than the tiny Gemma's window, cut into several micro-batches."""
    rows = with_prefix(random_rows(8), 100)
    found = []
    for share in (True, False):
        model, masters = learner(tiny_folders[family], METHOD[method])
        once = pace(1, 8, share_prefix=share, max_grad_norm=0.0, capacity=300)
        step = next(train(Exact(model), rows, masters, once, Place()))
        first = {name: moment for name, moment in masters.moments().items() if name.startswith("first/")}
        found.append((step, first))
    (step, shared), (whole_step, whole) = found
    assert step.loss == pytest.approx(whole_step.loss, rel=1e-6)
    assert (step.tokens, step.targets) == (whole_step.tokens, whole_step.targets)
    assert shared.keys() == whole.keys()
    for name, moment in whole.items():  # AdamW's first moment after one step is a tenth of the gradient
        assert (shared[name] - moment).abs().max() <= 1e-5 * moment.abs().max(), name
        assert moment.abs().max() > 0, name


def test_the_prefix_is_computed_once_a_step(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, masters = learner(tiny_llama, METHOD["lora"])
    lengths: list[int] = []
    engine = Exact(model)
    embeddings(model).register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    list(train(engine, with_prefix(random_rows(8), 100), masters, pace(2, 8, capacity=60), Place()))
    assert lengths.count(100) == 2 and len(lengths) > 6
    assert max(length for length in lengths if length != 100) <= 40
    lengths.clear()
    monkeypatch.setattr(exact, "shared_length", lambda rows: 0)
    list(train(engine, with_prefix(random_rows(8), 100), masters, pace(1, 8), Place()))
    assert min(lengths) > 100


def test_a_model_that_drops_at_random_never_shares(
    tiny_folders: TinyFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mask for all rows would be another training, and it would be drawn from nobody's seed."""
    monkeypatch.setattr("weitiao.models.load.without_dropout", lambda config: None)
    assert may_share(learner(tiny_folders["gpt2"], METHOD["lora"])[0])
    assert may_share(learner(tiny_folders["llama"], METHOD["full"])[0])
    assert not may_share(learner(tiny_folders["llama"], Lora(4, 8.0, dropout=0.1))[0])
    folder = tiny.tiny_model("gpt2", tmp_path / "gpt2")
    config = json.loads((folder / "config.json").read_text())
    for names in (("attn_pdrop",), ("resid_pdrop", "embd_pdrop")):
        stated = config | dict.fromkeys(names, 0.1)  # GPT-2's own, as it was published
        (folder / "config.json").write_text(json.dumps(stated))
        losses = []
        for state in (1, 2):
            model, masters = learner(folder, METHOD["lora"])
            torch.manual_seed(state)
            losses.append(
                [
                    step.loss
                    for step in train(Exact(model), with_prefix(random_rows(8), 100), masters, pace(3, 8), Place())
                ]
            )
        assert losses[0] == losses[1]
        assert not may_share(model)
