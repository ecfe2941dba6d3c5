"""Which model is meant: a sample's name, a folder, a GGUF file, a run or an adapter becomes files on this disk.

Separate from loading because it needs no torch: checking data, planning and listing want to know the model, not run it.
Nothing is ever fetched from a model hub; a model that a hub's own client has put into its cache is found by its name.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from weitiao.data.samples import SAMPLES, cache_folder, fetch
from weitiao.errors import ModelError
from weitiao.models.files import ADAPTER_CONFIG, check_adapter, check_folder, read_object
from weitiao.models.fingerprint import adapter_digest, file_digest, folder_digest, weights_digest
from weitiao.models.presets import preset_of
from weitiao.words import t

Progress = Callable[[int, int, str], None]
BASE_NOTE = "weitiao.json"  # beside an adapter: {"base": the digest of the weights that it was made for}


@dataclass(frozen=True)
class ModelSource:
    """A model on this disk, checked. ``digest`` changes with anything that changes what the model says."""

    name: str  # as the user wrote it
    folder: Path  # the whole model, in transformers' layout
    adapter: Path | None  # a PEFT adapter on top of it
    run: Path | None  # the run whose result it is
    digest: str  # 16 hex digits over weights, configuration, tokenizer and adapter

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer and the chat template are: beside the adapter when it has its own, else the model's."""
        return self.adapter if self.adapter and (self.adapter / "tokenizer.json").is_file() else self.folder


def resolve(name: str, on_progress: Progress | None = None) -> ModelSource:
    """The model called ``name``: a sample, a folder, a GGUF file or a folder with one, a run, an adapter; checked.

    A sample is fetched, and a GGUF file is converted, the first time; ``on_progress`` is told of the fetching.
    Raises ModelError, and MachineError when fetching or converting lacks something.
    """
    place = _place(name, on_progress)
    run = _run_of(place)
    result = place / "model" if run == place else place
    if not result.exists():
        raise ModelError(
            t("{run} has no result yet", run=place), t("let it finish first: weitiao train {run}", run=place)
        )
    if (result / ADAPTER_CONFIG).is_file() and not (result / "config.json").is_file():
        return _with_adapter(name, result, run)
    folder = _plain_folder(result)
    check_folder(folder)
    return ModelSource(name, folder, None, run, folder_digest(folder))


def _with_adapter(name: str, adapter: Path, run: Path | None) -> ModelSource:
    stated = check_adapter(adapter).get("base_model_name_or_path")
    folder = _base_of(adapter, stated if isinstance(stated, str) else "")
    check_folder(folder)
    made_for = read_object(adapter / BASE_NOTE).get("base") if (adapter / BASE_NOTE).is_file() else None
    here = weights_digest(folder)
    if made_for is not None and made_for != here:
        raise ModelError(
            t(
                "the adapter {adapter} was made for another base: {wanted}, not {digest}",
                adapter=adapter,
                wanted=made_for,
                digest=here,
            ),
            t("the model in {folder} has changed since; put the one it was tuned on back", folder=folder),
        )
    both = f"{folder_digest(folder)} {adapter_digest(adapter)}"
    return ModelSource(name, folder, adapter, run, hashlib.sha256(both.encode()).hexdigest()[:16])


def _place(name: str, on_progress: Progress | None) -> Path:
    """The folder or GGUF file that ``name`` means."""
    if name in SAMPLES:
        if SAMPLES[name].kind != "model":
            raise ModelError(
                t("{name} is a data set, not a model", name=name), t("there are: {names}", names=", ".join(_models()))
            )
        return fetch(name, on_progress)
    if preset_of(name):
        raise ModelError(
            t("{name} is a fresh model, which knows nothing yet", name=name),
            t("make one of it first, and pass its run: weitiao train --model {name} --data TEXTS", name=name),
        )
    path = Path(name).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
        return path.resolve() if path.is_file() else path.absolute()
    if path.exists():
        raise ModelError(
            t("{path} is not a model", path=name),
            t("pass the folder of a model, a .gguf file, a run or a sample's name"),
        )
    cached = _hub_snapshot(name)
    if cached:
        return cached
    raise _unknown(name)


def _plain_folder(place: Path) -> Path:
    """``place`` itself, or what its GGUF file was converted into."""
    if (place / "config.json").is_file():
        return place
    found = sorted(place.glob("*.gguf")) if place.is_dir() else [place]
    if not found:
        return place  # what is missing is for the checks to say
    if len(found) > 1:
        raise ModelError(
            t("{folder} holds several models: {files}", folder=place, files=", ".join(file.name for file in found[:5])),
            t("name one of the files"),
        )
    return _converted(found[0])


def _converted(gguf_file: Path) -> Path:
    folder = cache_folder() / "converted" / file_digest(gguf_file)[:16]
    if folder.is_dir():
        return folder
    from weitiao.models.gguf import convert  # inside: needs torch, and only the first time

    return convert(gguf_file, folder)


def _base_of(adapter: Path, stated: str) -> Path:
    """The folder of the model under an adapter. Raises ModelError."""
    path = Path(stated).expanduser()
    candidates = [path, adapter / path]  # PEFT takes the first; the second lets a folder of both be moved
    if path.parent.name == "converted":
        candidates.append(cache_folder() / "converted" / path.name)  # named by content: the same model in another cache
    for candidate in candidates:
        if stated and (candidate / "config.json").is_file():
            return candidate.absolute()
    cached = _hub_snapshot(stated)
    if cached:
        return cached
    raise ModelError(
        t("the base model of the adapter {adapter} is not here: {base}", adapter=adapter, base=stated or "?"),
        t("put it there, or write its folder into base_model_name_or_path of {file}", file=adapter / ADAPTER_CONFIG),
    )


def _run_of(place: Path) -> Path | None:
    """The run that ``place`` is, or whose result it is."""
    for folder in (place, place.parent):
        if (folder / "settings.yaml").is_file() and (folder / "lineage.json").is_file():
            return folder if folder == place or place.name == "model" else None
    return None


def _hub_snapshot(name: str) -> Path | None:
    """The folder of ``owner/model`` in the cache that a hub's own client keeps; nothing is fetched."""
    owner, _, model = name.partition("/")
    if not owner or not model or "/" in model or owner.startswith("."):
        return None
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    root = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub") / f"models--{owner}--{model}"
    try:
        snapshot = root / "snapshots" / (root / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return snapshot if snapshot.is_dir() else None


def _models() -> list[str]:
    return [name for name, sample in SAMPLES.items() if sample.kind == "model"]


def _unknown(name: str) -> ModelError:
    near = difflib.get_close_matches(name, [*_models(), *_neighbours(name)], n=3)
    if near:
        hint = t("did you mean {name}?", name=", ".join(near))
    elif name.count("/") == 1 and not name.startswith((".", "/", "~")):
        hint = t("nothing is fetched from a model hub: fetch {name} with its client, and pass the folder", name=name)
    else:
        hint = t("pass a folder, a .gguf file, a run, or one of: {names}", names=", ".join(_models()))
    return ModelError(t("there is no model {name}", name=name), hint)


def _neighbours(name: str) -> list[str]:
    """What lies where ``name`` points, and where runs usually are, spelled as the user would."""
    parent = Path(name).expanduser().parent
    found: list[str] = []
    for folder in dict.fromkeys((parent, Path("runs"))):
        if folder.is_dir():
            found += [
                str(entry) for entry in sorted(folder.iterdir())[:1000] if entry.is_dir() or entry.suffix == ".gguf"
            ]
    return found
