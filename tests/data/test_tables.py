import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weitiao.data.dataset import Dataset, Hints, open_dataset
from weitiao.data.ledger import Dropped
from weitiao.example import Category, Example


def opened(path: Path, text: str, hints: Hints = Hints()) -> Dataset:  # noqa: B008
    path.write_bytes(text.encode())
    return open_dataset(path, hints)


def pairs(dataset: Dataset) -> list[tuple[str, str | None]]:
    """Text and category of every example; a dropped row fails the test."""
    found = []
    for item in dataset:
        assert isinstance(item, Example), item
        found.append((item.text, item.label.name if isinstance(item.label, Category) else None))
    return found


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = ["text,label", "hello there,ham", "win a prize,spam", "see you,ham"]
    dataset = opened(tmp_path / "a.csv", "\n".join(row.replace(",", delimiter) for row in rows))
    assert pairs(dataset) == [("hello there", "ham"), ("win a prize", "spam"), ("see you", "ham")]
    assert dataset.layout.format == ("tsv" if delimiter == "\t" else "csv")


def test_a_table_without_header_and_with_stray_quotes_is_read_line_by_line(tmp_path: Path) -> None:
    lines = ['ham\t"Gimme a few" was minutes ago', 'spam\t"WIN now', "ham\tit's 5\" long, ok", 'ham\t"quoted whole"']
    dataset = opened(tmp_path / "sms.csv", "\n".join(lines * 5) + "\n")
    assert dataset.layout.columns == {"text": "2", "label": "1"}
    assert pairs(dataset) == [tuple(reversed(line.split("\t"))) for line in lines * 5]
    assert any("--no-header" in guess and "TAB" in guess for guess in dataset.layout.guesses)


def test_a_tab_separated_file_of_a_program_that_quotes_is_unquoted(tmp_path: Path) -> None:
    text = 'label\ttext\nham\t"He said ""hi"""\nspam\t"two\nlines"\nham\tplain\n'
    dataset = opened(tmp_path / "a.tsv", text)
    assert pairs(dataset) == [('He said "hi"', "ham"), ("two\nlines", "spam"), ("plain", "ham")]


def test_the_line_is_the_physical_one_where_the_row_begins(tmp_path: Path) -> None:
    dataset = opened(tmp_path / "a.csv", 'text,label\n"one\ntwo\nthree",ham\n\nnext,spam\n')
    assert [item.source for item in dataset] == ["a.csv:2", "a.csv:6"]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("text,label\nhello,ham\nyou,spam\n", True),
        ("v1,v2,,\nham,hello,,\nspam,you,,\n", True),
        ("标签,内容\n好,今天天气很好\n坏,今天下雨了\n", True),
        ("kind,said\nham,hello there my dear old friend of mine\nspam,win a big prize right now by calling us\n", True),
        ("hello there,ham\nyou there,spam\nand them,ham\n", False),
        ("question,what is this\nstatement,it is that\nquestion,who is it\n", False),
        ("好,今天天气很好\n坏,今天下雨了\n好,我们很开心\n", False),
    ],
)
def test_a_header_is_told_from_a_row(tmp_path: Path, text: str, header: bool) -> None:
    rows = len(text.splitlines())
    dataset = opened(tmp_path / "a.csv", text)
    assert len(list(dataset)) == rows - header
    assert len(list(opened(tmp_path / "a.csv", text, Hints(header=True)))) == rows - 1
    assert len(list(opened(tmp_path / "a.csv", text, Hints(header=False)))) == rows


def test_a_named_column_makes_the_first_line_a_header(tmp_path: Path) -> None:
    dataset = opened(tmp_path / "a.csv", "a,b\nx,y\nz,y\n", Hints(text_column="a", label_column="b"))
    assert pairs(dataset) == [("x", "y"), ("z", "y")]


def test_a_column_of_sentences_is_one_column(tmp_path: Path) -> None:
    rows = ["text", *["well, this is a sentence"] * 6, *["and this one, too, is"] * 5]
    dataset = opened(tmp_path / "a.csv", "\n".join(f'"{row}"' for row in rows))
    assert (dataset.layout.kind, len(pairs(dataset))) == ("continue", 11)


def test_a_short_row_is_dropped_with_its_line(tmp_path: Path) -> None:
    dataset = opened(tmp_path / "a.csv", "text,label\nhi,ham\nyou\nthere,spam\n")
    assert [item for item in dataset if isinstance(item, Dropped)] == [
        Dropped("a.csv:3", "ragged", "has 1 cells where the table has 2 columns")
    ]


def test_a_cell_of_a_million_characters_is_read(tmp_path: Path) -> None:
    dataset = opened(tmp_path / "a.csv", f"text,label\n{'好' * 10**6},ham\nb,spam\n")
    assert [len(text) for text, _ in pairs(dataset)] == [10**6, 1]


def test_a_json_list_in_a_cell_is_several_categories(tmp_path: Path) -> None:
    dataset = opened(tmp_path / "a.csv", 'text,label\nhi,"[""a"", ""b""]"\nyou,"[""a""]"\n')
    labels = [item.label for item in dataset if isinstance(item, Example)]
    assert [label.names for label in labels] == [("a", "b"), ("a",)]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(cells.filter(str.strip), st.sampled_from(["ham", "spam", "好"])), min_size=2, max_size=12)
)
def test_what_a_csv_writer_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert pairs(open_dataset(path, Hints(header=True))) == rows
