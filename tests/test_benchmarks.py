"""The benchmarks' own arithmetic: what counts as training, what a ratio is; and the page shows the newest results."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from documents import ROOT
from weitiao.codec import open_codec
from weitiao.example import Message
from weitiao.objectives.row import IGNORE, Row

sys.path.append(str(ROOT))  # the benchmarks are no part of the package

from benchmarks import page, rates_table, results
from benchmarks.comparison import chosen
from benchmarks.flops import Shape, step_operations
from benchmarks.jobs import JOBS, Against, Job, Side
from benchmarks.meter import Meter
from benchmarks.peers import install as installing
from benchmarks.peers.heldout import heldout_loss
from benchmarks.peers.install import PEERS, TORCH, state_of
from benchmarks.peers.work import work
from benchmarks.results import Pair, ratio_of
from benchmarks.table import CHINESE, ENGLISH, more_table, ratios_table

ROWS = {"tokens": 1000, "count": 10}


def job(figure: str, **other: Any) -> Job:
    side = Side("ours", "default")
    return Job("alpaca", figure, "alpaca", 4, 1, side, (), **other)  # type: ignore[arg-type]


def cell(cpu_seconds: float, **other: Any) -> dict[str, Any]:
    return {"train_cpu_seconds": cpu_seconds, "train_wall_seconds": 2 * cpu_seconds, **other}


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_training_is_from_the_first_pass_with_gradients_to_the_last_step_of_the_optimizer() -> None:
    meter, model = Meter(), torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    with meter.watching():
        with torch.no_grad():
            model(torch.ones(1, 4))  # scoring before the training
        burn(0.2)
        for _ in range(3):
            model(torch.ones(1, 4)).sum().backward()
            burn(0.01)
            optimizer.step()
        burn(0.2)
    optimizer.step()  # nobody watches
    facts = meter.facts()
    assert facts["steps"] == len(facts["step_cpu_seconds"]) == 3
    assert 0.03 <= facts["train_cpu_seconds"] < 0.2
    assert facts["peak_memory_bytes"] > 1e7


def test_what_is_left_out_is_no_part_of_training() -> None:
    meter = Meter()
    meter.begin()
    meter.step()
    with meter.left_out():
        burn(0.2)
    meter.step()
    assert meter.facts()["train_cpu_seconds"] < 0.2


def test_without_a_step_there_are_no_figures() -> None:
    with pytest.raises(RuntimeError, match="no step"):
        Meter().facts()


def test_a_ratio_is_of_medians_and_shows_the_range_of_the_pairs() -> None:
    pairs = [Pair(cell(1.0), cell(8.0)), Pair(cell(2.0), cell(8.0)), Pair(cell(1.0), cell(10.0))]
    line = ratio_of(job("tokens_per_cpu_second"), Against(Side("trl", "default"), 8), pairs, ROWS)
    assert (line["ours"], line["theirs"], line["ratio"]) == (1000, 125, 8)
    assert (line["low"], line["high"]) == (4, 10)
    assert line["met"] is True


def test_of_seconds_the_ratio_is_theirs_to_ours() -> None:
    line = ratio_of(job("cpu_seconds"), Against(Side("trl", "default"), 15), [Pair(cell(2.0), cell(20.0))], ROWS)
    assert line["ratio"] == 10
    assert line["met"] is False


def test_of_memory_less_is_better() -> None:
    pairs = [Pair(cell(1.0, peak_memory_bytes=2e9), cell(1.0, peak_memory_bytes=5e9))]
    line = ratio_of(job("peak_memory_gb"), Against(Side("trl", "best"), 0.5, at_most=True), pairs, ROWS)
    assert line["ratio"] == pytest.approx(0.4)
    assert line["met"] is True


def test_the_demo_counts_only_where_it_has_learned() -> None:
    alone = Against(None, 60, at_most=True)
    for value, met in ((0.96, True), (0.94, False)):
        line = ratio_of(job("demo_seconds"), alone, [Pair(cell(10.0, spam_f1={"value": value}), None)], ROWS)
        assert (line["ratio"], line["theirs"], line["met"]) == (20, None, met)


def test_rows_of_the_last_epoch_count_where_there_are_several() -> None:
    assert results.figure("rows_per_cpu_second", cell(9.0, last_epoch_cpu_seconds=2.0), ROWS) == 5


def test_a_shared_prefix_counts_once() -> None:
    shape = Shape(layers=2, block_weights=10, block_inner_weights=8, adapter_weights=3, attended=4, head_weights=50)

    def rows(count: int, length: int) -> list[Row]:
        return [Row("", np.zeros(length, np.int32), np.array([1] * 2 + [IGNORE] * (length - 2)))] * count

    alone = step_operations(rows(1, 6), 0, shape)
    assert step_operations(rows(3, 6), 0, shape) == 3 * alone
    assert alone < step_operations(rows(3, 6), 4, shape) < 3 * alone
    assert step_operations(rows(1, 6), 4, shape) == alone


def test_every_job_has_its_title_in_both_languages() -> None:
    assert set(ENGLISH) == set(CHINESE) == {job.name for job in JOBS}


def test_a_part_can_be_chosen_by_job_and_peer() -> None:
    found = chosen(JOBS, ["alpaca"], ["llamafactory best", "trl"], 2)
    assert [(one.name, one.steps) for one in found] == [("alpaca", 2)]
    assert [one.side.name for one in found[0].against if one.side] == ["trl default", "trl best", "llamafactory best"]


def test_every_peer_takes_the_work_that_the_jobs_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [f"--{name}=x" for name in ("model", "data", "home", "out", "result")]
    for one in JOBS:
        for side in (against.side for against in one.against if against.side):
            if side.program not in ("ours", "peak"):
                assert side.program in PEERS or side.program == "transformers"
                assert (ROOT / "benchmarks" / "peers" / f"{side.program}.py").is_file()
                monkeypatch.setattr(sys, "argv", ["peer", *folders, *side.arguments, f"--batch={one.batch}"])
                assert work().setting == side.setting


def test_an_environment_of_other_versions_is_made_again(tmp_path: Path) -> None:
    assert "not installed" in state_of(tmp_path, "trl")["reason"]
    file = tmp_path / "envs" / "trl" / "installed.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"requirements": [TORCH, "trl==1.0.0"], "reason": None}))
    assert "other versions" in state_of(tmp_path, "trl")["reason"]
    file.write_text(json.dumps({"requirements": [TORCH, *PEERS["trl"].requirements], "reason": None}))
    assert state_of(tmp_path, "trl")["reason"] is None


def test_a_peer_that_cannot_be_installed_leaves_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "_fill", lambda folder, peer: "no space left")
    assert installing.install("trl", tmp_path)["reason"] == "no space left"
    assert state_of(tmp_path, "trl")["reason"] == "no space left"


def test_a_failed_command_is_told_in_its_own_last_words(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "print('no such package'); raise SystemExit(1)"]
    assert installing._run(failing, tmp_path / "log") == "\n".join([f"$ {' '.join(failing)}", "no such package"])
    assert installing._run([sys.executable, "-c", ""], tmp_path / "log") is None


def test_results_are_read_back_and_shown_with_what_failed(tmp_path: Path) -> None:
    facts = cell(1.0, loss=1.5, startup_cpu_seconds=2.0, peak_memory_bytes=3e9)
    line = ratio_of(job("tokens_per_cpu_second"), Against(Side("trl", "default"), 8), [Pair(facts, facts)], ROWS)
    document = {
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "abc",
        "machine": {
            "processor": "P",
            "cores": 2,
            "memory_gb": 25.0,
            "torch": "2.13.0",
            "gflops": {"bf16": 2, "fp32": 1},
        },
        "peers": {"trl": {"reason": None, "version": "1.16.0", "size_bytes": 1e9, "packages": 5}},
        "rows": {"alpaca": ROWS},
        "ratios": [line],
        "failures": [{"job": "alpaca", "against": "swift default", "reason": "no disk"}],
        "cells": [],
    }
    results.write(document, tmp_path / "one.json")
    document = results.read(tmp_path / "one.json")
    for language in ("en", "zh"):
        assert "| trl default | ≥ 8× | 1.00× ✗ | – | 1000 | 1000 |" in ratios_table(document, language)
        assert "swift default" in ratios_table(document, language)
        assert "| trl default | 1.500 | 3.0 | 2.0 | 500 |" in more_table(document, language)
        parts = "".join(f"<!-- {name} -->\nold\n<!-- end -->\n" for name in ("machine", "peers", "failures"))
        text = page.filled(parts, document, language)
        assert "old" not in text
        assert "abc" in text
        assert "no disk" in text
        assert "1.16.0" in text


@pytest.mark.parametrize("language", page.PAGES)
def test_the_page_shows_the_newest_results(language: str) -> None:
    text = (page.DOCS / page.PAGES[language]).read_text(encoding="utf-8")
    assert text == page.filled(text, results.latest(), language), "run: python -m benchmarks.page"


def trial(rate: float, nats: list[float], **other: Any) -> dict[str, Any]:
    last = [16, sum(nats) / 10, 0.1]
    setup = {"model": "m", "data": "d", "method": "lora", "batch": 8, "steps": 16, "warmup": 0.1, "rank": 16}
    return {**setup, "rate": rate, "curve": [[0, 2.0, 0.1], last], "heldout_nats": nats, **other}


def test_two_rates_are_compared_row_by_row() -> None:
    one, other = trial(1e-3, [5.0, 6.0, 7.0]), trial(2e-3, [4.0, 5.0, 6.0])
    assert rates_table.difference(one, other) == pytest.approx((0.3, 0.0))  # each row one nat apart, of ten tokens
    apart = trial(4e-3, [4.0, 5.0, 9.0])  # 0, 0 and 3 apart: a scatter of 6, times 3 / 2, its root by ten tokens
    assert rates_table.difference(apart, other) == pytest.approx((0.3, 0.3))
    (line,) = rates_table.lines([one, apart, other])
    rates = "1e-3: 1.800 (+0.300 ± 0.000); 2e-3: **1.500**; 4e-3: 1.800 (+0.300 ± 0.300)"
    assert line == f"| m | d | lora | 8 × 16 | 2.000 | {rates} |"
    assert len(list(rates_table.lines([one, trial(1e-3, [4.0, 5.0, 6.0], rank=4)]))) == 2


@pytest.mark.parametrize("page_name", ["defaults.md", "defaults.zh-CN.md"])
def test_the_page_of_defaults_shows_every_trial(page_name: str) -> None:
    text = (ROOT / "docs" / "concepts" / page_name).read_text(encoding="utf-8")
    assert [line for line in rates_table.lines(rates_table.newest()) if line not in text] == []


@torch.no_grad()
def test_the_peers_held_out_loss_is_ours(tiny_llama: Path, tmp_path: Path) -> None:
    chats = [("你好", "Hello there"), ("What is this?", "A test, and a short one")]
    lines = [
        json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]})
        for asked, answered in chats
    ]
    (tmp_path / "dev.jsonl").write_text("\n".join(lines), encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    theirs = heldout_loss(model, AutoTokenizer.from_pretrained(tiny_llama), tmp_path / "dev.jsonl", 512)
    total, count = 0.0, 0
    for encoding in open_codec(tiny_llama).encode_conversations(
        [(Message("user", asked), Message("assistant", answered)) for asked, answered in chats]
    ):
        tokens, learned = torch.from_numpy(encoding.tokens).long(), torch.from_numpy(encoding.learned)
        logs = torch.log_softmax(model(tokens[None]).logits[0, :-1], dim=-1)
        total -= float(logs.gather(1, tokens[1:, None])[:, 0][learned[1:]].sum())
        count += int(learned.sum())
    assert theirs == pytest.approx(total / count, rel=1e-5)
