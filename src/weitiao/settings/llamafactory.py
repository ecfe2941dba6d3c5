"""A LLaMA-Factory config of supervised fine-tuning, read as settings of ours, each field with what became of it.

Separate from ``foreign.py``: here names mean something else than ours (``template: qwen``, ``dataset: NAME``), which is
only known once the whole file is seen to be theirs. Fields that are not set take our defaults, not LLaMA-Factory's.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weitiao.errors import SettingsError
from weitiao.settings.foreign import Answer, becomes, is_off, nothing, refusal, translate
from weitiao.settings.written import Translation, Written, show
from weitiao.words import t

_DATASET_DIR = "data"
_INFO = "dataset_info.json"
_MOST_BYTES = 16 * 1024 * 1024
_OWN_SAMPLES = {"alpaca_en_demo": "alpaca-en", "alpaca_zh_demo": "alpaca-zh"}
"""LLaMA-Factory's own demonstration data, which are samples here under another name."""


def is_llamafactory(written: Sequence[Written]) -> bool:
    """Whether these settings are LLaMA-Factory's: only it has a stage or finetuning_type, or both of these names."""
    names = {piece.name for piece in written}
    return bool(names & {"stage", "finetuning_type"}) or {"model_name_or_path", "dataset"} <= names


def llamafactory(written: Sequence[Written]) -> Callable[[Written], Answer | None]:
    """The translation of one field, given all of them. Like :func:`translate`, but nothing goes unshown."""
    by_name = {piece.name: piece for piece in written}
    directory = by_name.get("dataset_dir")
    library = Library(Path(directory.value if directory and isinstance(directory.value, str) else _DATASET_DIR))
    adapter = by_name.get("adapter_name_or_path")
    special: dict[str, Callable[[Written], Answer]] = {
        "stage": _stage,
        "dataset": lambda piece: _dataset(piece, "data", library),
        "eval_dataset": lambda piece: _dataset(piece, "dev", library),
        "dataset_dir": lambda piece: nothing(piece, t("where the names of data sets are looked up")),
        "template": _template,
    }
    if adapter and not is_off(adapter.value):
        special["model_name_or_path"] = lambda piece: nothing(piece, t("not needed: the adapter names its base"))

    def field(piece: Written) -> Answer | None:
        answer = special[piece.name](piece) if piece.name in special else translate(piece)
        if answer and answer[1] is None:
            return answer[0], Translation(piece.said, piece.shown, f"{piece.name}: {piece.shown}", t("the same here"))
        return answer

    return field


@dataclass(frozen=True, slots=True)
class Library:
    """A folder of data sets with LLaMA-Factory's ``dataset_info.json``, which names them."""

    folder: Path

    def find(self, name: str) -> tuple[str, dict[str, str]]:
        """What setting ``data`` must be for data set ``name``, and other settings that its entry asks for."""
        entries = self._entries()
        if name in entries:
            return self._entry(name, entries[name])
        if name in _OWN_SAMPLES:
            return _OWN_SAMPLES[name], {}
        near = difflib.get_close_matches(name, entries, n=1) if entries and not Path(name).exists() else []
        if near:
            raise SettingsError(
                t("{path} has no data set {name}", path=show(self.folder / _INFO), name=show(name)),
                t("did you mean {names}?", names=show(near[0])),
            )
        return name, {}

    def _entries(self) -> dict[str, Any]:
        path = self.folder / _INFO
        if not path.is_file():
            return {}
        try:
            entries = json.loads(path.read_bytes()) if path.stat().st_size <= _MOST_BYTES else None
        except (OSError, ValueError, RecursionError) as error:
            raise SettingsError(
                t("{path} cannot be read: {reason}", path=show(path), reason=show(error, 120)),
                t("mend the file, or give dataset as a path"),
            ) from error
        if not isinstance(entries, dict):
            raise SettingsError(
                t("{path} is not a JSON object of data sets", path=show(path)), t("give dataset as a path")
            )
        return entries

    def _entry(self, name: str, entry: Any) -> tuple[str, dict[str, str]]:
        file = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(file, str) or not file:
            raise SettingsError(
                t(
                    "data set {name} names no file of this machine in {path}",
                    name=show(name),
                    path=show(self.folder / _INFO),
                ),
                t("nothing is downloaded here: fetch the file yourself, and give its path as dataset"),
            )
        path = self.folder / file
        if not path.exists():
            raise SettingsError(
                t("data set {name}: there is no {path}", name=show(name), path=show(path)),
                t("check dataset_dir and file_name in dataset_info.json"),
            )
        if entry.get("ranking"):
            raise SettingsError(
                t("data set {name} holds preferences (ranking)", name=show(name)),
                t("give data with one reply in each row"),
            )
        columns = entry.get("columns")
        found = columns if isinstance(columns, dict) and entry.get("formatting", "alpaca") == "alpaca" else {}
        wanted = {"prompt": "prompt_column", "response": "reply_column"}
        return str(path), {ours: found[theirs] for theirs, ours in wanted.items() if isinstance(found.get(theirs), str)}


def _stage(piece: Written) -> Answer:
    if piece.value in ("sft", None):
        return nothing(piece, t("supervised fine-tuning is what train does"))
    if piece.value == "pt":
        raise refusal(piece, t("delete stage and finetuning_type, and give raw text with kind: continue"))
    raise refusal(piece, t("only stage: sft is read here"))


def _dataset(piece: Written, name: str, library: Library) -> Answer:
    if piece.value is None:
        return nothing(piece, t("not needed: it is off here, too"))
    parts = piece.value if isinstance(piece.value, tuple) else tuple(piece.value.split(","))
    parts = tuple(part.strip() for part in parts if part.strip())
    if len(parts) != 1:
        raise SettingsError(
            t(
                "{where}: {count} data sets ({names}), but one run learns from one",
                where=piece.where,
                count=len(parts),
                names=piece.shown,
            ),
            t("put the rows into one file; or name one here, and tune the result with the next: --model runs/NAME"),
        )
    value, others = library.find(parts[0])
    settings, translation = becomes(piece, name, value)
    if name == "data":
        settings += [piece.renamed(other, column) for other, column in others.items()]
    return settings, translation


def _template(piece: Written) -> Answer:
    if piece.value is None:
        return nothing(piece, t("the model's own template is used"))
    if piece.value == "empty":
        return becomes(piece, "template", "plain")
    if isinstance(piece.value, str) and (piece.value.endswith(".jinja") or piece.value in ("plain", "chatml")):
        return becomes(piece, "template", piece.value)
    return nothing(piece, t("the model's own template is used, and shown by weitiao check; plain where it has none"))
