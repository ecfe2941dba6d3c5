"""Categories by an encoder that is not tuned: its vectors against transformers, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import tiny
from weitiao.evaluation import embedding
from weitiao.evaluation.embedding import embedding_answers
from weitiao.example import Categories, Category, Example, Label, Message, Task, make_example
from weitiao.models.source import resolve

TASK = Task("classify", "Spam?", ("ham", "spam"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.tiny_encoder("bert", tmp_path_factory.mktemp("encoder")))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEITIAO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def example(text: str, label: Label | None) -> Example:
    return make_example((Message("document", text),), label, "here")


MAIL = [example(text, Category("spam")) for text in tiny.SPAM] + [example(t, Category("ham")) for t in tiny.HAM]
TRAIN, ITEMS = MAIL[::2], MAIL[1::2]


def test_vectors_are_the_means_that_transformers_gives(encoder: str) -> None:
    mine = embedding._Reader(resolve(encoder), TASK).read([one.text for one in MAIL])
    model, tokenizer = AutoModel.from_pretrained(encoder).eval(), AutoTokenizer.from_pretrained(encoder)
    for number, one in enumerate(MAIL):
        with torch.no_grad():
            hidden = model(**tokenizer(one.text, return_tensors="pt")).last_hidden_state[0]
        theirs = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        assert mine.values[number] == pytest.approx(theirs.numpy(), abs=1e-5)
    assert mine.tokens == sum(len(tokenizer(one.text)["input_ids"]) for one in MAIL)


def test_it_answers_every_item_whatever_their_order(encoder: str) -> None:
    one = embedding_answers(encoder, TRAIN, ITEMS, TASK)
    other = embedding_answers(encoder, TRAIN[::-1], ITEMS[::-1], TASK)
    assert one.answers.gold == tuple("spam" if item in MAIL[: len(tiny.SPAM)] else "ham" for item in ITEMS)
    assert one.answers.probabilities is not None and other.answers.probabilities is not None
    assert np.array_equal(one.answers.probabilities, other.answers.probabilities[::-1])
    assert one.answers.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert one.rows == len(TRAIN)
    assert one.tokens > 0


def test_what_was_read_is_kept_with_its_cost_and_not_read_again(
    encoder: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embedding_answers(encoder, TRAIN, ITEMS, TASK)
    monkeypatch.setattr(embedding._Reader, "read", None)
    again = embedding_answers(encoder, TRAIN, ITEMS, TASK)
    assert first.answers.probabilities is not None and again.answers.probabilities is not None
    assert np.array_equal(first.answers.probabilities, again.answers.probabilities)
    assert again.tokens == first.tokens
    assert again.answer_seconds == pytest.approx(first.answer_seconds, abs=0.2)
    monkeypatch.undo()


def test_a_damaged_file_is_read_again(encoder: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEITIAO_HOME", str(home))
    first = embedding_answers(encoder, TRAIN, ITEMS, TASK)
    for file in (home / "embeddings").rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    again = embedding_answers(encoder, TRAIN, ITEMS, TASK)
    assert first.answers.probabilities is not None and again.answers.probabilities is not None
    assert np.array_equal(first.answers.probabilities, again.answers.probabilities)


def test_reading_that_was_stopped_goes_on_behind_what_was_read(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_KEPT_TOGETHER", 4)
    whole = embedding_answers(encoder, TRAIN[:12], ITEMS[:4], TASK)
    monkeypatch.setenv("WEITIAO_HOME", str(Path(encoder).parent / "another-home"))

    def stop(done: int, of: int) -> None:
        assert of == 16
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedding_answers(encoder, TRAIN[:12], ITEMS[:4], TASK, stop)
    read: list[int] = []
    original = embedding._Reader.read
    monkeypatch.setattr(embedding._Reader, "read", lambda self, texts: read.append(len(texts)) or original(self, texts))
    resumed = embedding_answers(encoder, TRAIN[:12], ITEMS[:4], TASK)
    assert read == [4, 4]
    assert whole.answers.probabilities is not None and resumed.answers.probabilities is not None
    assert np.array_equal(whole.answers.probabilities, resumed.answers.probabilities)


def test_several_categories_are_yes_or_no_each(encoder: str) -> None:
    task = Task("classify", "", ("ham", "spam"), several=True)
    rows = [example(one.text, Categories((one.label.name,))) for one in MAIL if isinstance(one.label, Category)]
    found = embedding_answers(encoder, rows, rows, task).answers
    assert found.held is not None
    assert found.probabilities is not None
    assert found.probabilities.shape == (len(rows), 2)


def test_long_texts_are_read_at_their_beginning(encoder: str) -> None:
    reader = embedding._Reader(resolve(encoder), TASK)
    long = "free prize " * 2000
    assert np.array_equal(reader.read([long]).values, reader.read([long + "and more"]).values)
    assert reader.read([long]).tokens == embedding.MOST_TOKENS
