"""Chinese into words, by jieba where it is installed: Chinese is written without spaces between them."""

from __future__ import annotations

import logging
from functools import cache

from weitiao.errors import MachineError
from weitiao.objectives.units import Cut
from weitiao.words import t


@cache
def chinese_words() -> Cut:
    """Cuts a run of Han characters into words. Raises MachineError when called without jieba being installed."""
    try:
        import jieba
    except ImportError:
        raise MachineError(
            t("hide: words needs jieba to find the words of Chinese texts, and it is not installed"),
            t("pip install jieba, or write hide: tokens"),
        ) from None
    jieba.setLogLevel(logging.WARNING)
    cutter = jieba.Tokenizer()
    # What initialize() does, without its cache: that is read from a folder which others may write into.
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True

    def cut(run: str) -> list[str]:
        return list(cutter.cut(run))

    return cut
