"""The flags of a command that takes settings and has some of its own, which are no settings of a run.

Separate because several commands have such flags, and a setting that has no effect must not pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from weitiao.errors import SettingsError
from weitiao.words import t


def take_flags(
    arguments: Sequence[str], valued: Collection[str], switches: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """The command's own flags by name (``top_k``), and the other arguments. ``switches`` stand alone, and give ``yes``.

    ``--name value``, ``--name=value`` and ``name=value`` are the same. Raises SettingsError when a value is missing.
    """
    found: dict[str, str] = {}
    others: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        said, equals, value = word.partition("=")
        name = said.removeprefix("--").replace("-", "_")
        flag = said.startswith("--")
        if name in switches and flag and not equals:
            found[name] = "yes"
        elif name in valued and (flag or equals):
            if not equals and (not words or words[0].startswith("--")):
                raise SettingsError(
                    t("{flag} needs a value", flag=said), t("write {flag} VALUE or {flag}=VALUE", flag=said)
                )
            found[name] = value if equals else words.pop(0)
        else:
            others.append(word)
    return found, others


def refuse_comparison(given: Iterable[str], command: str) -> None:
    """Raise SettingsError for settings of a comparison: no other command reads them."""
    from weitiao.settings import comparison_names

    unused = sorted(comparison_names() & set(given))
    if unused:
        raise SettingsError(
            t("weitiao {command} has no use for {names}", command=command, names=", ".join(unused)),
            t("leave it out: it is a setting of weitiao compare"),
        )


def refuse_unused(given: Iterable[str], used: Collection[str], command: str) -> None:
    """Raise SettingsError for settings of a run that have no effect on ``command``."""
    unused = sorted(set(given) - set(used))
    if unused:
        raise SettingsError(
            t("weitiao {command} has no use for {names}", command=command, names=", ".join(unused)),
            t("leave it out; these have an effect: {names}", names=", ".join(sorted(used))),
        )
