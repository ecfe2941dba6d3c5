"""What is written about the settings: the reference page in both languages, and the part of ``--help`` that lists them.

Separate because both are made from the schema, never by hand; a test compares the committed pages with these functions.
"""

from __future__ import annotations

from collections.abc import Collection
from contextvars import copy_context
from pathlib import Path

from weitiao.settings.aliases import ALIASES, CANONICAL
from weitiao.settings.foreign import CONVERSIONS
from weitiao.settings.forms import Form, forms
from weitiao.settings.unneeded import unneeded, unsupported
from weitiao.settings.written import show
from weitiao.terminal import wrapped
from weitiao.words import Language, set_language, t

PAGES: dict[Language, str] = {"en": "settings.md", "zh": "settings.zh-CN.md"}
"""The file name of the page in each language."""


def settings_reference(language: Language) -> str:
    """The Markdown page ``docs/reference/settings.md`` in ``language``."""

    def page() -> str:
        set_language(language)
        return _page()

    return copy_context().run(page)


def write_reference(folder: Path) -> None:
    """Write the page in both languages into ``folder``."""
    for language, name in PAGES.items():
        (folder / name).write_text(settings_reference(language), encoding="utf-8")


def settings_help(width: int = 100, used: Collection[str] | None = None) -> str:
    """Every setting, or those ``used``, as a flag with its description and default, by group, in the current words."""
    titles, lines = _titles(), []
    for group, every in _groups().items():
        members = [form for form in every if used is None or form.name in used]
        if not members:
            continue
        lines += [f"{titles[group]}:"]
        for form in members:
            default = "" if form.default in (None, "") else t(" Default: {value}.", value=show(form.default))
            lines += [f"  --{form.name.replace('_', '-')} {_type(form)}"]
            lines += wrapped(form.explained() + default, width, indent=6)
        lines += [""]
    return "\n".join(lines).rstrip()


def _page() -> str:
    titles = _titles()
    lines = [
        f"# {t('Settings')}",
        "",
        t("Made from the code by `python -m weitiao.settings docs/reference`; change the schema, not this page."),
        "",
        t("A setting is given as a flag, as `name=value`, or as a line of a YAML file; flags win over the file:"),
        "",
        "```sh",
        "weitiao train --model smollm2-135m-instruct --data sms.csv --learning-rate 1e-4",
        "weitiao train settings.yaml learning_rate=1e-4",
        "```",
        "",
        t("Where the default is –, the value is derived when the run starts and told with its reason, or not used."),
        "",
    ]
    heads = (t("name"), t("type"), t("default"), t("range"), t("what it is"), t("other names"))
    for group, members in _groups().items():
        lines += [f"## {titles[group]}", ""]
        lines += [f"| {' | '.join(heads)} |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_row(form) for form in members]
        lines += [""]
    lines += _foreign()
    return "\n".join(lines).rstrip() + "\n"


def _foreign() -> list[str]:
    """What else is read of the configs of other trainers."""
    converted = sorted(set(CONVERSIONS) - set(forms()) - set(CANONICAL))
    lines = [f"## {t('Names of other trainers')}", ""]
    lines += [t("The other names above mean the same. Of these, the value is translated, too, and shown:"), ""]
    lines += [" ".join(f"`{name}`" for name in converted), ""]
    lines += [t("A LLaMA-Factory config of `stage: sft` is read as it is, each field with what becomes of it."), ""]
    lines += [f"| {t('names')} | {t('what becomes of them')} |", "|---|---|"]
    refused = {name: t("refused: {reason}", reason=reason) for name, reason in unsupported().items()}
    by_reason: dict[str, list[str]] = {}
    for name, reason in (unneeded() | refused).items():
        by_reason.setdefault(reason, []).append(f"`{name}`")
    lines += [f"| {' '.join(names)} | {reason} |" for reason, names in by_reason.items()]
    return lines


def _row(form: Form) -> str:
    default = "–" if form.optional else f"`{show(form.default)}`" if form.default != "" else t("required by train")
    others = " ".join(f"`{name}`" for name in ALIASES.get(form.name, ()))
    cells = (f"`{form.name}`", _type(form), default, form.bounds(), form.explained(), others)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(form: Form) -> str:
    if form.shape == "choice":
        return ", ".join(form.choices)
    return {
        "text": t("TEXT"),
        "whole": t("WHOLE NUMBER"),
        "number": t("NUMBER"),
        "switch": t("YES OR NO"),
        "names": t("NAMES"),
    }[form.shape]


def _groups() -> dict[str, list[Form]]:
    groups: dict[str, list[Form]] = {}
    for form in forms().values():
        groups.setdefault(form.group, []).append(form)
    return groups


def _titles() -> dict[str, str]:
    return {
        "data": t("Data"),
        "model": t("Model"),
        "method": t("Method"),
        "training": t("Training"),
        "evaluation": t("Evaluation"),
        "comparison": t("Comparison"),
        "output": t("Output"),
    }
