"""What rendering and masking cost beside tokenizing alone: ``python benchmarks/codec.py MODEL [DATA …]``.

Compares ``Codec.encode_conversations`` with one ``tokenizers.encode_batch`` of the very texts that it renders, on up to
4,000 rows of each data set, none of them twice, and prints one JSON object. Both are run in turn, and the best time
of each counts, so that a busy machine disturbs the ratio little. Seconds of the wall and of the processor.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from weitiao.api.preparation import open_sources
from weitiao.codec import Codec, open_codec
from weitiao.data.partition import assigned
from weitiao.example import Example, Message
from weitiao.lineage import code_version
from weitiao.models.source import resolve
from weitiao.objectives.causal import with_answer
from weitiao.settings import make_settings

ROWS = 4000
ROUNDS = 15


def conversations(data: str) -> list[tuple[Message, ...]]:
    """The first usable rows of ``data`` with their answers."""
    opened = open_sources(make_settings({"data": data}))
    rows = assigned(opened.sources, opened.partition)
    found = (with_answer(item, opened.task) for item, split in rows if split and isinstance(item, Example))
    return list(islice(found, ROWS))


def seconds(function: Callable[[], Any]) -> tuple[float, float]:
    """Of the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(codec: Codec, data: str) -> dict[str, Any]:
    rows = conversations(data)
    texts = [codec.template.render(messages) for messages in rows]
    alone, whole = [], []
    for _ in range(ROUNDS):
        alone.append(seconds(lambda: codec.tokenizer.encode_batch(texts, add_special_tokens=False)))
        whole.append(seconds(lambda: codec.encode_conversations(rows)))
    tokens = sum(len(encoding.tokens) for encoding in codec.encode_conversations(rows))
    best = {
        name: [min(part) for part in zip(*times, strict=True)] for name, times in (("alone", alone), ("whole", whole))
    }
    return {
        "data": data,
        "rows": len(rows),
        "tokens": tokens,
        "encode_batch": {"wall": best["alone"][0], "processor": best["alone"][1]},
        "encode_conversations": {"wall": best["whole"][0], "processor": best["whole"][1]},
        "ratio": {"wall": best["whole"][0] / best["alone"][0], "processor": best["whole"][1] / best["alone"][1]},
    }


def main(model: str, *data: str) -> None:
    codec = open_codec(resolve(model).tokenizer_folder)
    results = [measure(codec, name) for name in data or ("sms-spam", "alpaca-en", "alpaca-zh")]
    machine = {"processor": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
    json.dump(
        {"code": code_version(), "machine": machine, "model": model, "results": results},
        sys.stdout,
        indent=1,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
