import json
from pathlib import Path

import pytest

from weitiao.data.dataset import Hints, open_dataset
from weitiao.errors import DataError
from weitiao.words import set_language

LONG = "a rather long text, the number {} of its kind, with enough words in it"


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def found(path: Path, hints: Hints = Hints()) -> tuple[str, dict[str, str]]:  # noqa: B008
    layout = open_dataset(path, hints).layout
    return layout.kind, dict(layout.columns)


def test_what_was_read_is_said_with_the_flag_that_overrules_it(tmp_path: Path) -> None:
    rows = [{"text": f"t{index}", "label": "spam" if index % 8 == 0 else "ham"} for index in range(800)]
    guesses = open_dataset(write(tmp_path / "a.jsonl", *rows)).layout.guesses
    assert guesses == (
        "read as: classify, as the labels are categories (--kind overrules)",
        "file format jsonl (--format overrules)",
        "text column `text` (--text-column overrules)",
        "label column `label` (--label-column overrules): ham 88 %, spam 12 %",
    )


def test_it_is_said_in_chinese_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("内容,标签\n不错,好\n很好,好\n太差,坏\n", encoding="utf-8")
    set_language("zh")
    guesses = open_dataset(path).layout.guesses
    assert guesses[0] == "读作：classify，因为标签是类别（可用 --kind 更改）"
    assert guesses[-1] == "标签列 `标签`（可用 --label-column 更改）: 好 67 %, 坏 33 %"
    assert all("--" in guess for guess in guesses)


def test_rare_and_many_categories_are_summed_up(tmp_path: Path) -> None:
    rows = [{"text": f"t{index}", "label": "big" if index > 8 else f"c{index}"} for index in range(1000)]
    guess = open_dataset(write(tmp_path / "a.jsonl", *rows)).layout.guesses[-1]
    assert guess.endswith("big 99 %, c0 <1 %, c1 <1 %, c2 <1 %, c3 <1 %, c4 <1 %, and 4 more")


def test_unknown_names_are_read_by_what_the_columns_hold(tmp_path: Path) -> None:
    rows = [{"nr": index, "said": LONG.format(index), "who": "ab"[index % 2]} for index in range(20)]
    assert found(write(tmp_path / "a.jsonl", *rows)) == ("classify", {"text": "said", "label": "who"})


def test_two_columns_of_texts_are_prompt_and_reply(tmp_path: Path) -> None:
    rows = [{"上句": LONG.format(index), "下句": "reply " + LONG.format(index)} for index in range(20)]
    assert found(write(tmp_path / "a.jsonl", *rows)) == ("reply", {"prompt": "上句", "reply": "下句"})


def test_a_label_column_full_of_long_texts_is_a_reply(tmp_path: Path) -> None:
    rows = [{"text": LONG.format(index), "target": "summary " + LONG.format(index)} for index in range(20)]
    assert found(write(tmp_path / "a.jsonl", *rows)) == ("reply", {"prompt": "text", "reply": "target"})


def test_answers_that_repeat_are_categories_unless_the_prompt_is_an_instruction(tmp_path: Path) -> None:
    rows = [{"question": LONG.format(index), "answer": ["yes", "no"][index % 2]} for index in range(20)]
    assert found(write(tmp_path / "a.jsonl", *rows))[0] == "classify"
    rows = [{"prompt": LONG.format(index), "completion": ["yes", "no"][index % 2]} for index in range(20)]
    assert found(write(tmp_path / "b.jsonl", *rows))[0] == "reply"


def test_columns_that_describe_the_row_are_no_labels(tmp_path: Path) -> None:
    rows = [{"text": LONG.format(index), "lang": "en", "source": "web", "meta": {"a": 1}} for index in range(20)]
    assert found(write(tmp_path / "a.jsonl", *rows)) == ("continue", {"text": "text"})


def test_text_alone_is_continued(tmp_path: Path) -> None:
    assert found(write(tmp_path / "a.jsonl", {"content": "a"}, {"content": "b"})) == ("continue", {"text": "content"})
    assert found(write(tmp_path / "b.jsonl", {"x": "a"}, {"x": "b"})) == ("continue", {"text": "x"})


ROWS = [
    {"a": LONG.format(index), "b": "xy"[index % 2], "c": LONG.format(-index), "d": "pq"[index % 2]}
    for index in range(12)
]


@pytest.mark.parametrize(
    ("hints", "kind", "columns"),
    [
        (Hints(text_column="c", label_column="d"), "classify", {"text": "c", "label": "d"}),
        (Hints(label_column="d"), "classify", {"text": "c", "label": "d"}),
        (Hints(text_column="C"), "classify", {"text": "c", "label": "b"}),
        (Hints(prompt_column="a", reply_column="c"), "reply", {"prompt": "a", "reply": "c"}),
        (Hints(reply_column="a"), "reply", {"prompt": "c", "reply": "a"}),
        (Hints(prompt_column="c"), "reply", {"prompt": "c", "reply": "a"}),
        (Hints(text_column="a", label_column="b", kind="reply"), "reply", {"text": "a", "label": "b"}),
        (Hints(text_column="a", kind="continue"), "continue", {"text": "a", "label": "b"}),
    ],
)
def test_a_named_column_overrules_the_guess(tmp_path: Path, hints: Hints, kind: str, columns: dict[str, str]) -> None:
    assert found(write(tmp_path / "a.jsonl", *ROWS), hints) == (kind, columns)


def test_a_column_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a", "label": "b"})
    with pytest.raises(DataError, match="there is no column `lable` \\(asked for by --label-column\\)") as caught:
        open_dataset(path, Hints(label_column="lable"))
    assert "`label`" in caught.value.hint


def test_a_kind_for_which_there_is_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "a", "completion": "b"})
    with pytest.raises(DataError, match="are for the kind reply and hold nothing for mark"):
        open_dataset(path, Hints(kind="mark"))


def test_rows_without_any_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column holds text; the columns are `a`, `b`"):
        open_dataset(write(tmp_path / "a.jsonl", {"a": None, "b": [1]}, {"a": None, "b": [2]}))


def test_the_format_can_be_overruled(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_text("text;label\nhi;ham\nyou;spam\n", encoding="utf-8")
    assert open_dataset(path, Hints(format="csv")).layout.format == "csv"
    assert open_dataset(path).layout.format == "text"
    assert len(list(open_dataset(path, Hints(format="text")))) == 3
