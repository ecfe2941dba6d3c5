"""From flags and a settings file to :class:`Settings`: read, translate, let the flags win, convert, validate.

Separate from the schema, because everything here is about what people write and where they wrote it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from weitiao.errors import SettingsError
from weitiao.settings.aliases import CANONICAL
from weitiao.settings.allowed import LORA_KINDS
from weitiao.settings.flags import read_flags
from weitiao.settings.foreign import CONVERSIONS, Answer, translate
from weitiao.settings.forms import Form, convert, forms
from weitiao.settings.llamafactory import is_llamafactory, llamafactory
from weitiao.settings.output_folder import check_output_dir
from weitiao.settings.schema import Contradiction, Settings
from weitiao.settings.settings_file import read_settings_file
from weitiao.settings.unneeded import SWITCHES, unneeded, unsupported
from weitiao.settings.written import Translation, Written, show, spelled
from weitiao.words import t

VERSION = 1
"""Of settings.yaml. A file without a version is of this one."""

_PATHS = frozenset({"data", "dev", "test", "model", "tokenizer", "template", "output_dir"})
_FILES = (".yaml", ".yml", ".json")
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Parsed:
    """The settings, the canonical names that were given, what foreign names became, and sentences to say about it."""

    settings: Settings
    given: frozenset[str]
    translations: tuple[Translation, ...]
    notes: tuple[str, ...] = ()


def parse_settings(
    arguments: Sequence[str], word: str | None = None, required: Sequence[str] = ("model", "data")
) -> Parsed:
    """Read the command line of a command. Raises SettingsError that names the value, its place and the way out.

    A word that is no flag is the path of a settings file; with ``word`` it is the value of that setting, and the file
    is given with ``--config FILE``. ``required`` are the settings that must be given.
    """
    files, flags = _read(arguments, word)
    everything = files + flags
    foreign = is_llamafactory(everything)
    dialect = llamafactory(everything) if foreign else translate
    from_files, shown_of_files = _translated(files, dialect)
    from_flags, shown_of_flags = _translated(flags, dialect)
    merged = _once(from_files) | _once(from_flags)
    given = {name: piece for name, piece in merged.items() if piece.value is not None}
    settings = _settings(given)
    _require(settings, required)
    check_output_dir(settings)
    notes = (t("read as a LLaMA-Factory config; what it does not set takes Weitiao's own defaults"),) if foreign else ()
    return Parsed(settings, frozenset(given), tuple(shown_of_files + shown_of_flags), notes)


def make_settings(values: Mapping[str, object]) -> Settings:
    """Settings from Python values under canonical names. Paths and lists are taken too. Raises SettingsError."""
    for name in values:
        if name not in forms():
            raise _unknown(Written(name, "", name))
    plain = {name: _expanded(name, _plain(value)) for name, value in values.items() if value is not None}
    return _validated(plain, {name: Written(name, show(value), name) for name, value in plain.items()}, [])


def _read(arguments: Sequence[str], word: str | None) -> tuple[list[Written], list[Written]]:
    """What stands in settings files, and what on the command line."""
    switches = SWITCHES | {name for name, form in forms().items() if form.shape == "switch"}
    switches |= {alias for alias, name in CANONICAL.items() if name in switches}
    line = read_flags(arguments, switches)
    paths = [piece.value for piece in line.written if piece.name == "config" and isinstance(piece.value, str)]
    flags = [piece for piece in line.written if piece.name != "config"]
    for found in line.words:
        if word is not None:
            flags.append(Written(word, found, word))
        elif found.lower().endswith(_FILES) or Path(found).exists():
            paths.append(found)
        else:
            raise _unexpected(found)
    if len(paths) > 1:
        raise SettingsError(
            t("{count} settings files are given: {names}", count=len(paths), names=show(tuple(paths))),
            t("give one; flags overrule it"),
        )
    return [piece for path in paths for piece in _current(path)], flags


def _current(path: str) -> list[Written]:
    """What the file says, without its version, which must be one that is known."""
    pieces = read_settings_file(Path(path))
    for piece in pieces:
        if piece.name == "version" and piece.value != str(VERSION):
            raise SettingsError(
                t(
                    "{where}: {value} is a newer version than {known}, or none",
                    where=piece.where,
                    value=piece.shown,
                    known=VERSION,
                ),
                t("update Weitiao, or delete the line if you wrote the file yourself"),
            )
    return [piece for piece in pieces if piece.name != "version"]


def _unexpected(found: str) -> SettingsError:
    near = difflib.get_close_matches(spelled(found), forms(), n=1)
    hint = (
        t("write --{name} VALUE", name=near[0].replace("_", "-"))
        if near
        else t("settings are written --name VALUE or name=VALUE, lists with commas")
    )
    return SettingsError(t("unexpected {word}", word=show(found)), hint)


def _translated(
    pieces: Sequence[Written], dialect: Callable[[Written], Answer | None]
) -> tuple[list[Written], list[Translation]]:
    settings: list[Written] = []
    translations: list[Translation] = []
    for piece in pieces:
        answer = dialect(piece)
        if answer is None:
            raise _unknown(piece)
        settings += answer[0]
        translations += [answer[1]] if answer[1] else []
    return settings, translations


def _unknown(piece: Written) -> SettingsError:
    known = [*forms(), *CANONICAL, *CONVERSIONS, *unneeded(), *unsupported()]
    lowered = piece.name.lower()
    near = difflib.get_close_matches(lowered, forms(), n=1, cutoff=0.7) or difflib.get_close_matches(
        lowered, known, n=1
    )
    if piece.name in CANONICAL:
        near = [CANONICAL[piece.name]]
    flag = piece.said.startswith("--")
    where = f"{piece.place}: {show(piece.said)}" if piece.place else show(piece.said)
    name = f"--{near[0].replace('_', '-')}" if near and flag else near[0] if near else ""
    hint = t("did you mean {names}?", names=name) if near else t("weitiao train --help lists every setting")
    return SettingsError(t("{where} is not a setting", where=where), hint)


def _once(pieces: Sequence[Written]) -> dict[str, Written]:
    """Each setting once. Raises SettingsError when one is given twice with different values."""
    merged: dict[str, Written] = {}
    for piece in pieces:
        earlier = merged.get(piece.name)
        if earlier and earlier.name == "method":
            earlier, piece = _more_precise(earlier, piece)
        if earlier and _differ(earlier, piece):
            raise SettingsError(
                t(
                    "{first} is {value}, but {second} is {other}",
                    first=earlier.where,
                    value=earlier.shown,
                    second=piece.where,
                    other=piece.shown,
                ),
                t("both set {name}: give it once", name=piece.name),
            )
        merged[piece.name] = piece
    return merged


def _more_precise(one: Written, other: Written) -> tuple[Written, Written]:
    """Twice the method that says more, where the other is LoRA and this one of its kinds; else both as they are."""
    if one.value == "lora" and other.value in LORA_KINDS:
        return other, other
    return (one, one) if other.value == "lora" and one.value in LORA_KINDS else (one, other)


def _differ(one: Written, other: Written) -> bool:
    form = forms()[one.name]
    try:
        return convert(form, one.value) != convert(form, other.value)
    except ValueError:
        return one.value != other.value


def _settings(given: Mapping[str, Written]) -> Settings:
    values: dict[str, object] = {}
    problems: list[tuple[str, str]] = []
    for name, piece in given.items():
        form = forms()[name]
        try:
            values[name] = _expanded(name, convert(form, piece.value))
        except ValueError:
            problems.append(_wrong(piece, form.rule()))
    return _validated(values, given, problems)


def _validated(values: Mapping[str, object], given: Mapping[str, Written], problems: list[tuple[str, str]]) -> Settings:
    """The settings. ``problems`` (with hints) were found before; they and pydantic's are raised together."""
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as error:
        named: dict[str, tuple[str, str]] = {}
        for entry in error.errors(include_url=False):
            problem = _problem(entry, given)
            named.setdefault(str(entry["loc"][0]) if entry["loc"] else problem[0], problem)
        problems = problems + list(named.values())
    if not problems:
        return settings
    if len(problems) == 1:
        raise SettingsError(*problems[0])
    lines = [problem for problem, _ in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        lines.append("…")
    raise SettingsError("\n  ".join([t("{count} settings are wrong:", count=len(problems)), *lines]), problems[0][1])


def _problem(entry: Any, given: Mapping[str, Written]) -> tuple[str, str]:
    """One error of pydantic's as problem and hint."""
    raised = entry.get("ctx", {}).get("error")
    if isinstance(raised, Contradiction):
        places = [given[name].place for name in raised.names if name in given and given[name].place]
        return (f"{places[0]}: {raised.problem}" if places else raised.problem), raised.hint
    name = str(entry["loc"][0])
    return _wrong(given[name], str(raised) if raised else forms()[name].rule())


def _wrong(piece: Written, rule: str) -> tuple[str, str]:
    problem = t("{where} is {value}, but it {rule}", where=piece.where, value=piece.shown, rule=rule)
    return problem, _way_out(forms()[piece.name])


def _way_out(form: Form) -> str:
    if form.default in (None, ""):
        return f"{form.name}: {form.explained()}"
    return t("the default of {name} is {value}", name=form.name, value=show(form.default))


def _require(settings: Settings, names: Sequence[str]) -> None:
    examples = {"model": "--model smollm2-135m-instruct", "data": "--data reviews.csv"}
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        usage = " ".join(examples.get(name, f"--{name.replace('_', '-')} VALUE") for name in missing)
        raise SettingsError(
            t("not given: {names}", names=", ".join(missing)), t("add it, for example: {usage}", usage=usage)
        )


def _expanded(name: str, value: object) -> object:
    """A path that begins with ``~`` with the home folder in its place, which no shell does after ``=`` or in a file."""
    if name in _PATHS and isinstance(value, str) and value.split("/")[0] == "~":
        return str(Path(value).expanduser())
    return value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return tuple(value) if isinstance(value, list) else value
