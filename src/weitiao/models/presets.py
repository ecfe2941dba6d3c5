"""Fresh models by name: every size follows from one dial, the number of layers.

Separate from the building because a name is checked, and its sizes are said, without torch. The rule, for ``layers`` n:
width 64 n, n heads of 64, context 256 n tokens; so depth and width grow together, and a model twice as deep costs eight
times as much a token. A decoder is a Llama: RMS norms, rotated positions, a gated unit of 8/3 widths, rounded up to a
multiple of 64, no biases, embeddings shared with the head. An encoder is a BERT with a unit of 4 widths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from weitiao.errors import ModelError
from weitiao.settings.schema import FRESH
from weitiao.words import t

SIZES = {"tiny": 4, "small": 8, "base": 12}
MOST_LAYERS = 48
_ENCODER = "encoder-"
_HEAD = 64
_NAME = re.compile(r"(encoder-)?([a-z]+|[0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Preset:
    """A model to be made. ``layers`` is the dial."""

    kind: Literal["decoder", "encoder"]
    layers: int

    @property
    def width(self) -> int:
        """Of the stream between the layers."""
        return _HEAD * self.layers

    @property
    def context(self) -> int:
        """The most tokens that it reads."""
        return 256 * self.layers

    def config(self, vocabulary: int, ids: dict[str, int]) -> dict[str, Any]:
        """As ``config.json`` holds it; ``ids`` are those of ``bos``, ``eos`` and ``pad``."""
        shared = {
            "vocab_size": vocabulary,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.layers,
            "max_position_embeddings": self.context,
            "initializer_range": 0.02,
            "tie_word_embeddings": True,
            **{f"{name}_token_id": number for name, number in ids.items()},
        }
        return {**shared, **(_encoder(self.width) if self.kind == "encoder" else _decoder(self))}


def preset_of(name: str) -> Preset | None:
    """The preset called ``preset:tiny``, ``preset:6``, ``preset:encoder-small`` …; None for other names.

    Raises ModelError for a preset that there is not.
    """
    if not name.startswith(FRESH):
        return None
    found = _NAME.fullmatch(name.removeprefix(FRESH))
    size = found[2] if found else ""
    layers = int(size) if size.isdigit() else SIZES.get(size, 0)
    if not 1 <= layers <= MOST_LAYERS or not found:
        raise ModelError(
            t("there is no preset {name}", name=name),
            t(
                "there are: {names}; a number from 1 to {most}, its layers, may stand in place of a size",
                names=", ".join(names()),
                most=MOST_LAYERS,
            ),
        )
    return Preset("encoder" if found[1] else "decoder", layers)


def names() -> list[str]:
    """Every preset with a name."""
    return [f"{FRESH}{kind}{size}" for kind in ("", _ENCODER) for size in SIZES]


def _decoder(preset: Preset) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "num_key_value_heads": preset.layers,
        "intermediate_size": -(-8 * preset.width // (3 * _HEAD)) * _HEAD,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "attention_bias": False,
        "mlp_bias": False,
    }


def _encoder(width: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "intermediate_size": 4 * width,
        "hidden_act": "gelu",
        "type_vocab_size": 2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
