"""What may be written for each setting: its shape, choices and bounds, read off the schema, and the value of a text.

Separate because the flags, the settings file, the errors and the reference page must all say the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from weitiao.settings.schema import Group, Settings
from weitiao.settings.written import Value
from weitiao.words import language, t, translations

Shape = Literal["text", "whole", "number", "switch", "choice", "names"]

YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})
_WHOLE = re.compile(r"[+-]?[0-9][0-9_]{0,40}")
_NUMBER = re.compile(r"[+-]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_LONGEST_NUMBER = 60


@dataclass(frozen=True, slots=True)
class Form:
    """One setting: what it is called, what it takes, and between which bounds (``None``: no bound)."""

    name: str
    group: Group
    description: str
    shape: Shape
    optional: bool
    default: Any
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    least_open: bool = False
    most_open: bool = False

    def rule(self) -> str:
        """What a value must be, as a sentence part for people: ``must be a number more than 0 and at most 1``."""
        kinds = {
            "text": t("must be text"),
            "whole": t("must be a whole number"),
            "number": t("must be a number"),
            "switch": t("must be yes or no"),
            "choice": t("must be one of {names}", names=", ".join(self.choices)),
            "names": t("must be all, or names separated by commas"),
        }
        return (
            t("{rule}, {bounds}", rule=kinds[self.shape], bounds=self.bounds()) if self.bounds() else kinds[self.shape]
        )

    def explained(self) -> str:
        """The description in the current language."""
        return translations().get(self.description, self.description) if language() == "zh" else self.description

    def bounds(self) -> str:
        """``more than 0 and at most 1``, or empty."""
        low, high = _figure(self.least), _figure(self.most)
        parts = []
        if low:
            parts.append(t("more than {low}", low=low) if self.least_open else t("at least {low}", low=low))
        if high:
            parts.append(t("less than {high}", high=high) if self.most_open else t("at most {high}", high=high))
        return t(" and ").join(parts)


@cache
def forms() -> dict[str, Form]:
    """Every setting's form, by name, in the order of the schema."""
    return {name: _form(name, field) for name, field in Settings.model_fields.items()}


def convert(form: Form, value: Value) -> object:
    """The value that ``form`` makes of a text; None stays None. Raises ValueError when the text has another shape."""
    if value is None:
        return None
    if form.shape == "names":
        return _names(value)
    if isinstance(value, tuple):
        raise ValueError(value)
    if form.shape in ("whole", "number"):
        return _number(value, whole=form.shape == "whole")
    if form.shape == "switch":
        return _switch(value)
    return value


def comparison_names() -> frozenset[str]:
    """The settings that only ``weitiao compare`` reads: a run has no use for them."""
    return frozenset(name for name, form in forms().items() if form.group == "comparison")


def _names(value: str | tuple[str, ...]) -> object:
    if value in ("all", ("all",)):
        return "all"
    parts = value.split(",") if isinstance(value, str) else value
    names = tuple(part.strip() for part in parts if part.strip())
    if not names:
        raise ValueError(value)
    return names


def _number(text: str, whole: bool) -> int | float:
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text) if whole else float(text)
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise ValueError(text)
    number = float(text)
    if not whole:
        return number
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _switch(text: str) -> bool:
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise ValueError(text)


def _form(name: str, field: FieldInfo) -> Form:
    options = _options(field.annotation)
    optional = NoneType in options
    options = [option for option in options if option is not NoneType]
    choices = tuple(choice for option in options if get_origin(option) is Literal for choice in get_args(option))
    extra: Any = field.json_schema_extra
    limits: dict[str, Any] = {}
    for bound in field.metadata:
        match bound:
            case annotated_types.Ge(ge=low) | annotated_types.Gt(gt=low):
                limits |= {"least": low, "least_open": isinstance(bound, annotated_types.Gt)}
            case annotated_types.Le(le=high) | annotated_types.Lt(lt=high):
                limits |= {"most": high, "most_open": isinstance(bound, annotated_types.Lt)}
            case _:
                pass
    return Form(
        name=name,
        group=extra["group"],
        description=field.description or "",
        shape=_shape(options),
        optional=optional,
        default=field.default,
        choices=choices,
        **limits,
    )


def _options(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for part in get_args(annotation) for option in _options(part)]
    return [annotation]


def _shape(options: list[Any]) -> Shape:
    if any(get_origin(option) is tuple for option in options):
        return "names"
    if get_origin(options[0]) is Literal:
        return "choice"
    return {str: "text", int: "whole", float: "number", bool: "switch"}[options[0]]  # type: ignore[return-value]


def _figure(bound: float | None) -> str:
    return "" if bound is None else f"{bound:,}".replace(",", "") if bound < 2**53 else "2^63"
