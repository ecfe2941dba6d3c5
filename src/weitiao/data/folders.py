"""Which files a path means: one file, a folder of parts, of texts, of classes, or a named LLaMA-Factory data set.

Separate because readers see one file at a time and must not care how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from weitiao.data.dataset_info import INFO_NAME, DatasetEntry, entry_path, read_dataset_info
from weitiao.data.files import File, find_file, missing, unreadable
from weitiao.data.notes import Notes
from weitiao.data.reading import SUFFIXES
from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.words import t

_SPLITS = frozenset(("train", "training", "test", "testing", "dev", "valid", "validation", "val", "eval"))
_UNLABELLED = frozenset(("unsup", "unlabeled", "unlabelled"))
_CLASS_FILES = frozenset(
    ("pos", "neg", "positive", "negative", "neutral", "ham", "spam", "正面", "负面", "中性", "正", "负")
)
_TEXT_SUFFIXES = frozenset(suffix for suffix, named in SUFFIXES.items() if named == "text" and suffix != ".md")


@dataclass(frozen=True, slots=True)
class Located:
    """The files of a data set in reading order, and what their arrangement says about them."""

    files: tuple[File, ...]
    entry: DatasetEntry | None = None
    documents: str | None = None


def locate(path: Path, notes: Notes) -> Located:
    """The files that ``path`` means. DataError when there are none, or when it is unclear which are meant."""
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if is_folder:
        return _locate_in_folder(path, notes)
    beside = _entries_beside(path, notes)
    if beside and not os.path.lexists(path):
        if path.name not in beside:
            raise missing(path, list(beside))
        return _of_entry(path.parent, beside[path.name])
    return Located((find_file(path),), next((entry for entry in beside.values() if entry.file_name == path.name), None))


def _locate_in_folder(folder: Path, notes: Notes) -> Located:
    entries = read_dataset_info(folder)
    present = {name: entry for name, entry in entries.items() if (folder / entry.file_name).exists()}
    if len(present) == 1:
        return _of_entry(folder, next(iter(present.values())))
    if len(present) > 1:
        names = ", ".join(visible(str(folder / name)) for name in list(present)[:12])
        raise DataError(
            t("{folder} holds several data sets", folder=_shown(folder)), t("choose one: {names}", names=names)
        )
    folders, files = _children(folder)
    classes = [child for child in folders if _texts_in(child)]
    if len(classes) >= 2:
        if files:
            notes.add("ignored_files", _shown(folder), visible(files[0].name), len(files))
        return _of_classes(folder, classes)
    parts = [
        file
        for file in files
        if _format_of(file) and file.name != INFO_NAME and not file.stem.upper().startswith("README")
    ]
    if not parts:
        raise DataError(
            t("{folder} holds no data", folder=_shown(folder)),
            t("data are CSV, TSV, JSON, JSONL, Parquet, CoNLL or text files, or a folder of texts for each class"),
        )
    return _of_parts(folder, parts)


def _of_entry(folder: Path, entry: DatasetEntry) -> Located:
    path = entry_path(folder, entry)
    if path.is_dir():
        located = _of_parts(path, [file for file in _children(path)[1] if _format_of(file)])
        return Located(located.files, entry)
    return Located((find_file(path),), entry)


def _of_classes(folder: Path, classes: Sequence[Path]) -> Located:
    """One folder of texts for each class; the folder's name is the label (none for ``unsup``)."""
    if all(child.name.casefold() in _SPLITS for child in classes):
        raise _several_splits(folder, classes)
    files = []
    for child in classes:
        label = "" if child.name.casefold() in _UNLABELLED else child.name
        files += [_inside(folder, text, f"{child.name}/{text.name}", label) for text in _texts_in(child)]
    return Located(tuple(files), documents="file")


def _of_parts(folder: Path, parts: Sequence[Path]) -> Located:
    """Files of one format, one after the other; texts named after polarities are classes with an item on each line."""
    formats = sorted({_format_of(part) for part in parts})
    if len(formats) > 1:
        raise DataError(
            t("{folder} holds files of several formats: {formats}", folder=_shown(folder), formats=", ".join(formats)),
            t("give one file, or a folder with files of one format"),
        )
    if len({_split_of(part) for part in parts} - {None}) > 1:
        raise _several_splits(folder, parts)
    if formats == ["text"] and len(parts) > 1:
        if all(part.stem.casefold() in _CLASS_FILES for part in parts):
            return Located(tuple(_inside(folder, part, part.name, part.stem) for part in parts), documents="lines")
        return Located(tuple(_inside(folder, part, part.name) for part in parts), documents="file")
    return Located(tuple(_inside(folder, part, part.name) for part in parts))


def _entries_beside(path: Path, notes: Notes) -> dict[str, DatasetEntry]:
    try:
        return read_dataset_info(path.parent)
    except DataError as error:
        notes.add("dataset_info", INFO_NAME, error.problem)
        return {}


def _inside(folder: Path, path: Path, name: str, label: str | None = None) -> File:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            t("{name} is a link that leaves the folder {folder}", name=visible(name), folder=_shown(folder)),
            t("copy the file into the folder, or remove the link"),
        )
    return find_file(path, name, label)


def _children(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and other entries, sorted, without hidden ones."""
    try:
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise unreadable(visible(str(folder)), error) from error
    folders = [child for child in children if child.is_dir()]
    return folders, [child for child in children if not child.is_dir()]


def _texts_in(folder: Path) -> list[Path]:
    return [file for file in _children(folder)[1] if file.suffix.lower() in _TEXT_SUFFIXES]


def _format_of(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes[-2:]]
    return SUFFIXES.get(suffixes[0] if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:]), "")


def _split_of(file: Path) -> str | None:
    words = file.name.casefold().replace("_", "-").replace(".", "-").split("-")
    return next((word for word in words if word in _SPLITS), None)


def _several_splits(folder: Path, parts: Iterable[Path]) -> DataError:
    names = ", ".join(visible(part.name) for part in list(parts)[:6])
    return DataError(
        t("{folder} holds a training and a test set: {names}", folder=_shown(folder), names=names),
        t("name each: --data for training, --test for testing; mixed, the test would be worthless"),
    )


def _shown(folder: Path) -> str:
    return visible(str(folder))
