"""The directory that a run's relative paths mean: where it was begun, also when it is used from elsewhere.

Separate because whoever reads a run's own data again needs it. Nothing about it is written down: the run's folder was
named relative to the same directory, so that a whole project can be moved.
"""

from __future__ import annotations

from pathlib import Path

from weitiao.data.dataset_info import INFO_NAME
from weitiao.data.samples import SAMPLES
from weitiao.errors import DataError
from weitiao.run import Run
from weitiao.settings import Settings
from weitiao.words import t

_USUAL = ("runs", "comparisons")  # where a folder lies that was not named
_DATA = ("data", "dev", "test")
_PATHS = (*_DATA, "model", "tokenizer", "template")


def begun_in(run: Run, own: Settings) -> Path:
    """The directory in which the relative paths of ``own``, the run's settings, are found.

    That is where the run was begun as its folder tells, else the current one. Raises DataError for data that are not
    there.
    """
    sought = [path for name in _PATHS if (path := _relative(getattr(own, name)))]
    places = [*_told_by(run.folder.resolve(), own), Path.cwd()]
    best = max(places, key=lambda place: sum(_lies_in(place, path) for path in sought))  # of equals the first
    for name in _DATA:
        path = _relative(getattr(own, name))
        if path and str(path) not in SAMPLES and not _lies_in(best, path):
            raise DataError(
                t(
                    "{run} was begun with the relative path {path}, and {folder} has no such file",
                    run=run.folder,
                    path=path,
                    folder=best,
                ),
                t("put it there, or give the same command in the directory where the run was begun"),
            )
    return best


def with_paths_in(folder: Path, own: Settings) -> Settings:
    """``own`` with relative paths of data that lie in ``folder`` made to lead there."""
    paths = {name: path for name in _DATA if (path := _relative(getattr(own, name)))}
    return own.model_copy(update={name: str(folder / path) for name, path in paths.items() if _lies_in(folder, path)})


def _told_by(folder: Path, own: Settings) -> list[Path]:
    """The directory from which a run's ``folder`` bears the name that its settings gave it; none where it does not."""
    usual = folder.parent.name if folder.parent.name in _USUAL else _USUAL[0]
    named = Path(own.output_dir) if own.output_dir else Path(usual, folder.name)
    if named.is_absolute() or ".." in named.parts or folder.parts[-len(named.parts) :] != named.parts:
        return []
    return [Path(*folder.parts[: -len(named.parts)])]


def _relative(value: str | None) -> Path | None:
    path = Path(value) if value else None
    return None if path is None or path.is_absolute() else path


def _lies_in(folder: Path, path: Path) -> bool:
    place = folder / path
    return place.exists() or (place.parent / INFO_NAME).is_file()
