"""Categories by a sentence encoder that is not tuned: the mean of its last hidden states, and logistic regression.

The mean over all tokens, at length 1, as sentence encoders are made to be read (Reimers and Gurevych, 2019,
arXiv:1908.10084). Separate because it needs a model in memory, and because vectors are worth keeping: they are found
again by the digests of the encoder and of the texts, and hold the same bits whether they were kept or not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from weitiao.data.samples import cache_folder
from weitiao.evaluation.answers import Answers, category_answers
from weitiao.evaluation.logistic import best_strength, fitted, shares
from weitiao.evaluation.small_categories import held_by
from weitiao.example import Example, Task, content_key, names_of
from weitiao.lineage import digest_json
from weitiao.models.anatomy import plain
from weitiao.models.load import Loaded, load
from weitiao.models.source import ModelSource, resolve
from weitiao.models.use import Use, context_of, model_config

Floats = NDArray[np.float64]

MOST_ROWS = 10_000  # of the training split: those with the lowest hashes
MOST_TOKENS = 256  # of a text; what is behind is not read, as sentence encoders have not learned to
_KEPT_TOGETHER = 512
_READ_TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Embedded:
    """``answers`` and what they cost, as if no vector had been kept; ``tokens`` are those of the items."""

    answers: Answers
    prepare_seconds: float
    answer_seconds: float
    tokens: int
    strength: float
    rows: int


@dataclass(frozen=True, slots=True)
class _Vectors:
    values: NDArray[np.float32]  # [texts, width]
    seconds: float
    tokens: int


def embedding_answers(
    encoder: str,
    train: Sequence[Example],
    items: Sequence[Example],
    task: Task,
    on_progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Answers of kind classify by the model called ``encoder``: a sample or a folder.

    ``on_progress`` is told how many texts have been read, of how many; what it raises ends the reading, and what was
    read is kept. Raises ModelError for a model that cannot be used.
    """
    rows = sorted(train, key=lambda example: (content_key(example), example.id))[:MOST_ROWS]
    reader = _Reader(resolve(encoder), task)
    asked = sorted(range(len(items)), key=lambda number: (content_key(items[number]), items[number].id))
    texts = [*(example.text for example in rows), *(items[number].text for number in asked)]

    def told(done: int) -> None:
        if on_progress:
            on_progress(done, len(texts))

    known = _vectors(reader, texts[: len(rows)], told)
    new = _vectors(reader, texts[len(rows) :], lambda done: told(len(rows) + done))
    began = time.monotonic()
    held = held_by(rows, task)
    strength = best_strength(known.values, held, task.several)
    logistic = fitted(known.values, held, task.several, strength)
    learned = time.monotonic()
    said: Floats = np.empty((len(items), len(task.categories)))
    said[asked] = shares(logistic, new.values)
    answers = category_answers([names_of(example.label) for example in items], task, said)
    answering = time.monotonic() - learned
    return Embedded(answers, known.seconds + learned - began, new.seconds + answering, new.tokens, strength, len(rows))


class _Reader:
    """An encoder, in memory from the first text on that was not read before."""

    def __init__(self, source: ModelSource, task: Task) -> None:
        self.source = source
        self._use = Use("category", task.categories, task.several)  # that it has a head makes no difference here

    @cached_property
    def _loaded(self) -> Loaded:
        return load(self.source, torch.float32, use=self._use)

    def read(self, texts: Sequence[str]) -> _Vectors:
        began = time.monotonic()
        loaded = self._loaded
        limit = min(MOST_TOKENS, context_of(model_config(self.source)))
        rows = loaded.tokenizer(list(texts), truncation=True, max_length=limit, return_attention_mask=False)[
            "input_ids"
        ]
        values = np.zeros((len(texts), plain(loaded.model).config.hidden_size), dtype=np.float32)
        by_length = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        for start in range(0, len(rows), _READ_TOGETHER):
            chosen = by_length[start : start + _READ_TOGETHER]
            values[chosen] = _means(loaded, [rows[number] for number in chosen])
        return _Vectors(values, time.monotonic() - began, sum(map(len, rows)))


def _means(loaded: Loaded, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """[rows, width], each of length 1."""
    width = max(1, *map(len, rows))
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])  # what the mask hides may be anything
    with torch.inference_mode():
        hidden = plain(loaded.model).base_model(input_ids=tokens, attention_mask=mask).last_hidden_state
        kept = mask[:, :, None].to(hidden.dtype)
        mean = (hidden * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
        found: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return found


def _vectors(reader: _Reader, texts: Sequence[str], told: Callable[[int], None]) -> _Vectors:
    parts = []
    for start in range(0, len(texts), _KEPT_TOGETHER):
        part = texts[start : start + _KEPT_TOGETHER]
        parts.append(_kept(reader, part))
        told(start + len(part))
    values = np.concatenate([part.values for part in parts]) if parts else np.zeros((0, 0), dtype=np.float32)
    return _Vectors(values, sum(part.seconds for part in parts), sum(part.tokens for part in parts))


def _kept(reader: _Reader, texts: Sequence[str]) -> _Vectors:
    """The vectors of texts that are always read together, so that company changes no bit."""
    place = cache_folder() / "embeddings" / reader.source.digest / f"{digest_json([MOST_TOKENS, *texts])[:32]}.npz"
    found = _opened(place)
    if found is None:
        found = reader.read(texts)
        _save(place, found)
    return found


def _opened(place: Path) -> _Vectors | None:
    try:
        with np.load(place, allow_pickle=False) as kept:
            return _Vectors(kept["values"], float(kept["seconds"]), int(kept["tokens"]))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # not there, or damaged: read again
        return None


def _save(place: Path, found: _Vectors) -> None:
    with suppress(OSError):  # a cache that cannot be written only costs time
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f".{place.name}.{os.getpid()}")
        with unfinished.open("wb") as file:
            np.savez(file, values=found.values, seconds=found.seconds, tokens=found.tokens)
        unfinished.replace(place)
