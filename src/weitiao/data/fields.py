"""Reading one field of a record: as a text, as a label; and saying exactly what is wrong with it when it is neither.

Separate because every shape reads fields, and a row that does not fit is dropped with the same words everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from weitiao.data.files import near_names
from weitiao.data.json_values import kind_of
from weitiao.data.visible import visible
from weitiao.example import Categories, Category
from weitiao.words import t


class Unfit(Exception):  # noqa: N818 - no error: the row is dropped, counted and said
    """This record cannot become an example. Holds the stable reason code and the detail for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def text_of(fields: Mapping[str, object], name: str) -> str:
    """The text in field ``name``, as it is; Unfit when it is missing, empty or no text."""
    value = fields.get(name)
    if isinstance(value, str) and value.strip():
        return value
    optional_text(fields, name)
    raise Unfit("empty_text", t("`{field}` is empty", field=visible(name, 60)))


def optional_text(fields: Mapping[str, object], name: str) -> str:
    """The text in field ``name``, "" for null; Unfit when the field is missing or holds no text."""
    try:
        value = fields[name]
    except KeyError:
        raise missing_field(fields, name) from None
    return as_text(value, name)


def as_text(value: object, path: str) -> str:
    """``value`` as text, "" for null; ``path`` names it: ``messages[2].content``."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise wrong_type(value, path, t("a text"))


def missing_field(fields: Mapping[str, object], name: str) -> Unfit:
    """A record without the field; names the nearest that it has."""
    near = near_names(name, fields)
    shown = visible(name, 60)
    if near:
        return Unfit("missing_field", t("has no `{field}`; nearest: `{near}`", field=shown, near=visible(near[0], 60)))
    return Unfit("missing_field", t("has no `{field}`", field=shown))


def wrong_type(value: object, path: str, wanted: str) -> Unfit:
    """A field that holds something else than what was ``wanted``."""
    return Unfit(
        "wrong_type",
        t("`{path}` is {found}, not {wanted}", path=visible(path, 80), found=kind_of(value), wanted=wanted),
    )


def label_name(value: object, path: str) -> str:
    """The name of a category: a text without outer spaces, a number or a truth value as JSON writes it; "" for none."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value != value:  # a NaN of Parquet marks a missing value
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    raise wrong_type(value, path, t("a category"))


def label_names(value: object, path: str) -> list[str] | None:
    """The names in a list of categories, also when a table cell holds it as JSON; None when ``value`` is no list."""
    if isinstance(value, str) and value.startswith("[") and value.rstrip().endswith("]"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list):
        return None
    return [name for item in value if (name := label_name(item, path))]


def label_of(value: object, path: str, several: bool) -> Category | Categories | None:
    """The label that ``value`` says; None for none. ``several``: the data set allows any number of categories a row."""
    if isinstance(value, str) and not several and not value.startswith("["):
        name = value.strip()
        return Category(name) if name else None
    names = label_names(value, path)
    if several:
        if names is None:
            name = label_name(value, path)
            names = [name] if name else None
        return None if names is None else Categories(tuple(dict.fromkeys(names)))
    if names is None:
        name = label_name(value, path)
    elif len(names) > 1:
        raise Unfit(
            "wrong_type", t("`{path}` holds {count} categories where other rows hold one", path=path, count=len(names))
        )
    else:
        name = names[0] if names else ""
    return Category(name) if name else None
