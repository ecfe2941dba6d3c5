"""Whether the run's folder may be where the settings put it, looked at before anything is written.

Separate because it is the only part of the settings that looks at the disk.
"""

from __future__ import annotations

from pathlib import Path

from weitiao.errors import SettingsError
from weitiao.settings.schema import Settings
from weitiao.settings.written import show
from weitiao.words import t


def check_output_dir(settings: Settings) -> None:
    """Raise SettingsError where ``output_dir`` is a file, the root or home folder, or lies inside an input."""
    if settings.output_dir is None:
        return
    folder = Path(settings.output_dir)
    resolved = folder.resolve()
    if resolved == Path(resolved.anchor) or resolved == Path.home().resolve():
        raise _refused(settings.output_dir, t("is the root or home folder"))
    for part in (resolved, *resolved.parents):
        if part.exists() and not part.is_dir():
            raise _refused(
                settings.output_dir,
                t("is a file") if part == resolved else t("lies under a file, {path}", path=show(part)),
            )
    for name in ("data", "dev", "test", "model"):
        given = getattr(settings, name)
        source = Path(given).resolve() if given else None
        if source and source.is_dir() and resolved.is_relative_to(source):
            raise _refused(settings.output_dir, t("lies inside {name}, {path}", name=name, path=show(Path(given))))


def _refused(value: str, reason: str) -> SettingsError:
    return SettingsError(
        t("output_dir {value} {reason}", value=show(Path(value)), reason=reason),
        t("name a new folder, like --output-dir runs/first"),
    )
