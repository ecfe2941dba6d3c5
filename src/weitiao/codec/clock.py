"""The moment that chat templates are told when they ask for the date: one for a whole run, whenever it goes on.

Separate because whoever goes on with a run sets it, long before a template is opened: on another day the same data must
give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

_MOMENT: ContextVar[datetime | None] = ContextVar("_MOMENT", default=None)


def moment() -> datetime:
    """The moment that templates opened now are told, local time in whole seconds."""
    return _MOMENT.get() or datetime.now().replace(microsecond=0)


@contextmanager
def fixed_at(moment: datetime | None) -> Iterator[None]:
    """Templates opened inside are told ``moment``; None: that of the clock when they are opened."""
    token = _MOMENT.set(moment)
    try:
        yield
    finally:
        _MOMENT.reset(token)
