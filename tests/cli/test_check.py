"""``weitiao check`` in the terminal: what is shown, in both languages and for machines, and its exit codes."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tiny
from tiny_chats import CHATML
from weitiao import cli
from weitiao.cli import mask  # noqa: F401 - imported, so that a test can change what it sees
from weitiao.words import translations

WHOLE = ("--val-size", "0", "--test-size", "0")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEITIAO_LANG", "en")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def classify(tmp_path: Path) -> Path:
    """The thirty rows, then one of each fault: lines 32 to 37."""
    path = tiny.tiny_rows(tmp_path / "sms.csv")
    faults = [
        "You have won a free prize, call now,spam",
        "Shall we talk,ham",
        "shall we  TALK,spam",
        ",ham",
        "No label,",
    ]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(line.replace("prize, call", "prize; call") for line in faults[1:]) + "\n")
        file.write('"You have won a free prize, call now",spam\n' + "word " * 600 + ",ham\n")
    return path


@pytest.fixture
def reply(tmp_path: Path) -> Path:
    """Twelve instructions, then one of each fault: lines 13 to 17."""
    path = tiny.tiny_instructions(tmp_path / "chat.jsonl")
    faults = [
        {"prompt": "Say hello.", "reply": "Hello!"},
        {"prompt": "", "reply": "To nothing."},
        {"prompt": "No reply?", "reply": ""},
        {"prompt": "Long?", "reply": "word " * 600},
        {"prompt": "word " * 600, "reply": "Short."},
    ]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in faults)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> tuple[str, str]:
    assert cli.main(["check", *map(str, arguments)]) == code
    told = capsys.readouterr()
    return told.out, told.err


def cells(text: str, place: str) -> list[str]:
    """The reason and the detail of the table's row about ``place``."""
    (line,) = [line for line in text.split("\n") if line.startswith(f"{place} ")]
    return line.split(maxsplit=2)[1:]


def test_every_faulty_row_of_a_csv_is_listed_with_its_line(
    classify: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, classify, "--model", tiny_llama)
    assert "36 rows read = 30 used + 1 shortened + 5 dropped" in out
    assert cells(out, "sms.csv:32") == [
        "contradiction",
        "labelled ham, but the same text at sms.csv:33 is labelled spam",
    ]
    assert cells(out, "sms.csv:33") == [
        "contradiction",
        "labelled spam, but the same text at sms.csv:32 is labelled ham",
    ]
    assert cells(out, "sms.csv:34") == ["empty_text", "`text` is empty"]
    assert cells(out, "sms.csv:35") == ["no_label", "has no label"]
    assert cells(out, "sms.csv:36") == ["duplicate", "repeats sms.csv:2"]
    assert cells(out, "sms.csv:37")[0] == "shortened"
    assert cells(out, "sms.csv:37")[1].endswith("characters of the question are left out")


def test_every_faulty_row_of_a_jsonl_is_listed_with_its_line(
    reply: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, reply, "--model", tiny_llama)
    assert "17 rows read = 12 used + 1 shortened + 4 dropped" in out
    assert cells(out, "chat.jsonl:13") == ["duplicate", "repeats chat.jsonl:2"]
    assert cells(out, "chat.jsonl:14")[0] == "empty_text"
    assert cells(out, "chat.jsonl:15") == ["no_reply", "`reply` is empty: no reply to learn from"]
    assert cells(out, "chat.jsonl:16")[0] == "too_long"
    assert cells(out, "chat.jsonl:17")[0] == "shortened"


def test_it_ends_with_the_command_that_trains(
    classify: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [classify, "--model", tiny_llama, "--rows", "1", "--learning-rate", "1e-3", "kind=classify"]
    out, _ = run(capsys, *arguments)
    prefix, _, command = out.strip().split("\n")[-1].partition(": ")
    assert prefix == "ready to train"
    words = shlex.split(command)
    assert words[:6] == ["weitiao", "train", "--model", str(tiny_llama), "--data", str(classify)]
    from weitiao.settings import parse_settings

    settings = parse_settings(words[2:]).settings
    assert (settings.learning_rate, settings.kind) == (1e-3, "classify")


def test_without_a_model_it_says_how_to_see_the_tokens(classify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, classify)
    assert out.strip().endswith(f"weitiao check {classify} --model smollm2-135m-instruct")
    assert "read as: classify, as the labels are categories (--kind overrules)" in out
    assert "split" in out
    assert "characters of a text" in out
    assert "<|im_start|>" not in out


def test_without_colours_brackets_mark_what_is_learned(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, tiny.tiny_instructions(tmp_path / "a.jsonl"), "--model", tiny_llama, "--rows", "12", *WHOLE)
    assert "only what stands between [[ and ]] is learned" in out
    assert "  <|im_start|>user\n  What is the capital of France?<|im_end|>\n  <|im_start|>assistant\n  [[" in out
    assert out.count("[[") == out.count("]]") == out.count(" tokens learned") + 1
    assert "\x1b" not in out
    learned = out.split("assistant\n  [[")[1].split("]]")[0]
    assert learned.replace("·", "") == "The capital of France is Paris.<|im_end|>"


def test_in_a_terminal_what_is_learned_is_bold_and_green(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny.tiny_instructions(tmp_path / "a.jsonl")
    for module in ("weitiao.cli.output", "weitiao.cli.mask"):
        monkeypatch.setattr(sys.modules[module], "has_styles", lambda stream: stream is sys.stdout)
    out, _ = run(capsys, data, "--model", tiny_llama, "--rows", "1")
    assert "only what is bold and green is learned" in out
    assert "\x1b[2m<|im_start|>user\x1b[0m" in out
    assert "<|im_end|>\x1b[0m" in out.split("\x1b[2m<|im_start|>assistant\x1b[0m")[1]
    assert "\x1b[1;32m" in out
    assert "\x1b[1;4;32m" in out
    assert "[[" not in out


def test_text_of_a_user_cannot_steer_the_terminal(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": f"\x1b[2Jquestion {n}", "reply": f"\x1b]0;title\x07 {n}"} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out, _ = run(capsys, path, "--model", tiny_llama)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\\x1b[2Jquestion" in out


def test_a_long_row_is_shown_in_part(tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": f"{n} " + "question " * 60, "reply": "answer " * 60} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out, _ = run(capsys, path, "--model", tiny_llama, "--rows", "1")
    assert out.count(" tokens … ") == 2


def test_of_many_rows_with_one_fault_the_first_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny.tiny_rows(tmp_path / "a.csv")
    with path.open("a", encoding="utf-8") as file:
        file.write("The dog,ham\n" * 30)
    out, _ = run(capsys, path)
    assert out.count(" duplicate ") == 6
    assert "and 24 more" in out


def test_json_is_one_object_with_the_promised_fields(
    classify: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = run(capsys, classify, "--model", tiny_llama, "--rows", "2", "--json")
    told = json.loads(out)
    assert told["kind"] == "classify"
    assert told["ledger"] == {"read": 36, "used": 30, "truncated": 1, "dropped": 5}
    assert {frozenset(problem) for problem in told["problems"]} == {frozenset(("kind", "where", "message"))}
    assert [row["source"] for row in told["rows"]] == ["sms.csv:2", "sms.csv:3"] or len(told["rows"]) == 2
    assert {frozenset(token) for row in told["rows"] for token in row["tokens"]} == {
        frozenset(("text", "id", "learned", "label"))
    }
    assert set(told) >= {"read_as", "splits", "reasons", "lengths"}
    assert "error" not in told
    assert "reading" in err


def spoilt(model: Path, folder: Path, source: str) -> list[str]:
    template = folder / "chat.jinja"
    template.write_text(source, encoding="utf-8")
    data = tiny.tiny_instructions(folder / "a.jsonl")
    return [str(data), "--model", str(model), "--template", str(template)]


def test_a_template_that_never_ends_its_reply_is_exit_4_and_the_ledger_is_shown(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = spoilt(tiny_llama, tmp_path, CHATML.replace("'<|im_end|>' + ", ""))
    out, err = run(capsys, *arguments, code=4)
    assert "12 rows read = 0 used + 0 shortened + 12 dropped" in out
    assert cells(out, "a.jsonl:1") == ["no_end", "the reply never ends with the token that ends a reply"]
    assert "<|im_start|>assistant" in out, "the tokens are shown"
    assert "ready to train" not in out
    assert "error: 12 rows are spoilt by the chat template, first a.jsonl:1" in err
    assert "hint: pass --template" in err


def test_a_refusal_is_still_one_json_object(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = spoilt(tiny_llama, tmp_path, CHATML.replace("in messages %}", "in messages[1:] %}"))
    out, err = run(capsys, *arguments, "--json", code=4)
    told = json.loads(out)
    assert told["ledger"]["read"] == 12
    assert told["error"]["kind"] == "model"
    assert told["error"]["exit_code"] == 4
    assert told["error"]["problem"].startswith("a.jsonl:1: the chat template loses the text of a user message")
    assert err.strip().endswith(told["error"]["hint"])


def test_nothing_to_learn_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text number {n},one\n" for n in range(9)), encoding="utf-8")
    out, err = run(capsys, path, "--kind", "classify", code=3)
    assert "9 rows read" in out
    assert "one category only" in err


@pytest.mark.parametrize(
    ("lang", "reason"),
    [
        ("en", "labelled x, but the same text at a.csv:3 is labelled y"),
        ("zh", "标签为 x，但 a.csv:3 处相同文本的标签是 y"),
    ],
)
def test_rows_that_all_contradict_each_other_are_listed_before_the_refusal(
    lang: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na b,x\nA  b,y\n,x\n", encoding="utf-8")
    out, err = run(capsys, path, "--lang", lang, code=3)
    assert cells(out, "a.csv:2") == ["contradiction", reason]
    assert cells(out, "a.csv:4")[0] == "empty_text"
    assert ("error: " if lang == "en" else "错误：") in err
    out, _ = run(capsys, path, "--lang", lang, "--json", code=3)
    told = json.loads(out)
    assert told["ledger"] == {"read": 3, "used": 0, "truncated": 0, "dropped": 3}
    assert told["reasons"] == {"contradiction": 2, "empty_text": 1}
    assert told["problems"][0] == {"kind": "contradiction", "where": "a.csv:2", "message": reason}
    assert told["error"]["exit_code"] == 3


def test_marked_spans_are_checked(tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.conll"
    path.write_text("".join(f"Anna{n} B-PER\nsleeps O\n\n" for n in range(12)), encoding="utf-8")
    out, _ = run(capsys, path)
    assert "PER" in out
    out, _ = run(capsys, path, "--model", tiny_llama)
    assert "B-PER" in out


@pytest.mark.parametrize("value", ["-1", "many", "1.5", "99999", ""])
def test_a_wrong_number_of_rows_is_exit_2(value: str, classify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = run(capsys, classify, f"--rows={value}", code=2)
    assert "--rows is" in err


def test_other_faults_have_their_exit_codes(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    run(capsys, code=2)
    run(capsys, data, "--lerning-rate", "1", code=2)
    run(capsys, tmp_path / "none.csv", code=3)
    run(capsys, data, "--model", tmp_path / "none", code=4)


def test_it_speaks_chinese(classify: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, classify, "--model", tiny_llama, "--lang", "zh")
    sentence = translations()["{read} rows read = {used} used + {truncated} shortened + {dropped} dropped"]
    assert sentence.format(read=36, used=30, truncated=1, dropped=5) in out
    assert cells(out, "sms.csv:36") == ["duplicate", "与 sms.csv:2 重复"]
    assert cells(out, "sms.csv:34") == ["empty_text", "`text` 是空的"]
    assert "[[ 与 ]] 之间" in out
    assert out.strip().split("\n")[-1].startswith("可以训练：")
    assert "正在读取" in err
    assert not any(word in out for word in ("rows", "tokens", "label column", "longest"))


def test_chinese_data_are_checked_to_the_character(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "评论.csv"
    rows = [f"{text},{'好评' if n % 2 else '差评'}" for n, text in enumerate(tiny.SPAM + tiny.HAM) if "," not in text]
    path.write_text("文本,标签\n" + "\n".join(rows) + "\n今天 的菜很好吃👍,好评\n", encoding="utf-8")
    out, _ = run(capsys, path, "--model", tiny_llama, "--rows", "99", *WHOLE)
    assert "今天 的菜很好吃👍<|im_end|>" in out
    assert "[[" in out
    assert {part.split("]]")[0].replace("·", "") for part in out.split("[[")[2:]} == {
        "好评<|im_end|>",
        "差评<|im_end|>",
    }


def test_the_help_names_its_own_flag(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "--help")
    assert "--rows N" in out
    assert "weitiao check sms-spam --model smollm2-135m-instruct" in out


@pytest.mark.parametrize("with_model", [False, True])
def test_no_torch_is_imported(with_model: bool, tiny_llama: Path, tmp_path: Path) -> None:
    data = tiny.tiny_rows(tmp_path / "rows.csv")
    code = (
        "import sys; from weitiao.cli import main; code = main(sys.argv[1:]);"
        "print({'torch', 'transformers', 'peft', 'scipy'} & set(sys.modules), code, file=sys.stderr)"
    )
    arguments: list[Any] = ["check", data, *(["--model", tiny_llama] if with_model else [])]
    told = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert told.stderr.strip().split("\n")[-1] == "set() 0"
