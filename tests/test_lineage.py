"""Fingerprints are the same for the same, and another for anything else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from weitiao import __version__
from weitiao.errors import DataError
from weitiao.lineage import Lineage, code_version, differences, digest_file, digest_json

LINEAGE = Lineage(base="b", data="d", settings="s", tokenizer="t", code="0.1.0", seed=0, parent=None)


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    content = b"x" * (2 * 1024 * 1024 + 7)
    (tmp_path / "file").write_bytes(content)
    assert digest_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_values_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_json({"a": 1, "b": [1.5, "微调", None]}) == digest_json({"b": [1.5, "微调", None], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 1.5})


def test_nan_has_no_digest() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_json({"a": float("nan")})


def test_lineage_survives_json() -> None:
    with_parent = replace(LINEAGE, parent="runs/first", template="t", moment="2026-11-24T09:30:00")
    assert Lineage.from_json(LINEAGE.json()) == LINEAGE
    assert Lineage.from_json(with_parent.json()) == with_parent


@pytest.mark.parametrize(
    "damage",
    [
        {"seed": "0"},
        {"seed": True},
        {"base": None},
        {"extra": 1},
        {"parent": 3},
        {"moment": "noon"},
        {"moment": 9},
        {"template": None},
    ],
)
def test_a_damaged_lineage_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"lineage\.json is damaged"):
        Lineage.from_json(LINEAGE.json() | damage)
    with pytest.raises(DataError):
        Lineage.from_json([])


def test_what_changed_is_named_with_both_values() -> None:
    changed = replace(LINEAGE, data="other", seed=1)
    assert differences(LINEAGE, changed) == [("data", "d", "other"), ("seed", 0, 1)]
    assert differences(LINEAGE, replace(LINEAGE, template="u")) == [("template", "", "u")]
    assert differences(LINEAGE, LINEAGE) == []


def test_another_version_of_the_code_does_not_forbid_resuming() -> None:
    assert differences(LINEAGE, replace(LINEAGE, code="0.2.0")) == []


def test_the_code_version_starts_with_the_packages() -> None:
    assert code_version().startswith(__version__)
