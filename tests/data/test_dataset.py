import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weitiao.data.dataset import Hints, open_dataset
from weitiao.data.ledger import Dropped
from weitiao.errors import DataError
from weitiao.example import Category, Example, Reply, Spans


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_data_set_can_be_walked_again_and_again(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path / "a.jsonl", {"text": "a"}, {"text": ""}, {"text": "b"}, {"text": "c"}))
    assert list(dataset) == list(dataset)
    assert [type(item) for item in dataset] == [Example, Dropped, Example, Example]


def test_two_walks_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b"}))
    assert [(one, two) for one, two in zip(dataset, dataset, strict=True) if one != two] == []


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a small row of text", "label": "ham"}\n' * 60_000)
    dataset = open_dataset(path)
    tracemalloc.start()
    count = sum(1 for _ in dataset)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 8 * 2**20  # the file has 2.8 MB, a list of its examples 30


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a"})
    assert open_dataset(path).digest() == hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "d").mkdir()
    for name, text in (("1.jsonl", "a"), ("2.jsonl", "b")):
        write(tmp_path / "d" / name, {"text": text})
    both = open_dataset(tmp_path / "d").digest()
    write(tmp_path / "d" / "2.jsonl", {"text": "c"})
    assert open_dataset(tmp_path / "d").digest() != both


def test_parts_in_a_folder_are_read_in_order(tmp_path: Path) -> None:
    for name in ("part-00001.jsonl", "part-00000.jsonl"):
        write(tmp_path / name, {"text": name})
    (tmp_path / "README.md").write_text("about", encoding="utf-8")
    (tmp_path / ".hidden.csv").write_text("x", encoding="utf-8")
    assert [item.source for item in open_dataset(tmp_path)] == ["part-00000.jsonl:1", "part-00001.jsonl:1"]


@pytest.mark.parametrize("names", [("train.csv", "test.csv"), ("data-train-00000.csv", "data-validation-00000.csv")])
def test_a_training_and_a_test_set_are_never_mixed(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / name).write_text("text,label\na,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds a training and a test set") as caught:
        open_dataset(tmp_path)
    assert "--test" in caught.value.hint


def test_class_folders_of_splits_are_never_mixed(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match="holds a training and a test set"):
        open_dataset(tmp_path)


def test_a_folder_of_mixed_formats_or_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no data"):
        open_dataset(tmp_path)
    write(tmp_path / "a.jsonl", {"text": "a"})
    (tmp_path / "b.csv").write_text("text\na\n", encoding="utf-8")
    with pytest.raises(DataError, match="files of several formats: csv, jsonl"):
        open_dataset(tmp_path)


def test_parquet_rows_are_numbered_and_class_numbers_get_their_names(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    features = {"text": {"_type": "Value"}, "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    schema = pyarrow.schema([("text", pyarrow.string()), ("label", pyarrow.int64())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    table = pyarrow.table({"text": ["太差", "很好", "?"], "label": [0, 1, -1]}, schema=schema)
    parquet.write_table(table, tmp_path / "a.parquet")
    items = list(open_dataset(tmp_path / "a.parquet"))
    assert [(item.source, item.label) for item in items if isinstance(item, Example)] == [
        ("a.parquet:1", Category("neg")),
        ("a.parquet:2", Category("pos")),
        ("a.parquet:3", None),
    ]


def test_parquet_conversations_and_tags_are_read(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    messages = [[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]]
    parquet.write_table(pyarrow.table({"messages": messages}), tmp_path / "a.parquet")
    (example,) = open_dataset(tmp_path / "a.parquet")
    assert isinstance(example, Example)
    assert example.label == Reply("a")
    features = {"ner_tags": {"feature": {"names": ["O", "B-LOC"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = pyarrow.table({"tokens": [["in", "Rome"]], "ner_tags": [[0, 1]]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "b.parquet")
    (example,) = open_dataset(tmp_path / "b.parquet")
    assert isinstance(example, Example)
    assert isinstance(example.label, Spans)
    assert [(span.start, span.end, span.name) for span in example.label.spans] == [(3, 7, "LOC")]


def info(folder: Path, **entries: object) -> None:
    (folder / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")


def test_dataset_info_names_the_columns(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", {"frage": "q", "antwort": "a", "alt": [["x", "y"]], "sys": "s"})
    columns = {"prompt": "frage", "response": "antwort", "history": "alt", "system": "sys"}
    info(tmp_path, mine={"file_name": "mine.jsonl", "columns": columns}, other={"hf_hub_url": "x/y"})
    for path in (tmp_path / "mine.jsonl", tmp_path / "mine", tmp_path):
        (example,) = open_dataset(path)
        assert isinstance(example, Example)
        assert [message.role for message in example.messages] == ["system", "user", "assistant", "user"]
        assert example.label == Reply("a")


def test_dataset_info_names_roles(tmp_path: Path) -> None:
    write(tmp_path / "c.jsonl", {"talk": [{"wer": "kunde", "was": "q"}, {"wer": "hilfe", "was": "a"}]})
    tags = {"role_tag": "wer", "content_tag": "was", "user_tag": "kunde", "assistant_tag": "hilfe"}
    info(tmp_path, c={"file_name": "c.jsonl", "formatting": "sharegpt", "columns": {"messages": "talk"}, "tags": tags})
    (example,) = open_dataset(tmp_path / "c.jsonl")
    assert isinstance(example, Example)
    assert example.messages[0].role == "user"
    assert example.label == Reply("a")


def test_several_entries_ask_for_a_choice(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.jsonl", {"instruction": "q", "output": "a"})
    info(tmp_path, a={"file_name": "a.jsonl"}, b={"file_name": "b.jsonl"})
    with pytest.raises(DataError, match="several data sets") as caught:
        open_dataset(tmp_path)
    assert str(tmp_path / "b") in caught.value.hint
    assert len(list(open_dataset(tmp_path / "b"))) == 1


def test_dataset_info_may_name_plain_text_and_preferences(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", {"text": "a b c"})
    turn = {"from": "human", "value": "q"}
    write(
        tmp_path / "dpo.jsonl",
        {"talk": [turn], "good": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}},
    )
    columns = {"messages": "talk", "chosen": "good", "rejected": "rejected"}
    info(
        tmp_path,
        corpus={"file_name": "corpus.jsonl", "columns": {"prompt": "text"}},
        dpo={"file_name": "dpo.jsonl", "ranking": True, "formatting": "sharegpt", "columns": columns},
    )
    assert open_dataset(tmp_path / "corpus").layout.kind == "continue"
    (example,) = open_dataset(tmp_path / "dpo")
    assert isinstance(example, Example)
    assert example.label == Reply("a")
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path / "dop")
    assert str(tmp_path / "dpo") in caught.value.hint


def test_dataset_info_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "secret.jsonl", {"instruction": "q", "output": "a"})
    (tmp_path / "d").mkdir()
    info(tmp_path / "d", x={"file_name": "../secret.jsonl"})
    for path in (tmp_path / "d", tmp_path / "d" / "x"):
        with pytest.raises(DataError, match="lies outside the folder"):
            open_dataset(path)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": {"file_name": "a.jsonl", "formatting": "x"}}', "[" * 50_000])
def test_a_broken_dataset_info_beside_the_data_is_said_and_not_needed(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "q", "completion": "a"})
    (tmp_path / "dataset_info.json").write_text(content, encoding="utf-8")
    dataset = open_dataset(path)
    assert len(list(dataset)) == 1
    assert [problem.kind for problem in dataset.notes] == ["dataset_info"]
    with pytest.raises(DataError, match="cannot be understood"):
        open_dataset(tmp_path)


def test_notes_are_complete_after_a_walk_and_do_not_add_up(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"text": "a", "text": "b"}\n' * 3)
    dataset = open_dataset(path)
    for _ in range(2):
        list(dataset)
        assert [(problem.kind, problem.where) for problem in dataset.notes] == [
            ("bom", "a.jsonl:1"),
            ("repeated_key", "a.jsonl:1"),
        ]
        assert dataset.notes[1].message.startswith("rows with a repeated key: 3,")


SUFFIXES = ["csv", "tsv", "json", "jsonl", "txt", "conll", "parquet", "gz", "xyz"]
PIECES = [
    *[
        "text",
        "label",
        "ham",
        "你好",
        "\t",
        ",",
        '"',
        "\n",
        "\r",
        "{",
        "}",
        "[",
        "]",
        ":",
        "\\u00",
        "null",
        "1e9",
        "B-X",
        "O",
        " ",
    ],
    *['{"text": "a"}\n', '{"messages": []}\n', "\x1b[0m", "\ufeff", "\0", '{"text":"a","label":[[0,1,"X"]]}\n'],
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(SUFFIXES), content=st.lists(st.sampled_from(PIECES), max_size=25) | st.binary(max_size=40)
)
def test_no_content_whatever_ends_in_a_traceback(tmp_path: Path, suffix: str, content: list[str] | bytes) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else "".join(content).encode())
    try:
        items = list(open_dataset(path, Hints()))
    except DataError as error:
        assert error.problem
        assert error.hint
        assert "\x1b" not in error.problem + error.hint
    else:
        assert all(isinstance(item, (Example, Dropped)) for item in items)
