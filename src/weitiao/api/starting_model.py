"""What a run starts from: its data, and a model that is there, or a fresh one over a tokenizer made of the same data.

Separate because a fresh model needs the data before it exists, and every other is looked for before they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from weitiao.api.listener import Listener
from weitiao.api.preparation import Opened, open_sources
from weitiao.codec.tokenizer import (
    CHARACTERS_READ,
    Algorithm,
    read_own_tokenizer,
    sample_of,
    train_tokenizer,
    vocabulary_for,
)
from weitiao.data.partition import assigned
from weitiao.example import Example, Reply
from weitiao.models.fingerprint import folder_digest
from weitiao.models.presets import preset_of
from weitiao.models.source import ModelSource, resolve
from weitiao.settings import Settings
from weitiao.training.chance import seed_for


def start(settings: Settings, work: Path, listen: Listener) -> tuple[ModelSource, Opened]:
    """The model that ``settings`` name, and their data. A fresh model is made in the folder ``work``."""
    source = None if preset_of(settings.model) else resolve(settings.model)
    if source:
        listen("model", {"name": source.name, "folder": str(source.folder)})
    opened = open_sources(settings)
    listen("data", {"read_as": list(opened.read_as)})
    return source or fresh(settings, opened, work, listen), opened


def fresh(settings: Settings, opened: Opened, work: Path, listen: Listener) -> ModelSource:
    """The fresh model that ``settings`` name, made in the folder ``work``, or there already when a run goes on."""
    folder, preset, given = work / "fresh", preset_of(settings.model), settings.tokenizer
    assert preset is not None, "any other model is resolved"
    if not folder.is_dir():
        from weitiao.models.fresh import write_fresh  # inside: needs torch

        tokenizer = read_own_tokenizer(Path(given)) if given else tokenizer_of(opened, "bpe", None)
        if not given:
            listen("tokenizer", {"algorithm": "bpe", "vocabulary": tokenizer.get_vocab_size()})
        write_fresh(preset, tokenizer, seed_for(settings.seed, "weights"), folder)
    listen("model", {"name": settings.model, "folder": str(folder)})
    return ModelSource(settings.model, folder, None, None, folder_digest(folder))


def tokenizer_of(opened: Opened, algorithm: Algorithm, vocabulary: int | None) -> Tokenizer:
    """A tokenizer trained on the train split alone; without ``vocabulary``, of the size that the texts are worth."""
    seen = _Seen()
    sample = sample_of(seen.through(texts_of(opened, "train")), CHARACTERS_READ[algorithm])
    return train_tokenizer(sample, vocabulary or vocabulary_for(seen.size_bytes), algorithm)


def texts_of(opened: Opened, split: str) -> Iterator[str]:
    """The texts of one split, with the replies."""
    for item, where in assigned(opened.sources, opened.partition):
        if where == split and isinstance(item, Example):
            yield item.text
            if isinstance(item.label, Reply):
                yield item.label.text


class _Seen:
    """Counts what passes."""

    size_bytes = 0

    def through(self, texts: Iterator[str]) -> Iterator[str]:
        for text in texts:
            self.size_bytes += len(text.encode())
            yield text
