"""Named entities the way of transformers' example, on our split: ``python -m benchmarks.ner_reference [DATA MODEL]``.

What ``run_ner.py`` does by default, in our own words: the words of a CoNLL file are tokenized one by one, the first
token of each is asked for its tag, AutoModelForTokenClassification learns with Trainer's own AdamW and a rate that
falls in a line from 5e-5, 8 rows a step, 3 epochs. Its tags of the test rows become spans and are scored by our metric,
so that only what learned differs. Prints one JSON object.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

from weitiao.api.preparation import open_sources
from weitiao.data.partition import assigned
from weitiao.data.samples import fetch
from weitiao.data.spans import join_tokens, tagged_spans
from weitiao.evaluation.answers import Answers
from weitiao.evaluation.marked import gold_json
from weitiao.evaluation.metrics import details, scores
from weitiao.example import Example
from weitiao.models.source import resolve
from weitiao.objectives.mark import gold_spans
from weitiao.settings import make_settings

LEARNING_RATE, ROWS_PER_STEP, EPOCHS = 5e-5, 8, 3
IGNORED = -100


def main(data: str = "tweets-ner", model: str = "minilm-l6", seed: int = 42) -> dict[str, Any]:
    torch.set_num_threads(1)
    opened = open_sources(make_settings({"data": data}))
    rows = [(item, split) for item, split in assigned(opened.sources, opened.partition) if split]
    words = words_by_line(fetch(data))
    examples = {
        name: [(item, *words[int(item.source.rpartition(":")[2])]) for item, split in rows if split == name]
        for name in ("train", "test")
        if all(isinstance(item, Example) for item, _ in rows)
    }
    names = sorted({tag for some in examples.values() for _, _, tags in some for tag in tags})
    folder = resolve(model).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(names))
    started = time.process_time()
    trainer = Trainer(
        network,
        TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=ROWS_PER_STEP,
            num_train_epochs=EPOCHS,
            seed=seed,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=[tokenized(tokenizer, tokens, tags, names) for _, tokens, tags in examples["train"]],
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    trainer.train()
    seconds = time.process_time() - started
    test = examples["test"]
    found = [marked(network, tokenizer, tokens, names) for _, tokens, _ in test]
    gold = tuple(gold_json(gold_spans(item), item.text) for item, _, _ in test)
    count = len(test)
    answers = Answers(
        "mark",
        gold,
        tuple(found),
        None,
        np.zeros(count),
        np.zeros(count, int),
        np.zeros(count, int),
        np.ones(count, bool),
    )
    types = opened.task.categories
    return {
        "data": data,
        "model": model,
        "rows": {name: len(some) for name, some in examples.items()},
        "scores": {name: score.json() for name, score in scores(answers, types).items()},
        "weaker": details(answers, types)["weaker"],
        "cpu_seconds": round(seconds, 1),
        "answers": found,
    }


def words_by_line(path: Path) -> dict[int, tuple[list[str], list[str]]]:
    """Tokens and tags of each sentence of a CoNLL file, by the line of its first token."""
    found: dict[int, tuple[list[str], list[str]]] = {}
    first = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        cells = line.split("\t") if line.strip() else []
        if not cells:
            first = 0
            continue
        first = first or number
        tokens, tags = found.setdefault(first, ([], []))
        tokens.append(cells[0].strip())
        tags.append(cells[-1].strip())
    return found


def tokenized(tokenizer: Any, tokens: Sequence[str], tags: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """The first token of each word is asked for its tag."""
    inputs = tokenizer(list(tokens), is_split_into_words=True, truncation=True)
    words = inputs.word_ids()
    first = [word is not None and word != before for word, before in zip(words, [None, *words[:-1]], strict=True)]
    labels = [names.index(tags[word]) if asked else IGNORED for word, asked in zip(words, first, strict=True)]
    return {**inputs, "labels": labels}


def marked(network: Any, tokenizer: Any, tokens: Sequence[str], names: Sequence[str]) -> str:
    """The spans of a text, by the likeliest tag of each word's first token."""
    inputs = tokenizer(list(tokens), is_split_into_words=True, truncation=True, return_tensors="pt")
    network.eval()
    with torch.inference_mode():
        best = network(**inputs).logits[0].argmax(dim=-1).tolist()
    tags = ["O"] * len(tokens)
    for place, word in reversed(list(enumerate(inputs.word_ids()))):
        if word is not None:
            tags[word] = names[best[place]]
    text, starts = join_tokens(tokens)
    return gold_json(tagged_spans(tokens, starts, tags).spans, text)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3]), ensure_ascii=False))
