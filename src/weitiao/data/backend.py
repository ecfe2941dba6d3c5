"""A build backend that states a package's name and version and builds nothing.

Separate because it is no part of the library: the user's package client runs it in the place of a source package's
own build backend. A client prepares a source archive's metadata even where only the download is asked for, and would
thereby fetch a build system and run code of the package. With this in its place nothing of the package runs. Standard
library only.
"""

import os
import sys
from pathlib import Path

NAME_VARIABLE = "WEITIAO_PACKAGE_NAME"
VERSION_VARIABLE = "WEITIAO_PACKAGE_VERSION"

# setuptools' backend for packages without a pyproject.toml is an object of this name.
__legacy__ = sys.modules[__name__]


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """Write the metadata folder, whose name is returned (PEP 517)."""
    name, version = os.environ[NAME_VARIABLE], os.environ[VERSION_VARIABLE]
    folder = Path(metadata_directory, f"{name.replace('-', '_')}-{version}.dist-info")
    folder.mkdir()
    for file, text in (
        ("METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
        ("WHEEL", "Wheel-Version: 1.0\nGenerator: weitiao\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
    ):
        (folder / file).write_text(text, encoding="utf-8")
    return folder.name


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: object = None) -> str:
    """Refused: a sample is unpacked, never built."""
    raise RuntimeError("a sample is unpacked, never built")
