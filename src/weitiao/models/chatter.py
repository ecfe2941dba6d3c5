"""Silence for transformers and PEFT: what matters of their warnings and progress bars is said by us, translated.

Separate because loading, converting, adapting and saving all need it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging

_CRITICAL = 50


@contextmanager
def silenced() -> Iterator[None]:
    """No warnings, log lines or progress bars of the libraries inside; as it was before, afterwards."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(_CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
