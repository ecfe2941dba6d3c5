"""A raw record: named fields as a file holds them, before anybody knows what they mean.

Separate because every reader makes records and every shape reads them.
"""

from dataclasses import dataclass

MAX_RECORD_CHARACTERS = 16 * 2**20
"""The longest line, table cell or document, in code points. A longer one is no row but a damaged or hostile file."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record and the place where it starts, ``reviews.csv:118``."""

    source: str
    fields: dict[str, object]
