"""From raw text to a model that transformers opens: a fresh model, its tokenizer, long and joined texts, resuming."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from faults import in_child
from tiny_training import result_bytes, step_losses
from weitiao.api.check import check
from weitiao.api.evaluate import evaluate
from weitiao.api.plan import plan
from weitiao.api.tokenizer import make_tokenizer
from weitiao.api.train import resume, train
from weitiao.codec import open_codec
from weitiao.codec.tokenizer import BOS, CONTROL_TOKENS, EOS
from weitiao.data.ledger import Ledger
from weitiao.errors import ModelError, SettingsError
from weitiao.objectives.form import Form
from weitiao.run import Run
from weitiao.settings import Settings, make_settings
from weitiao.training import loop

LONG = " ".join(tiny.SENTENCES) * 3


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty short texts and two long ones."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    short = [f"{number}. {tiny.SENTENCES[number % 20]}{tiny.SENTENCES[(7 * number) % 20]}" for number in range(60)]
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in [*short, LONG, f"第二 {LONG}"]]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def given(texts: Path, folder: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "model": "preset:1", "data": texts, "output_dir": folder, "precision": "fp32", "threads": 1, "max_steps": 6,
        "batch_size": 8, "cutoff_len": 64, "eval_steps": 3, "early_stopping_patience": 9,
    }  # fmt: skip
    return make_settings(values | changes)


@pytest.fixture(scope="module")
def run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(given(texts, tmp_path_factory.mktemp("runs") / "run"))


def report_of(run: Run) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(run.report.read_text(encoding="utf-8"))
    return report


def test_a_fresh_model_learns_and_says_by_how_much(run: Run) -> None:
    report = report_of(run)
    before, after = report["before"]["scores"], report["after"]["scores"]
    vocabulary = json.loads((run.model / "config.json").read_text())["vocab_size"]
    assert before["loss"]["value"] == pytest.approx(math.log(vocabulary), abs=0.3)
    assert report["difference"]["bits_per_byte"]["high"] < 0
    assert after["perplexity"]["low"] < after["perplexity"]["value"] < after["perplexity"]["high"]
    assert after["perplexity"]["count"] == after["bits_per_byte"]["count"] > 5
    assert report["data"]["ledger"] == {"read": 62, "used": 62, "truncated": 0, "dropped": 0}
    assert any("fast" in line for line in run.events.read_text().splitlines() if '"plan"' in line)


def test_transformers_alone_opens_the_result_and_agrees(run: Run, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = [f"{sentence} 再见" for sentence in tiny.SENTENCES]
    (tmp_path / "new.txt").write_text("\n".join(texts), encoding="utf-8")
    found = evaluate(make_settings({"model": run.folder, "data": tmp_path / "new.txt", "documents": "lines"}))
    model = AutoModelForCausalLM.from_pretrained(run.model)
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    nats = tokens = 0.0
    for text in texts:
        ids = torch.tensor([[*tokenizer(text)["input_ids"], tokenizer.eos_token_id]])
        with torch.no_grad():
            nats += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert found.scores["loss"].value == pytest.approx(nats / tokens, rel=1e-4)
    size = sum(len(text.encode()) for text in texts)
    assert found.scores["bits_per_byte"].value == pytest.approx(nats / math.log(2) / size, rel=1e-4)


def test_the_loss_of_a_long_text_is_that_of_its_parts(run: Run) -> None:
    from transformers import AutoModelForCausalLM

    from weitiao.evaluation.score import row_losses
    from weitiao.example import Message, Task, make_example
    from weitiao.objectives.causal import Encoded, encode
    from weitiao.objectives.row import parts
    from weitiao.training.exact import Exact

    model = AutoModelForCausalLM.from_pretrained(run.model, attn_implementation="eager")
    example = make_example((Message("document", LONG),), None, "a:1")
    (encoded,) = encode([example], Task("continue"), open_codec(run.model), 64)
    assert isinstance(encoded, Encoded)
    by_hand = 0.0
    for part in parts(encoded.row, 64):
        with torch.no_grad():
            logits = model(torch.from_numpy(part.tokens.astype(np.int64))[None]).logits[0]
        targets = torch.from_numpy(part.targets.astype(np.int64))
        by_hand += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
    found = row_losses(Exact(model), [encoded.row], 64)[0]
    assert len(encoded.row.tokens) > 64
    assert found == pytest.approx(by_hand, rel=1e-5)


def test_killed_and_gone_on_with_it_ends_in_the_same_bits(run: Run, texts: Path, tmp_path: Path) -> None:
    def killed() -> None:
        real = loop._one_step

        def dying(*arguments: Any) -> Any:
            if arguments[-1].step == 4:
                os._exit(9)
            return real(*arguments)

        loop._one_step = dying  # type: ignore[assignment]
        train(given(texts, tmp_path / "run"))

    assert in_child(killed) == 9
    again = resume(tmp_path / "run")
    assert result_bytes(again) == result_bytes(run)
    assert step_losses(again) == step_losses(run)


def test_joined_texts_fill_their_rows(texts: Path, tmp_path: Path) -> None:
    told: dict[str, dict[str, Any]] = {}
    plan(given(texts, tmp_path / "a"), lambda kind, facts: told.setdefault(kind, facts) and None)
    apart = told["rows"]
    told.clear()
    plan(given(texts, tmp_path / "b", join_documents=True), lambda kind, facts: told.setdefault(kind, facts) and None)
    joined = told["rows"]
    assert apart["train"] == joined["train"] < apart["rows"]
    assert apart["filled"] < 0.9 < joined["filled"] <= 1
    assert joined["tokens"] == apart["tokens"] + apart["train"]  # where each text ends is read too
    assert joined["rows"] == -(-joined["tokens"] // 64)


def test_a_tokenizer_made_before_is_taken(texts: Path, tmp_path: Path) -> None:
    made = make_tokenizer(make_settings({"data": texts}), tmp_path / "own", "unigram", 400, lambda kind, facts: None)
    assert made.vocabulary <= 400
    assert made.ledger == {"read": 62, "used": 62, "truncated": 0, "dropped": 0}
    assert set(made.characters_per_token) <= {"han", "latin", "other"}
    for score in made.characters_per_token.values():
        assert score.low <= score.value <= score.high
    run = train(given(texts, tmp_path / "run", tokenizer=tmp_path / "own", max_steps=1))
    own = json.loads((tmp_path / "own" / "tokenizer.json").read_text())["model"]
    assert json.loads((run.model / "tokenizer.json").read_text())["model"] == own


def test_a_foreign_tokenizer_is_refused(texts: Path, tmp_path: Path) -> None:
    tiny.tiny_tokenizer(tmp_path / "foreign")
    with pytest.raises(ModelError, match="lacks control tokens") as caught:
        train(given(texts, tmp_path / "run", tokenizer=tmp_path / "foreign"))
    assert CONTROL_TOKENS[1] in caught.value.problem
    assert not (tmp_path / "run").exists()


def test_a_fresh_model_takes_no_adapter_and_others_bring_their_tokenizer(texts: Path) -> None:
    with pytest.raises(SettingsError, match="fresh model"):
        make_settings({"model": "preset:tiny", "data": texts, "method": "lora"})
    with pytest.raises(SettingsError, match="brings its own"):
        make_settings({"model": "models/a", "data": texts, "tokenizer": "t"})
    assert make_settings({"model": "preset:tiny", "data": texts}).method == "full"


def test_the_result_goes_on_learning_other_tasks(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    tiny.tiny_rows(data)
    tuned = train(
        given(data, tmp_path / "tuned", model=run.folder, method="full", template="chatml", max_steps=2, cutoff_len=128)
    )
    assert report_of(tuned)["lineage"]["parent"] == run.name


def test_the_ledger_counts_texts_not_rows(texts: Path, tmp_path: Path) -> None:
    from weitiao.api.preparation import open_sources, prepare
    from weitiao.training.rows import Rows, RowWriter

    tiny.tiny_tokenizer(tmp_path / "tokenizer")
    ledger = Ledger()
    with RowWriter(tmp_path / "rows", 16) as writer:
        codec = open_codec(tmp_path / "tokenizer")
        prepared = prepare(open_sources(given(texts, tmp_path / "x")), Form(codec, 16), ledger, writer)
    rows = Rows(tmp_path / "rows")
    assert ledger.counts()["used"] == 62
    assert prepared.train_rows < len(rows)
    assert rows.lengths.max() <= 16
    assert int(rows.asked.sum()) == prepared.train_asked


def test_check_shows_what_a_fresh_model_would_learn(texts: Path) -> None:
    found = check(make_settings({"model": "preset:1", "data": texts, "cutoff_len": 64}), rows=1)
    assert found.refused is None
    tokens = found.rows[0].tokens
    assert (tokens[0].text, tokens[-1].text) == (BOS, EOS)
    assert [token.learned for token in tokens] == [False, *[True] * (len(tokens) - 1)]
