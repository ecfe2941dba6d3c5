"""``check``: every row accounted for with its line, every fault of a template found before anything is trained."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from template_bombs import BOMBS
from tiny_chats import CHATML, TRIMMED
from weitiao.api.check import Checked, check
from weitiao.api.preparation import encode_rows, open_sources, prepare
from weitiao.codec import open_codec
from weitiao.data.ledger import Ledger
from weitiao.errors import DataError, ModelError
from weitiao.objectives.form import Form
from weitiao.settings import make_settings
from weitiao.training.rows import Rows, RowWriter

SPAM = ("You have won a free prize, call now", "Claim your free ringtone now")
HAM = ("Are we still meeting for lunch today?", "I will call you later when I am home")


def checked(data: Path, model: Path | None = None, rows: int = 3, **others: Any) -> Checked:
    return check(make_settings({"data": data, "model": model, **others}), rows)


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def entries(found: Checked) -> dict[str, tuple[str, str]]:
    """Line to outcome and reason, of rows that were not used whole."""
    return {entry.source.rpartition(":")[2]: (entry.outcome, entry.reason) for entry in found.ledger.shown()}


def learned(found: Checked, row: int = 0) -> str:
    return "".join(token.text for token in found.rows[row].tokens if token.learned)


def text(found: Checked, row: int = 0) -> str:
    return "".join(token.text for token in found.rows[row].tokens)


@pytest.fixture
def templated(tiny_llama: Path, tmp_path: Path) -> Any:
    """``templated(source)``: the path of a template file, for ``template=``."""

    def write(source: str) -> str:
        (tmp_path / "chat.jinja").write_text(source, encoding="utf-8")
        return str(tmp_path / "chat.jinja")

    return write


def test_every_fault_of_a_classify_file_is_told_with_its_line(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [
        *[(text, "spam") for text in tiny.SPAM], *[(text, "ham") for text in tiny.HAM],  # lines 2 to 31
        (tiny.SPAM[3], "spam"),  # 32 repeats 5
        ("What shall we do tomorrow", "ham"), ("what shall we do  TOMORROW", "spam"),  # 33, 34 contradict each other
        ("", "ham"),  # 35
        ("A row without a label", ""),  # 36
        ("word " * 600, "ham"),  # 37 is longer than the context
    ]  # fmt: skip
    found = checked(write_csv(tmp_path / "a.csv", rows), tiny_llama)
    assert found.refused is None
    assert entries(found) == {
        "32": ("dropped", "duplicate"),
        "33": ("dropped", "contradiction"),
        "34": ("dropped", "contradiction"),
        "35": ("dropped", "empty_text"),
        "36": ("dropped", "no_label"),
        "37": ("truncated", "shortened"),
    }
    assert found.ledger.counts() == {"read": 36, "used": 30, "truncated": 1, "dropped": 5}
    told = {problem.kind: problem for problem in found.problems}
    assert (told["duplicate"].where, told["duplicate"].message) == ("a.csv:32", "repeats a.csv:5")
    both = [problem for problem in found.problems if problem.kind == "contradiction"]
    assert [problem.where for problem in both] == ["a.csv:33", "a.csv:34"]
    assert "the same text at a.csv:34 is labelled spam" in both[0].message
    assert "the same text at a.csv:33 is labelled ham" in both[1].message
    assert told["shortened"].where == "a.csv:37"
    assert sum(sum(counts.values()) for counts in found.splits.values()) == 31
    assert found.lengths["tokens"].longest <= 512 == found.cutoff_len


def test_every_fault_of_a_reply_file_is_told_with_its_line(tiny_llama: Path, tmp_path: Path) -> None:
    good = [{"prompt": f"Question {number}?", "reply": f"Answer {number}."} for number in range(12)]
    rows = [
        *good,  # lines 1 to 12
        {"prompt": "Question 4?", "reply": "Answer 4."},  # 13 repeats 5
        {"prompt": "Question 4?", "reply": "Another answer."},  # 14: the same prompt with another reply is welcome
        {"prompt": "", "reply": "To nothing."},  # 15
        {"prompt": "No reply?", "reply": ""},  # 16
        {"prompt": "No reply at all?"},  # 17
        {"prompt": "Long?", "reply": "word " * 600},  # 18: its reply does not fit
        {"prompt": "word " * 600, "reply": "Short."},  # 19
    ]
    found = checked(write_jsonl(tmp_path / "a.jsonl", rows), tiny_llama)
    assert found.refused is None
    assert entries(found) == {
        "13": ("dropped", "duplicate"),
        "15": ("dropped", "empty_text"),
        "16": ("dropped", "no_reply"),
        "17": ("dropped", "missing_field"),
        "18": ("dropped", "too_long"),
        "19": ("truncated", "shortened"),
    }
    where = {problem.kind: problem.where for problem in found.problems}
    assert (where["duplicate"], where["too_long"], where["shortened"]) == ("a.jsonl:13", "a.jsonl:18", "a.jsonl:19")
    assert found.ledger.counts() == {"read": 19, "used": 13, "truncated": 1, "dropped": 5}
    assert found.lengths["reply"].longest == 3000


def test_without_a_model_the_data_alone_are_looked_at(tmp_path: Path) -> None:
    found = checked(tiny.tiny_rows(tmp_path / "rows.csv"))
    assert found.refused is None
    assert found.kind == "classify"
    assert found.ledger.counts() == {"read": 30, "used": 30, "truncated": 0, "dropped": 0}
    assert set(found.lengths) == {"text"}
    assert found.rows == ()
    assert found.cutoff_len is None
    assert sum(found.splits["train"].values()) == 30 - sum(
        map(sum, (s.values() for n, s in found.splits.items() if n != "train"))
    )
    assert any("label column" in sentence for sentence in found.read_as)


def test_a_leak_between_given_files_is_told(tiny_llama: Path, tmp_path: Path) -> None:
    train = tiny.tiny_rows(tmp_path / "train.csv")
    test = write_csv(
        tmp_path / "test.csv", [(tiny.SPAM[0], "spam"), ("Something new", "ham"), (tiny.HAM[0] + " ok", "ham")]
    )
    found = checked(train, tiny_llama, test=test)
    (leak,) = [problem for problem in found.problems if problem.kind == "leak"]
    assert (leak.where, leak.message) == ("train.csv:2", "the same text is held out, at test.csv:2")
    assert entries(found)["2"] == ("dropped", "leak")
    assert sum(found.splits["test"].values()) == 3
    near = [problem for problem in found.problems if problem.kind == "near_leak"]
    assert [problem.where for problem in near] == ["test.csv:4"]


def test_what_is_shown_is_what_training_writes_down(tiny_llama: Path, tmp_path: Path) -> None:
    settings = make_settings({"data": tiny.tiny_rows(tmp_path / "rows.csv"), "model": tiny_llama})
    found = check(settings, rows=30)
    opened, codec = open_sources(settings), open_codec(tiny_llama)
    with RowWriter(tmp_path / "rows") as writer:
        prepare(opened, Form(codec, 512), Ledger(), writer)
    rows = Rows(tmp_path / "rows")
    written = {tuple(rows[number].tokens.tolist()): rows[number].targets for number in range(len(rows))}
    assert len(found.rows) == len(written) == len(rows)
    for row in found.rows:
        ids = np.array([token.id for token in row.tokens])
        mask = np.array([token.learned for token in row.tokens])
        targets = written[tuple(ids[:-1].tolist())]
        assert targets.tolist() == np.where(mask[1:], ids[1:], -100).tolist()


def test_of_every_category_one_row_is_shown_first(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [(text, "spam") for text in tiny.SPAM] + [(text, "ham") for text in tiny.HAM]  # sorted by label
    found = checked(write_csv(tmp_path / "a.csv", rows), tiny_llama, rows=2)
    assert [learned(found, row) for row in (0, 1)] == ["spam<|im_end|>", "ham<|im_end|>"]
    assert checked(tmp_path / "a.csv", tiny_llama, rows=0).rows == ()


def test_control_tokens_in_a_text_are_shown_as_plain_text(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [(f"{text} <|im_end|>\n<|im_start|>", label) for text, label in zip(SPAM + HAM, "aabb", strict=True)]
    found = checked(write_csv(tmp_path / "a.csv", rows), tiny_llama, rows=9, test_size=0, val_size=0)
    assert len(found.rows) == 4
    for number, row in enumerate(found.rows):
        ids = [token.id for token in row.tokens]
        assert (ids.count(1), ids.count(2)) == (2, 2), "the template's own"
        assert text(found, number).count("<|im_end|>") == 3
    (problem,) = [problem for problem in found.problems if problem.kind == "control_tokens"]
    assert problem.where == "a.csv:2"
    assert ": 8;" in problem.message


def turns(number: int, names: str, question: str, answer: str) -> list[dict[str, str]]:
    """A conversation under the field names ``role content``, or others."""
    role, content = names.split()
    return [{role: question, content: f"q {number}"}, {role: answer, content: f"a {number}"}]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


TWELVE = range(12)
FORMATS = {
    "rows.csv": "text,label\n" + "".join(f"text number {n},{'ab'[n % 2]}\n" for n in TWELVE),
    "rows.tsv": "".join(f"{'ab'[n % 2]}\ttext number {n}\n" for n in TWELVE),
    "rows.json": json.dumps([{"text": f"text number {n}", "label": "ab"[n % 2]} for n in TWELVE]),
    "alpaca.jsonl": lines([{"instruction": f"do {n}", "input": "", "output": f"done {n}"} for n in TWELVE]),
    "sharegpt.json": json.dumps([{"conversations": turns(n, "from value", "human", "gpt")} for n in TWELVE]),
    "messages.jsonl": lines([{"messages": turns(n, "role content", "user", "assistant")} for n in TWELVE]),
    "plain.txt": "".join(f"This is a whole sentence, number {n}.\n" for n in TWELVE),
    "names.conll": "".join(f"Anna{n} B-PER\nsleeps O\n\n" for n in TWELVE),
}
KINDS = {"rows": "classify", "alpaca": "reply", "sharegpt": "reply", "messages": "reply", "plain": "continue"}


@pytest.mark.parametrize("name", [*FORMATS, "rows.parquet"])
def test_every_format_can_be_checked(name: str, tiny_llama: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "rows.parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"text": [f"t {n}" for n in range(12)], "label": ["a", "b"] * 6}), path)
    else:
        path.write_text(FORMATS[name], encoding="utf-8")
    kind = KINDS.get(path.stem, "mark")
    alone = checked(path)
    assert (alone.kind, alone.refused) == (kind, None)
    assert alone.ledger.counts() == {"read": 12, "used": 12, "truncated": 0, "dropped": 0}
    found = checked(path, tiny_llama)
    assert found.refused is None
    assert kind == "mark" or learned(found).endswith("<|im_end|>")
    assert found.ledger.counts()["used"] == 12


def spoilt(tmp_path: Path, model: Path, template: str) -> Checked:
    found = checked(tiny.tiny_instructions(tmp_path / "a.jsonl"), model, template=template)
    assert isinstance(found.refused, ModelError)
    assert found.refused.hint
    assert found.ledger.counts()["read"] == 12, "the ledger is shown all the same"
    return found


def test_a_template_that_never_ends_a_reply_is_refused_and_shown(
    tiny_llama: Path, tmp_path: Path, templated: Any
) -> None:
    found = spoilt(tmp_path, tiny_llama, templated(CHATML.replace("'<|im_end|>' + ", "")))
    assert found.ledger.reasons() == {"no_end": 12}
    assert "12 rows are spoilt by the chat template, first a.jsonl:1" in str(found.refused)
    assert text(found).startswith("<|im_start|>user\n")
    assert "<|im_end|>" not in learned(found)


def test_a_template_that_writes_bos_twice_is_refused_and_shown(
    tiny_llama: Path, tmp_path: Path, templated: Any
) -> None:
    template = templated("{{ '<|endoftext|><|endoftext|>' }}" + CHATML)
    model = tmp_path / "model"
    model.mkdir()
    for file in tiny_llama.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    config = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "bos_token": "<|endoftext|>"}), encoding="utf-8")
    found = spoilt(tmp_path, model, template)
    assert found.ledger.reasons() == {"double_bos": 12}
    assert text(found).startswith("<|endoftext|><|endoftext|>")
    once = checked(tmp_path / "a.jsonl", model, template=templated("{{ bos_token }}" + CHATML))
    assert once.refused is None


def test_a_template_that_loses_the_system_prompt_is_refused_by_row(
    tiny_llama: Path, tmp_path: Path, templated: Any
) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": [{"role": "user", "content": f"q {n}"}, turns[1]]} for n in range(6)]
    rows.append({"messages": [{"role": "system", "content": "Speak like a pirate."}, *turns]})
    template = templated(CHATML.replace("in messages %}", "in messages if message.role != 'system' %}", 1))
    found = checked(write_jsonl(tmp_path / "b.jsonl", rows), tiny_llama, template=template)
    assert isinstance(found.refused, ModelError)
    assert found.refused.problem == (
        "b.jsonl:7: the chat template loses the text of a system message: Speak like a pirate."
    )
    assert found.ledger.counts() == {"read": 7, "used": 7, "truncated": 0, "dropped": 0}


@pytest.mark.parametrize("source", [BOMBS["nested loops"], BOMBS["mro"], BOMBS["no template"]])
def test_a_hostile_template_is_refused(source: str, tiny_llama: Path, tmp_path: Path, templated: Any) -> None:
    assert "chat template" in str(spoilt(tmp_path, tiny_llama, templated(source)).refused)


def test_a_refusal_while_encoding_leaves_what_came_before(tiny_llama: Path, tmp_path: Path, templated: Any) -> None:
    """Training sees the same refusal, with the same row."""
    strict = CHATML.replace(
        "{% for", "{% if messages[0].content == 'Name a colour.' %}{{ raise_exception('no') }}{% endif %}{% for", 1
    )
    settings = make_settings(
        {"data": tiny.tiny_instructions(tmp_path / "a.jsonl"), "model": tiny_llama, "template": templated(strict)}
    )
    with pytest.raises(ModelError, match=r"a\.jsonl:3: the chat template failed: no"):
        codec = open_codec(tiny_llama, settings.template)
        encode_rows(_prepared(), open_sources(settings), Form(codec, 512), Ledger())


def _prepared() -> Any:
    from weitiao.api.preparation import Prepared

    return Prepared()


def test_when_over_half_is_too_long_it_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"q {n}", "reply": f"{n} " + "word " * (600 if n % 3 else 1)} for n in range(12)]
    found = checked(write_jsonl(tmp_path / "a.jsonl", rows), tiny_llama)
    assert isinstance(found.refused, DataError)
    assert "8 rows are longer than 512 tokens" in found.refused.problem
    assert found.ledger.reasons() == {"too_long": 8}
    assert len(found.rows) > 0


def test_rows_with_several_categories_are_learned_by_a_head(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": ["a", "b"][: n % 3]} for n in range(12)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    for found in (checked(path), checked(path, tiny_llama)):
        assert found.refused is None
        assert found.ledger.counts() == {"read": 12, "used": 12, "truncated": 0, "dropped": 0}


def test_data_that_cannot_be_divided_still_have_a_ledger(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [("The first text.", "one"), ("Another text.", "one"), ("", "one"), ("Without a label.", "")]
    found = checked(write_csv(tmp_path / "a.csv", rows), tiny_llama, kind="classify")
    assert isinstance(found.refused, DataError)
    assert found.ledger.counts() == {"read": 4, "used": 2, "truncated": 0, "dropped": 2}
    assert entries(found) == {"4": ("dropped", "empty_text"), "5": ("dropped", "no_label")}
    assert found.json()["rows"] == []


def test_splits_that_stay_empty_are_told(tmp_path: Path) -> None:
    found = checked(tiny.tiny_instructions(tmp_path / "a.jsonl"), test_size=0)
    assert [problem.where for problem in found.problems if problem.kind == "empty_split"] == ["test"]


def test_what_the_reader_accepted_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + tiny.tiny_instructions(path).read_bytes())
    assert "bom" in {problem.kind for problem in checked(path).problems}


def test_the_longest_input_of_the_model_bounds_the_rows(tiny_folders: Any, tmp_path: Path) -> None:
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    assert checked(data, tiny_folders["gpt2"]).cutoff_len == tiny.CONTEXT
    assert checked(data, tiny_folders["gpt2"], cutoff_len=100).cutoff_len == 100


def test_wrong_settings_are_raised_at_once(tiny_llama: Path, tmp_path: Path) -> None:
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    with pytest.raises(DataError):
        checked(tmp_path / "none.csv", tiny_llama)
    with pytest.raises(ModelError):
        checked(data, tmp_path / "none")
    found = checked(data, tiny_llama, template="missing.jinja")
    assert isinstance(found.refused, ModelError)


def test_json_is_plain(tiny_llama: Path, tmp_path: Path) -> None:
    found = checked(tiny.tiny_rows(tmp_path / "rows.csv"), tiny_llama).json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        "kind", "read_as", "ledger", "reasons", "shown", "problems", "splits", "lengths", "cutoff_len", "rows",
    ]  # fmt: skip
    assert list(found["rows"][0]["tokens"][0]) == ["text", "id", "learned", "label"]


@pytest.mark.parametrize("trimmed", [CHATML, TRIMMED])
def test_blank_lines_around_a_reply_are_learned_as_the_template_writes_them(
    trimmed: str, tiny_llama: Path, tmp_path: Path, templated: Any
) -> None:
    rows = [{"prompt": f"q {n}", "reply": f"\n answer {n}\n"} for n in range(6)]
    found = checked(write_jsonl(tmp_path / "a.jsonl", rows), tiny_llama, template=templated(trimmed))
    assert found.refused is None
    assert learned(found).replace("<|im_end|>", "") in (
        [f"\n answer {n}\n" for n in range(6)] + [f"answer {n}" for n in range(6)]
    )


_MEASURED = """
import resource, sys
from pathlib import Path
from weitiao.api.check import check
from weitiao.objectives.form import Form
from weitiao.settings import make_settings

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
check(make_settings({"data": sys.argv[1], "model": sys.argv[3]}))
before = peak()
found = check(make_settings({"data": sys.argv[2], "model": sys.argv[3]}))
assert found.ledger.counts()["read"] == 300_000, found.ledger.counts()
assert found.refused is None, found.refused
print(peak() - before)
"""


@pytest.mark.slow
def test_a_large_file_is_checked_in_bounded_memory(tiny_llama: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.jsonl"
    draw = np.random.default_rng(0)
    with large.open("w", encoding="utf-8") as file:
        for number, word in enumerate(draw.integers(10**9, size=300_000).tolist()):
            row = {"prompt": f"What is the number {word} of the row {number}?", "reply": f"It is {word * 7 % 1000}."}
            file.write(json.dumps(row) + "\n")
    small = tiny.tiny_instructions(tmp_path / "small.jsonl")
    run = [sys.executable, "-c", _MEASURED, str(small), str(large), str(tiny_llama)]
    told = subprocess.run(run, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert float(told.stdout) < 300
