"""The dropout that a model's configuration asks for: found by name, whatever the family calls it, and left out.

Separate because it is no part of the weights: it tells how a model was pretrained. Why: docs/decisions/0015.
"""

from __future__ import annotations

from typing import Any


def dropout_settings(config: Any) -> list[str]:
    """The settings of a transformers configuration by which something is dropped out."""
    stated = config.to_dict()
    return [name for name, value in stated.items() if "drop" in name and isinstance(value, float) and value > 0]


def without_dropout(config: Any) -> None:
    """Set them to 0."""
    for part in {id(each): each for each in (config, config.get_text_config())}.values():
        for name in dropout_settings(part):
            setattr(part, name, 0.0)
