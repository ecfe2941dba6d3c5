from pathlib import Path

import pytest

from weitiao.data.dataset import Hints, open_dataset
from weitiao.example import Categories, Category, Example

PARAGRAPHS = "First line\nof a paragraph.\n\n\nSecond one,\nalso long.\n\n第三段。\n"


def texts(path: Path, hints: Hints = Hints()) -> list[str]:  # noqa: B008
    return [item.text for item in open_dataset(path, hints) if isinstance(item, Example)]


def test_a_file_of_items_is_a_document_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("今天天气很好\nA sentence.\n\u3000\u3000缩进的一行\n", encoding="utf-8")
    dataset = open_dataset(path)
    assert (dataset.layout.kind, dataset.layout.shape, dataset.layout.format) == ("continue", "text", "text")
    assert texts(path) == ["今天天气很好", "A sentence.", "\u3000\u3000缩进的一行"]
    assert [item.source for item in dataset] == ["a.txt:1", "a.txt:2", "a.txt:3"]
    assert any("--documents" in guess for guess in dataset.layout.guesses)


def test_blank_lines_part_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(PARAGRAPHS, encoding="utf-8")
    assert texts(path) == ["First line\nof a paragraph.", "Second one,\nalso long.", "第三段。"]
    assert [item.source for item in open_dataset(path)] == ["a.txt:1", "a.txt:5", "a.txt:8"]


@pytest.mark.parametrize(("documents", "count"), [("lines", 5), ("paragraphs", 3), ("file", 1)])
def test_a_flag_overrules_what_a_document_is(tmp_path: Path, documents: str, count: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text(PARAGRAPHS, encoding="utf-8")
    assert len(texts(path, Hints(documents=documents))) == count


def test_wrapped_text_without_blank_lines_is_one_document(tmp_path: Path) -> None:
    words = ("the quick brown fox jumps over the lazy dog and runs " * 40).split()
    lines = [" ".join(words[start : start + 11]) for start in range(0, len(words), 11)]
    path = tmp_path / "book.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert len(texts(path)) == 1


def test_a_folder_of_texts_is_a_document_a_file(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"text of {name}\nmore\n", encoding="utf-8")
    assert texts(tmp_path) == ["text of a\nmore", "text of b\nmore"]
    assert [item.source for item in open_dataset(tmp_path)] == ["a.txt:1", "b.txt:1"]


def test_class_folders_are_labels(tmp_path: Path) -> None:
    for name, count in (("neg", 2), ("pos", 3), ("unsup", 1)):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f"{index}.txt").write_text(f"{name} review {index}", encoding="utf-8")
    (tmp_path / "urls.txt").write_text("x", encoding="utf-8")
    dataset = open_dataset(tmp_path)
    examples = [item for item in dataset if isinstance(item, Example)]
    assert dataset.layout.kind == "classify"
    assert [item.label for item in examples] == [Category("neg")] * 2 + [Category("pos")] * 3 + [None]
    assert examples[2].source == "pos/0.txt:1"
    assert dataset.layout.guesses[-1] == "the names of the folders or files are the labels: neg, pos"
    assert [problem.kind for problem in dataset.notes] == ["ignored_files"]


def test_text_files_named_after_polarities_are_labels(tmp_path: Path) -> None:
    (tmp_path / "pos.txt").write_text("很好\n不错\n", encoding="utf-8")
    (tmp_path / "neg.txt").write_text("太差\n", encoding="utf-8")
    examples = [item for item in open_dataset(tmp_path) if isinstance(item, Example)]
    assert [(item.text, item.label) for item in examples] == [
        ("太差", Category("neg")),
        ("很好", Category("pos")),
        ("不错", Category("pos")),
    ]


def test_fasttext_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("__label__a first text\n__label__b __label__a second\n", encoding="utf-8")
    examples = [item for item in open_dataset(path) if isinstance(item, Example)]
    assert [(item.text, item.label) for item in examples] == [
        ("first text", Categories(("a",))),
        ("second", Categories(("b", "a"))),
    ]


def test_label_and_text_by_tab_is_a_table_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cnews.train.txt"
    path.write_text("体育\t马晓旭意外受伤\n财经\t股市今天上涨\n体育\t国奥队警惕\n", encoding="utf-8")
    dataset = open_dataset(path)
    assert (dataset.layout.kind, dataset.layout.columns) == ("classify", {"text": "2", "label": "1"})


def test_a_markdown_text_that_begins_with_a_bracket_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("[Chapter 1]\nIt was a dark night.\n{curly} lines too.\n", encoding="utf-8")
    assert len(texts(path)) == 3
