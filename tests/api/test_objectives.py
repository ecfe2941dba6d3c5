"""Plain texts learned from by each objective, from settings to report, to filled blanks, stopped and resumed."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import tiny
from tiny_training import last_weights, result_bytes, step_losses
from weitiao.api.check import check
from weitiao.api.evaluate import evaluate
from weitiao.api.predict import predict
from weitiao.api.train import resume, train
from weitiao.errors import SettingsError, Stopped, WeitiaoError
from weitiao.run import Run
from weitiao.settings import make_settings, parse_settings

MODELS = {"masked": "preset:encoder-1", "infill": "preset:1", "prefix": "preset:1"}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty different documents of three sentences."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    count = len(tiny.SENTENCES)
    lines = [
        json.dumps({"text": " ".join(tiny.SENTENCES[(first + step * number) % count] for number in range(3))})
        for first in range(count)
        for step in (1, 7)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def settings_of(texts: Path, folder: Path, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "data": texts, "kind": "continue", "output_dir": folder, "precision": "fp32", "threads": 1,
        "max_steps": 6, "eval_steps": 3, "save_steps": 2, "batch_size": 8, "test_size": 0.3,
    }  # fmt: skip
    return make_settings(values | changes)


@pytest.fixture(scope="module")
def runs(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: train(settings_of(texts, folder / name, model=model, objective=name)) for name, model in MODELS.items()
    }


def report_of(run: Run) -> Any:
    return json.loads(run.report.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODELS)
def test_a_run_reports_loss_and_accuracy_at_blanks_and_no_bits_per_byte(name: str, runs: dict[str, Run]) -> None:
    report = report_of(runs[name])
    for when in ("before", "after"):
        found = report[when]["scores"]
        assert {"loss", "perplexity", "blank_accuracy"} <= found.keys()
        assert "bits_per_byte" not in found
        assert 0 <= found["blank_accuracy"]["low"] <= found["blank_accuracy"]["high"] <= 1
        assert "hidden" in report[when]["details"]["omitted"]["bits_per_byte"]
    assert report["after"]["scores"]["loss"]["value"] < report["before"]["scores"]["loss"]["value"]
    assert report["settings"]["objective"]["value"] == name


@pytest.mark.parametrize("name", MODELS)
def test_evaluating_a_run_hides_the_same_tokens_again(name: str, runs: dict[str, Run]) -> None:
    found = evaluate(make_settings({"model": str(runs[name].folder)})).scores
    after = report_of(runs[name])["after"]["scores"]
    assert {metric: score.json() for metric, score in found.items()} == after


@pytest.mark.parametrize("name", ["masked", "infill"])
def test_stopped_and_resumed_hides_what_it_would_have_hidden(
    name: str, runs: dict[str, Run], texts: Path, tmp_path: Path
) -> None:
    def stopping(kind: str, facts: dict[str, Any]) -> None:
        if kind == "step" and facts["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        train(settings_of(texts, tmp_path / "run", model=MODELS[name], objective=name), stopping)
    resumed = resume(tmp_path / "run")
    assert step_losses(resumed) == step_losses(runs[name])
    assert last_weights(resumed) == last_weights(runs[name])
    assert result_bytes(resumed) == result_bytes(runs[name])


@pytest.mark.parametrize("name", ["masked", "infill"])
def test_predict_fills_blanks(name: str, runs: dict[str, Run], tmp_path: Path) -> None:
    path = tmp_path / "blanks.csv"
    path.write_text("text\nThe quick ____ fox jumps.\n今天____很好。\nnone\n", encoding="utf-8")
    found = predict(make_settings({"model": str(runs[name].folder), "data": str(path)}), tmp_path / "out.csv")
    assert found.ledger == {"read": 3, "used": 3, "truncated": 0, "dropped": 0}
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = [row["prediction"] for row in csv.DictReader(file)]
    assert rows[0].startswith("The quick ") and rows[0].endswith(" fox jumps.")
    assert rows[1].startswith("今天") and rows[1].endswith("很好。")
    assert rows[2] == "none"
    assert "____" not in "".join(rows)


def test_a_run_that_hides_nothing_fills_no_blanks(runs: dict[str, Run], texts: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to predict"):
        predict(make_settings({"model": str(runs["prefix"].folder), "data": str(texts)}))


def test_the_result_opens_in_transformers_and_is_tuned_on(runs: dict[str, Run], texts: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    AutoModelForMaskedLM.from_pretrained(runs["masked"].model)
    AutoModelForCausalLM.from_pretrained(runs["infill"].model)
    again = train(settings_of(texts, tmp_path / "on", model=runs["infill"].folder, objective="infill", max_steps=2))
    assert report_of(again)["before"]["scores"]["loss"] == report_of(runs["infill"])["after"]["scores"]["loss"]


def test_an_encoder_is_masked_and_a_decoder_causal_by_itself(runs: dict[str, Run], tiny_llama: Path) -> None:
    assert parse_settings([str(runs["masked"].settings)]).settings.objective == "masked"
    from weitiao.api.chosen_objective import decide_objective
    from weitiao.models.source import resolve

    chosen = decide_objective(make_settings({}), resolve(str(tiny_llama)), "continue")
    assert chosen.name == "causal" and chosen.reason
    encoder = resolve(str(runs["masked"].folder))
    assert decide_objective(make_settings({}), encoder, "continue").name == "masked"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"objective": "masked"}, "objective masked does not fit"),
        ({"hide": "words"}, "hide is words, which objective causal does not do"),
        ({"objective": "infill", "hide": "tokens"}, "hide is tokens, which objective infill does not do"),
        ({"objective": "infill", "join_documents": True}, "join_documents is for objectives causal and prefix"),
        ({"objective": "infill"}, "lacks .*, which objective infill needs"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_learned(
    given: dict[str, Any], problem: str, tiny_llama: Path, texts: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeitiaoError, match=problem):
        train(settings_of(texts, tmp_path / "run", model=tiny_llama, **given))
    assert not (tmp_path / "run").exists()


def test_an_objective_of_texts_is_refused_for_other_data(tiny_llama: Path, tmp_path: Path) -> None:
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    with pytest.raises(SettingsError, match="the kind of these data is classify"):
        train(make_settings({"model": tiny_llama, "data": data, "objective": "prefix", "output_dir": tmp_path / "run"}))


def test_check_shows_what_is_hidden(runs: dict[str, Run], texts: Path) -> None:
    rows = check(make_settings({"model": str(runs["masked"].folder), "data": str(texts), "kind": "continue"}), 3).rows
    for row in rows:
        learned = [token for token in row.tokens if token.learned]
        assert 0 < len(learned) < len(row.tokens) / 3
    assert any(token.text == "[MASK]" for row in rows for token in row.tokens if token.learned)
