"""The operations that a step needs, whatever computes them: products over real tokens, each shared prefix once.

Separate so that the share of the processor's peak counts useful work alone: no padding, no logit that nobody asks for,
nothing computed a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.objectives.row import Row


@dataclass(frozen=True, slots=True)
class Shape:
    """What a step's cost depends on, of a Llama-like model."""

    layers: int
    block_weights: int  # of the linear layers of one block
    block_inner_weights: int  # of them without keys and values: what the last block does for asked positions alone
    adapter_weights: int  # of all blocks
    attended: int  # heads times their width
    head_weights: int


def shape_of(config: dict[str, Any], adapter_weights: int) -> Shape:
    """Of a model's configuration in transformers' layout."""
    width, hidden = config["hidden_size"], config["intermediate_size"]
    head_width = config.get("head_dim") or width // config["num_attention_heads"]
    attended, kept = config["num_attention_heads"] * head_width, config["num_key_value_heads"] * head_width
    block = width * (2 * attended + 2 * kept) + 3 * width * hidden
    inner = block - 2 * width * kept
    return Shape(config["num_hidden_layers"], block, inner, adapter_weights, attended, width * config["vocab_size"])


def step_operations(rows: Sequence[Row], shared: int, shape: Shape) -> float:
    """Of one step of LoRA on every block. ``shared`` tokens stand before every row and are computed once."""
    lengths = [len(row.tokens) for row in rows]
    tokens = sum(lengths) - shared * (len(rows) - 1)
    asked = sum(row.asked for row in rows)
    # Base weights: forward, and the gradient of the input. An adapter's: the gradient of the weights, too.
    base = tokens * shape.layers * shape.block_weights - (tokens - asked) * shape.block_inner_weights
    linear = 4 * base + 6 * tokens * shape.adapter_weights
    pairs = shared * (shared + 1) / 2 + sum((length * (length + 1) - shared * (shared + 1)) / 2 for length in lengths)
    attention = 12 * shape.layers * shape.attended * pairs  # two products of a pair forward, four backward
    return linear + attention + 4 * asked * shape.head_weights
