"""LLaMA-Factory's ``dataset_info.json``: understood where it lies beside the data, never required.

Separate because it is another project's format: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
Only ``file_name`` inside the same folder is followed; entries that name a hub or a script are never fetched or run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weitiao.data.visible import visible
from weitiao.errors import DataError
from weitiao.example import Role
from weitiao.words import t

INFO_NAME = "dataset_info.json"
_MAX_BYTES = 4 * 2**20
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
_ALPACA_ROLES = {**_ALPACA, "system": "system", "history": "history"}
_TAGS = {"role_tag": "from", "content_tag": "value"}
_ROLE_TAGS: dict[str, Role] = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "assistant",
    "system_tag": "system",
}


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """One entry: the shape of its file, role -> column, and for conversations speaker's tag -> role."""

    name: str
    file_name: str
    shape: str
    columns: Mapping[str, str]
    roles: Mapping[str, Role]


def read_dataset_info(folder: Path) -> dict[str, DatasetEntry]:
    """The entries of the folder's ``dataset_info.json`` that name a file; empty without one. Raises DataError."""
    path = folder / INFO_NAME
    try:
        if not path.is_file():
            return {}
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(t("larger than {limit} MB", limit=_MAX_BYTES // 2**20))
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _malformed(path, visible(str(error), 100)) from error
    if not isinstance(content, dict):
        raise _malformed(path, t("is no JSON object"))
    return {
        name: _entry(path, name, entry)
        for name, entry in content.items()
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str)
    }


def entry_path(folder: Path, entry: DatasetEntry) -> Path:
    """Where the entry's data lie; DataError when that is outside the folder."""
    path = folder / entry.file_name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            t("{info}: the file of `{name}` lies outside the folder", info=INFO_NAME, name=visible(entry.name, 60)),
            t("copy {file} into the folder, or give its path itself", file=visible(entry.file_name, 100)),
        )
    return path


def _entry(path: Path, name: str, entry: Mapping[str, object]) -> DatasetEntry:
    formatting = entry.get("formatting", "alpaca")
    given = _texts(path, name, entry, "columns")
    if formatting == "alpaca":
        named = given or _ALPACA
        columns = {_ALPACA_ROLES[role]: column for role, column in named.items() if role in _ALPACA_ROLES}
        return DatasetEntry(name, str(entry["file_name"]), "alpaca", columns, {})
    if formatting not in ("sharegpt", "openai"):
        raise _malformed(
            path, t("`{name}` has the unknown formatting `{value}`", name=name, value=visible(str(formatting), 40))
        )
    tags = _texts(path, name, entry, "tags")
    columns = {"messages": given.get("messages", "conversations")}
    columns |= {role: given[role] for role in ("system", "chosen") if role in given}
    usual = {"role_tag": "role", "content_tag": "content"} if formatting == "openai" else _TAGS
    columns["role"] = tags.get("role_tag", usual["role_tag"])
    columns["content"] = tags.get("content_tag", usual["content_tag"])
    roles = {tags[tag]: role for tag, role in _ROLE_TAGS.items() if tag in tags}
    return DatasetEntry(name, str(entry["file_name"]), "sharegpt", columns, roles)


def _texts(path: Path, name: str, entry: Mapping[str, object], key: str) -> dict[str, str]:
    value = entry.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _malformed(path, t("`{key}` of `{name}` must map names to names", key=key, name=visible(name, 60)))
    return value


def _malformed(path: Path, reason: str) -> DataError:
    return DataError(
        t("{path} cannot be understood: {reason}", path=visible(str(path)), reason=reason),
        t("mend it, or give the data file itself: dataset_info.json is not needed"),
    )
