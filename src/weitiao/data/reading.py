"""From files to records: which format, and the facts that its reader needs, found once and used on every pass.

Separate because finding looks at the first block only, and reading must do the same on every pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from weitiao.data import tables
from weitiao.data.conll import looks_like_conll, read_conll
from weitiao.data.files import File, blocks
from weitiao.data.json_files import read_json, read_json_lines
from weitiao.data.json_values import is_json
from weitiao.data.ledger import Dropped
from weitiao.data.lines import text_blocks
from weitiao.data.notes import Notes
from weitiao.data.parquet import read_parquet
from weitiao.data.record import Record
from weitiao.data.texts import DOCUMENTS, Documents, find_documents, read_documents
from weitiao.errors import DataError
from weitiao.words import t

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "text", "conll")
_SUFFIXES_OF = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson"),
    "parquet": (".parquet", ".pq"),
    "text": (".txt", ".text", ".md"),
    "conll": (".conll", ".bio", ".iob", ".iob2", ".bioes", ".bmes"),
}
SUFFIXES = {suffix: name for name, suffixes in _SUFFIXES_OF.items() for suffix in suffixes}
_SETTINGS_SUFFIXES = (".yaml", ".yml", ".toml", ".ini")
_PARQUET = b"PAR1"
_OBJECTS = re.compile(r"\[\s*\{")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the bytes of the files become records."""

    format: str
    dialect: tables.Dialect | None = None
    documents: Documents | None = None


@dataclass(frozen=True, slots=True)
class ReadingHints:
    """What the user said about the files; None = look. ``names`` are column names that a header would hold."""

    format: str | None = None
    header: bool | None = None
    documents: str | None = None
    names: tuple[str, ...] = ()


def find_reading(files: Sequence[File], hints: ReadingHints, notes: Notes) -> Reading:
    """Look at the first block of the first file that is not empty. DataError when there is nothing, or no data."""
    _check_choice("--format", hints.format, FORMATS)
    _check_choice("--documents", hints.documents, DOCUMENTS)
    file = next((file for file in files if file.stamp.size), None)
    if file is None:
        raise DataError(t("{name} is empty", name=files[0].name), t("give a file with at least a few rows"))
    suffix = _suffix(file)
    if suffix in _SETTINGS_SUFFIXES:
        raise DataError(
            t("{name} looks like settings, not data", name=file.name),
            t("data are CSV, TSV, JSON, JSONL, Parquet, CoNLL or plain text"),
        )
    if hints.format == "parquet" or (not hints.format and next(blocks(file), b"").startswith(_PARQUET)):
        return Reading("parquet")
    head = _head(file, notes)
    found = hints.format or _find_format(head, suffix, file, notes)
    return _reading(found, head, hints, whole_files=len(files) > 1 or file.label is not None)


def read_records(files: Sequence[File], reading: Reading, notes: Notes) -> Iterator[Record | Dropped]:
    """All records of all files, in order. In class folders the folder's name is the record's ``label``."""
    for file in files:
        if file.label is None:
            yield from _read_file(file, reading, notes)
        else:
            for record in _read_file(file, reading, notes):
                if isinstance(record, Record):
                    record.fields["label"] = file.label or None
                yield record


def _read_file(file: File, reading: Reading, notes: Notes) -> Iterator[Record | Dropped]:
    match reading.format:
        case "jsonl":
            return read_json_lines(file, notes)
        case "json":
            return read_json(file, notes)
        case "parquet":
            return read_parquet(file)
        case "conll":
            return read_conll(file, notes)
        case "text":
            return read_documents(file, reading.documents or "lines", notes)
        case _:
            if reading.dialect is None:
                raise ValueError(reading.format)
            return tables.read_table(file, reading.dialect, notes)


def _find_format(head: Sequence[str], suffix: str, file: File, notes: Notes) -> str:
    named = SUFFIXES.get(suffix, "")
    if named == "csv":
        return "conll" if _looks_tagged(head) else _table_format(head, tables.DELIMITERS)
    if named == "conll":
        return "conll"
    if named != "tsv":
        found = _find_json(head, named)
        if found:
            if named in ("json", "jsonl") and found != named:
                notes.add("json_array" if found == "json" else "json_lines", f"{file.name}:1")
            return found
    if named in ("json", "jsonl"):
        return named
    if looks_like_conll(head):
        return "conll"
    if named == "tsv":
        return "tsv"
    return "tsv" if _is_even_table(head) else "text"


def _find_json(head: Sequence[str], named: str) -> str:
    """``json`` for an array or one object, ``jsonl`` for an object a line, empty when the text is neither."""
    filled = [line.strip() for line in head if line.strip()]
    if not filled:
        return ""
    if filled[0].startswith("["):
        array = "json" if named in ("json", "jsonl") or _OBJECTS.match("".join(filled[:3])) else ""
        each_line = len(filled) > 1 and is_json(filled[0]) and filled[1].startswith("[")
        return "jsonl" if each_line and array else array
    if filled[0].startswith("{"):
        if len(filled) > 1 and is_json(filled[0]):
            return "jsonl"
        if named == "jsonl" or is_json(filled[0]):
            return named if named in ("json", "jsonl") else "jsonl"
        return "json" if named == "json" else ""
    return ""


def _looks_tagged(head: Sequence[str]) -> bool:
    """Whether a file that is called a table is CoNLL, with sentences parted by blank lines."""
    return looks_like_conll(head) and any(not line.strip() for line in head[:-1])


def _table_format(head: Sequence[str], delimiters: str) -> str:
    return "tsv" if tables.find_delimiter(head, delimiters) == "\t" else "csv"


def _is_even_table(head: Sequence[str]) -> bool:
    """Whether a plain text is a table in disguise: (nearly) every line has the same number of tabs, at least one."""
    filled = [line for line in head if line.strip()]
    tabs = filled[0].count("\t") if filled else 0
    return tabs > 0 and len(filled) > 1 and sum(line.count("\t") == tabs for line in filled) >= 0.95 * len(filled)


def _reading(found: str, head: Sequence[str], hints: ReadingHints, whole_files: bool) -> Reading:
    if found in ("csv", "tsv"):
        delimiters = "\t" if found == "tsv" else tables.DELIMITERS.replace("\t", "")
        return Reading(found, dialect=tables.find_dialect(head, delimiters, hints.header, hints.names))
    if found != "text":
        return Reading(found)
    for documents in ("lines", "paragraphs", "file", "fasttext"):
        if documents == hints.documents:
            return Reading(found, documents=documents)
    guessed = find_documents(head)
    return Reading(found, documents="file" if whole_files and guessed != "fasttext" else guessed)


def _head(file: File, notes: Notes) -> list[str]:
    """The whole lines of the first block; its last line too when that is all there is."""
    text = text_blocks(file, notes)
    first = next(text, "")
    lines = first.split("\n")
    cut_off = len(lines) > 1 and (not lines[-1] or next(text, None) is not None)
    return lines[:-1] if cut_off else lines


def _suffix(file: File) -> str:
    path = PurePath(file.path.name.lower())
    return PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _check_choice(flag: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise DataError(
            t("{flag} {value} is not known", flag=flag, value=value),
            t("choose one of: {names}", names=", ".join(choices)),
        )
