"""``tokenizer``: one made of the user's texts, and how well it cuts texts that it was not made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weitiao.api.listener import Listener
from weitiao.api.preparation import open_sources, usable_rows
from weitiao.api.starting_model import texts_of, tokenizer_of
from weitiao.codec.tokenizer import Algorithm, sample_of, write_tokenizer
from weitiao.data.ledger import Entry, Ledger
from weitiao.errors import SettingsError
from weitiao.evaluation.compression import Script, characters_per_token
from weitiao.evaluation.statistics import Score
from weitiao.models.whole_folder import whole_folder
from weitiao.settings import Settings
from weitiao.words import t

LEAST = 300  # tokens: every byte and every control token
_MEASURED = 1_000_000  # characters of the held-out texts
_CONTEXT = 1 << 20  # tokens; a model made with it says its own


@dataclass(frozen=True)
class MadeTokenizer:
    """What was made, and what became of the rows. ``characters_per_token`` is of the test split."""

    folder: Path
    algorithm: Algorithm
    vocabulary: int
    ledger: Mapping[str, int]
    characters_per_token: Mapping[Script, Score]

    def json(self) -> dict[str, Any]:
        """As ``weitiao tokenizer --json`` prints it."""
        return {
            "folder": str(self.folder),
            "algorithm": self.algorithm,
            "vocabulary": self.vocabulary,
            "ledger": dict(self.ledger),
            "characters_per_token": {script: score.json() for script, score in self.characters_per_token.items()},
        }


def make_tokenizer(
    settings: Settings, folder: Path, algorithm: Algorithm, vocabulary: int | None, listen: Listener
) -> MadeTokenizer:
    """Train on the train split of ``settings.data``, measure on its test split, and write into a new ``folder``.

    The same texts give the same tokenizer. Without ``vocabulary`` the size of the texts decides.
    """
    if vocabulary is not None and vocabulary < LEAST:
        raise SettingsError(
            t("a vocabulary of {count} tokens has no room for every byte", count=vocabulary),
            t("give at least {least}, or leave it out", least=LEAST),
        )
    if folder.exists():
        raise SettingsError(t("{folder} is there already", folder=folder), t("name a new folder"))
    opened = open_sources(settings)
    listen("data", {"read_as": list(opened.read_as)})
    ledger = Ledger()
    for example, split in usable_rows(opened, ledger):
        ledger.add(Entry(example.source, "used", example=example.id, split=split))
    listen("rows", {**ledger.counts(), "reasons": ledger.reasons()})
    tokenizer = tokenizer_of(opened, algorithm, vocabulary)
    with whole_folder(folder, replace=False) as work:
        write_tokenizer(tokenizer, work, _CONTEXT)
    held_out = sample_of(texts_of(opened, "test"), _MEASURED)
    rates = characters_per_token(tokenizer, held_out)
    return MadeTokenizer(folder, algorithm, tokenizer.get_vocab_size(), ledger.counts(), rates)
