"""A comparison with a server: its answers are scored like all others, and none is asked for twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chat_server import Answer, said, serving
from weitiao.api.compare import compare
from weitiao.evaluation.chat_request import KEY
from weitiao.settings import make_settings

SECRET = "sk-test-0123456789abcdef"


def answered(body: dict[str, Any], number: int) -> Answer:
    text = body["messages"][-1]["content"]
    wrong = "I do not know" if "4 for" in text or "8 for" in text else "ham"
    return said("Spam." if "prize" in text else wrong, usage={"prompt_tokens": 20, "completion_tokens": 2})


def test_a_server_is_an_arm_like_the_others(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"win the {number} prize now" if number % 2 else f"see you at {number} for lunch" for number in range(60)]
    lines = [f"{text},{label}\n" for text, label in zip(texts, ["ham", "spam"] * 30, strict=True)]
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as server:
        server.answer = answered
        given = {
            "model": tiny_llama, "data": tmp_path / "rows.csv", "output_dir": tmp_path / "comparisons" / "one",
            "arms": ("majority", "endpoint", "tuned"), "max_steps": 2, "threads": 1, "precision": "fp32",
            "test_size": 0.4, "curve": "off", "endpoint": server.url, "endpoint_model": "some-model",
        }  # fmt: skip
        found = compare(make_settings(given))
    report = json.loads(found.report.read_text(encoding="utf-8"))
    arm = report["arms"][1]
    asked, items = len(server.bodies), report["items"]
    unknown = sum("4 for" in item["text"] or "8 for" in item["text"] for item in items)
    assert unknown > 0
    assert asked == report["items_count"] == len(items)
    assert arm["name"] == arm["family"] == "endpoint"
    assert arm["settings"] == {"url": f"{server.url}/v1/chat/completions", "model": "some-model"}
    assert arm["scores"]["accuracy"]["value"] == pytest.approx(1 - unknown / asked)
    assert arm["unusable"]["value"] == pytest.approx(unknown / asked)
    assert arm["cost"]["tokens"] == 22 * asked
    assert [message["role"] for message in arm["prompt"]] == ["system", "user"]
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
