"""A settings file as a list of what was written: YAML 1.2, read event by event.

Separate, and without the types of YAML, because the schema types every value: ``no`` stays text, and ``1e-4`` is a
number where one is asked for. Nothing is built from the file, so tags have nothing to run and aliases nothing to blow
up. Nesting stops at a list of plain values, long before the cost of the parser grows with the depth.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weitiao.errors import SettingsError
from weitiao.settings.written import Value, Written, show
from weitiao.words import t

MOST_BYTES = 256 * 1024
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


def read_settings_file(path: Path) -> list[Written]:
    """Every ``name: value`` of the file, in order, each with its line. Raises SettingsError with file and line."""
    text = _text(path)
    written: list[Written] = []
    seen: dict[str, int] = {}
    for name, value, line in _pairs(path, text):
        place = f"{path.name}:{line}"
        if name in seen:
            raise SettingsError(
                t(
                    "{place}: {name} stands twice: in line {first} and in line {second}",
                    place=path.name,
                    name=show(name),
                    first=seen[name],
                    second=line,
                ),
                t("delete one of the two lines"),
            )
        seen[name] = line
        written.append(Written(name.replace("-", "_"), value, name, place))
    return written


def _text(path: Path) -> str:
    if path.is_dir():
        raise SettingsError(
            t("{path} is a folder, not a settings file", path=show(path)),
            t("name the .yaml file in it; the folder of a run is resumed with: weitiao train RUN"),
        )
    if not path.exists():
        raise SettingsError(t("there is no settings file {path}", path=show(path)), _near(path))
    if not path.is_file():
        raise SettingsError(t("{path} is not a regular file", path=show(path)), t("give a .yaml file"))
    try:
        content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError as error:
        raise SettingsError(
            t("{path} cannot be read: {reason}", path=show(path), reason=error.strerror), t("check its permissions")
        ) from error
    if not content and path.stat().st_size:
        raise SettingsError(
            t(
                "{path} is larger than {limit} KiB, which no settings file is",
                path=show(path),
                limit=MOST_BYTES // 1024,
            ),
            t("give the data with data: FILE, and only the settings here"),
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            t(
                "{path}:{line} is not UTF-8 (byte {byte})",
                path=path.name,
                line=line,
                byte=f"0x{content[error.start]:02x}",
            ),
            t("save the file as UTF-8"),
        ) from error


def _near(path: Path) -> str:
    folder = path.parent
    names = [entry.name for entry in folder.iterdir() if entry.is_file()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    return t("did you mean {names}?", names=", ".join(show(name) for name in near)) if near else t("check the path")


def _pairs(path: Path, text: str) -> Iterator[tuple[str, Value, int]]:
    from ruamel.yaml import YAML, events
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        stream = iter(YAML(typ="safe", pure=True).parse(text))
        yield from _mapping(path, stream, events)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _refused(
            path, line, t("this is not YAML: {reason}", reason=show(error.problem or error.context, 120))
        ) from error
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise _refused(path, 1, t("this is not YAML: {reason}", reason=show(error, 120))) from error


def _mapping(path: Path, stream: Iterator[Any], events: Any) -> Iterator[tuple[str, Value, int]]:
    """``events`` is ruamel's module of event classes, imported late because ``--help`` needs none of it."""
    top = next(
        (event for event in stream if not isinstance(event, events.StreamStartEvent | events.DocumentStartEvent)), None
    )
    if top is None or isinstance(top, events.StreamEndEvent | events.DocumentEndEvent):
        return
    if isinstance(top, events.ScalarEvent) and _scalar(path, top) is None:
        return
    if not isinstance(top, events.MappingStartEvent):
        raise _refused(path, top.start_mark.line + 1, t("a settings file is a list of lines  name: value"))
    _refuse_tag_and_anchor(path, top)
    for key in stream:
        if isinstance(key, events.MappingEndEvent):
            break
        line = key.start_mark.line + 1
        if not isinstance(key, events.ScalarEvent):
            raise _refused(path, line, t("a setting's name must be plain text"))
        _refuse_tag_and_anchor(path, key)
        yield str(key.value), _value(path, next(stream), stream, events), line
    for event in stream:
        if isinstance(event, events.DocumentStartEvent):
            raise _refused(path, event.start_mark.line + 1, t("a second YAML document starts here; only one is read"))


def _value(path: Path, event: Any, stream: Iterator[Any], events: Any) -> Value:
    if isinstance(event, events.ScalarEvent):
        return _scalar(path, event)
    line = event.start_mark.line + 1
    if isinstance(event, events.AliasEvent):
        raise _refused(path, line, t("YAML aliases (*name) are not used here"), t("write the value out"))
    if not isinstance(event, events.SequenceStartEvent):
        raise _refused(
            path,
            line,
            t("settings are flat: no name stands inside another"),
            t("write each setting as a line of its own"),
        )
    _refuse_tag_and_anchor(path, event)
    values: list[str] = []
    for item in stream:
        if isinstance(item, events.SequenceEndEvent):
            break
        if not isinstance(item, events.ScalarEvent):
            raise _refused(path, item.start_mark.line + 1, t("a list may hold only plain values"))
        values.append(_scalar(path, item) or "")
    return tuple(values)


def _scalar(path: Path, event: Any) -> str | None:
    _refuse_tag_and_anchor(path, event)
    plain = event.style is None
    return None if plain and event.value in _NULLS else str(event.value)


def _refuse_tag_and_anchor(path: Path, event: Any) -> None:
    line = event.start_mark.line + 1
    if event.tag is not None:
        raise _refused(
            path,
            line,
            t("YAML tags ({tag}) are not used here", tag=show(event.tag)),
            t("write the plain value; the setting decides its type"),
        )
    if event.anchor is not None:
        raise _refused(
            path, line, t("YAML anchors (&{name}) are not used here", name=show(event.anchor)), t("write the value out")
        )


def _refused(path: Path, line: int, problem: str, hint: str = "") -> SettingsError:
    hint = hint or t("write one setting on each line, like  learning_rate: 1e-4")
    return SettingsError(f"{path.name}:{line}: {problem}", hint)
