"""The settings of a run: read from flags, ``name=value`` and YAML, typed by one schema, written with their reasons."""

from weitiao.settings.allowed import LORA_KINDS, METHODS, TOKEN_KINDS
from weitiao.settings.forms import comparison_names
from weitiao.settings.parse import VERSION, Parsed, make_settings, parse_settings
from weitiao.settings.schema import Settings
from weitiao.settings.write import comparison_yaml, settings_yaml
from weitiao.settings.written import Translation

__all__ = [
    "LORA_KINDS",
    "METHODS",
    "TOKEN_KINDS",
    "VERSION",
    "Parsed",
    "Settings",
    "Translation",
    "comparison_names",
    "comparison_yaml",
    "make_settings",
    "parse_settings",
    "settings_yaml",
]
