"""What is written about the settings is made from them, in both languages."""

import subprocess
import sys
from pathlib import Path

import pytest

from weitiao.settings import METHODS, Settings
from weitiao.settings.aliases import ALIASES
from weitiao.settings.forms import forms
from weitiao.settings.reference import PAGES, settings_help, settings_reference
from weitiao.words import Language, translations

DOCS = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_committed_page_is_the_generated_one(language: Language) -> None:
    page = (DOCS / PAGES[language]).read_text(encoding="utf-8")
    assert page == settings_reference(language), "run: python -m weitiao.settings docs/reference"


@pytest.mark.parametrize("name", list(forms()))
def test_every_setting_is_described_in_both_languages(name: str) -> None:
    form = forms()[name]
    assert form.description.endswith(".")
    assert translations()[form.description] != form.description


def test_every_setting_is_in_the_page_and_in_the_help() -> None:
    page, told = settings_reference("en"), settings_help()
    for name in Settings.model_fields:
        assert f"| `{name}` |" in page
        assert f"--{name.replace('_', '-')} " in told
    assert all(f"`{alias}`" in page for aliases in ALIASES.values() for alias in aliases)


def test_the_form_of_a_setting_is_read_off_the_schema() -> None:
    rate = forms()["learning_rate"]
    assert (rate.shape, rate.optional, rate.least, rate.least_open, rate.most) == ("number", True, 0, True, 1)
    assert rate.rule() == "must be a number, more than 0 and at most 1"
    assert forms()["method"].choices == METHODS
    assert forms()["lora_targets"].shape == "names"
    assert forms()["packing"].shape == "switch"


def test_the_settings_import_no_torch() -> None:
    code = (
        "import sys, weitiao.settings; print([m for m in ('torch', 'transformers', 'ruamel.yaml') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
