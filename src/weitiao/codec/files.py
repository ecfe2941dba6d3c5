"""A model folder's tokenizer files: the tokenizer, its special tokens, the chat template and where generation stops."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from weitiao.errors import ModelError
from weitiao.words import t

_TEMPLATE_LIMIT = 1024 * 1024  # bytes


@dataclass(frozen=True)
class TokenizerFiles:
    """What the files say."""

    tokenizer: Tokenizer
    special: dict[str, int]  # control tokens by text
    variables: dict[str, str]  # bos_token, eos_token … as a chat template uses them
    chat_template: str | None
    bos_id: int | None
    mask_id: int | None
    pad_id: int | None  # the end token's where there is none for padding
    adds_bos: bool  # whether the tokenizer itself begins a text with BOS
    stop_ids: frozenset[int]


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """Read the tokenizer of the model in ``folder``. Raises ModelError."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            t("{folder} has no tokenizer.json", folder=folder),
            t("save the model's fast tokenizer into the folder with transformers: tokenizer.save_pretrained(folder)"),
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust library raises plain Exception
        raise ModelError(
            t("{path} is no tokenizer: {reason}", path=path, reason=str(error)),
            t("fetch the model again"),
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    config = _read_object(folder / "tokenizer_config.json")
    special = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    variables = _special_variables(folder, config)
    bos_id = tokenizer.token_to_id(variables["bos_token"]) if variables.get("bos_token") else None
    begins = tokenizer.encode("a", add_special_tokens=True).ids[:1]
    return TokenizerFiles(
        tokenizer=tokenizer,
        special=special,
        variables=variables,
        chat_template=_chat_template(folder, config),
        bos_id=bos_id,
        mask_id=tokenizer.token_to_id(variables["mask_token"]) if variables.get("mask_token") else None,
        pad_id=tokenizer.token_to_id(variables.get("pad_token") or variables["eos_token"]),
        adds_bos=bos_id is not None and begins == [bos_id],
        stop_ids=_stop_ids(folder, tokenizer, variables),
    )


def read_template(path: Path) -> str:
    """The chat template in ``path``. Raises ModelError."""
    try:
        with path.open("rb") as file:
            raw = file.read(_TEMPLATE_LIMIT + 1)
        if len(raw) <= _TEMPLATE_LIMIT:
            return raw.decode("utf-8")
        reason = t("it is larger than {limit} bytes", limit=_TEMPLATE_LIMIT)
    except UnicodeDecodeError as error:
        reason = t("byte {place} is not UTF-8", place=error.start + 1)
    raise ModelError(
        t("the chat template {path} cannot be read: {reason}", path=path, reason=reason),
        t("repair the model's chat template, or pass --template FILE"),
    )


def _special_variables(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    named = {**_read_object(folder / "special_tokens_map.json"), **config}
    variables = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token"):
        value = named.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            variables[name] = value
    return {"bos_token": "", "eos_token": "", **variables}


def _chat_template(folder: Path, config: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return read_template(file)
    value = config.get("chat_template")
    if isinstance(value, list):
        named = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None


def _stop_ids(folder: Path, tokenizer: Tokenizer, variables: dict[str, str]) -> frozenset[int]:
    stated = _read_object(folder / "generation_config.json").get("eos_token_id")
    if stated is None:
        stated = _read_object(folder / "config.json").get("eos_token_id")
    ids = {number for number in (stated if isinstance(stated, list) else [stated]) if isinstance(number, int)}
    ends = tokenizer.token_to_id(variables["eos_token"]) if variables["eos_token"] else None
    return frozenset(ids | ({ends} if ends is not None else set()))


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            t("{path} is not JSON: {reason}", path=path, reason=str(error)), t("fetch the model again")
        ) from error
    if not isinstance(value, dict):
        raise ModelError(t("{path} is not a JSON object", path=path), t("fetch the model again"))
    return value
