"""Inline SVG, built so that no text can become markup, and the marks of an axis.

Separate because every plot is made of these. Positions along a line are percentages, so that a plot grows with the page
while its letters keep their size; colours come from the page's style sheet by class.
"""

import math
from collections.abc import Mapping

from markupsafe import Markup, escape


def element(name: str, attributes: Mapping[str, object], *children: str | Markup) -> Markup:
    """One element; attributes and plain text children are escaped. An attribute that is None is left out."""
    given = "".join(f' {key}="{escape(_plain(value))}"' for key, value in attributes.items() if value is not None)
    return Markup(f"<{name}{given}>{''.join(map(escape, children))}</{name}>")


def picture(height: int, label: str, kind: str, *children: Markup) -> Markup:
    """A plot as wide as its place and ``height`` pixels high; ``label`` is what a screen reader says."""
    attributes = {"class": f"plot {kind}", "width": "100%", "height": height, "role": "img", "aria-label": label}
    return element("svg", attributes, *children)


def tip(text: str) -> Markup:
    """The words that appear when the pointer rests on the parent."""
    return element("title", {}, text)


def line(x1: object, y1: object, x2: object, y2: object, kind: str) -> Markup:
    """A straight line; numbers are pixels, ``"40%"`` is a share of the plot."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def text(x: object, y: object, words: str, kind: str, shift: int = 0) -> Markup:
    """Words at a place, ``shift`` pixels further down."""
    return element("text", {"x": x, "y": y, "dy": shift or None, "class": kind}, words)


def position(value: float, low: float, high: float) -> str:
    """Where ``value`` lies between ``low`` and ``high``, as a percentage held within the plot."""
    share = 0.5 if high <= low else (value - low) / (high - low)
    return f"{_plain(100 * min(1.0, max(0.0, share)))}%"


def ticks(low: float, high: float, count: int) -> tuple[list[float], int]:
    """About ``count`` round marks from below ``low`` to above ``high``, and the decimals that they need."""
    if high <= low:
        low, high = low - (abs(low) or 1.0) * 0.1, high + (abs(high) or 1.0) * 0.1
    rough = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)], max(0, -math.floor(math.log10(step) + 1e-9))


def _plain(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
