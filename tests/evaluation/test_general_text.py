"""The texts by which side effects are measured: how many, how long, all different, and part of the package."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from weitiao.data.near import near_pairs
from weitiao.evaluation import general_text
from weitiao.evaluation.general_text import Language, general_texts

BOTH: tuple[Language, ...] = ("en", "zh")
FOLDER = Path(general_text.__file__).parent / "general"


@pytest.mark.parametrize("language", BOTH)
def test_there_are_forty_and_no_two_are_alike(language: Language) -> None:
    texts = general_texts(language)
    assert len(texts) == len(set(texts)) == 40
    assert near_pairs(texts, [0] * 40, threshold=0.2) == []
    assert len({text[:8] for text in texts}) == 40


def test_they_are_as_long_as_they_are_said_to_be() -> None:
    assert all(60 <= len(text.split()) <= 90 for text in general_texts("en"))
    assert all(100 <= len(text) <= 140 for text in general_texts("zh"))


@pytest.mark.parametrize("language", BOTH)
def test_each_is_one_clean_line_in_its_language(language: Language) -> None:
    for text in general_texts(language):
        assert text == " ".join(text.split())
        assert text[-1] in ('."' if language == "en" else "。”")
        han = sum(unicodedata.name(character, "").startswith("CJK UNIFIED") for character in text) / len(text)
        assert han == 0 if language == "en" else han > 0.75


@pytest.mark.parametrize("language", BOTH)
def test_the_file_holds_nothing_but_texts(language: Language) -> None:
    lines = (FOLDER / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(list(json.loads(line)) == ["text"] for line in lines)


def test_the_wheel_holds_them() -> None:
    builder = WheelBuilder(str(Path(__file__).parents[2]))
    shipped = {file.distribution_path for file in builder.recurse_included_files()}
    assert {f"weitiao/evaluation/general/{language}.jsonl" for language in BOTH} <= shipped
