import json
from pathlib import Path

import pytest

from weitiao.data.dataset import open_dataset
from weitiao.data.ledger import Dropped
from weitiao.data.spans import join_tokens, outermost, tagged_spans
from weitiao.example import Example, Span, Spans


def marked(path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each text with the marked parts of it and their names, cut out by the offsets."""
    found = []
    for item in open_dataset(path):
        assert isinstance(item, Example), item
        assert isinstance(item.label, Spans)
        found.append((item.text, [(item.text[span.start : span.end], span.name) for span in item.label.spans]))
    return found


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["Empire", "State", "."], "Empire State ."),
        (["我", "爱", "北", "京", "。"], "我爱北京。"),
        (["我", "用", "iPhone", "拍", "照"], "我用iPhone拍照"),
        (["hi", "😀", "there"], "hi 😀 there"),
        (["서울", "은", "수도"], "서울 은 수도"),
        (["東京", "へ"], "東京へ"),
    ],
)
def test_tokens_are_joined_as_people_write(tokens: list[str], text: str) -> None:
    joined, starts = join_tokens(tokens)
    assert joined == text
    assert [joined[start : start + len(token)] for start, token in zip(starts, tokens, strict=True)] == tokens


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-A I-A O B-A B-A", [(0, 2, "A"), (3, 4, "A"), (4, 5, "A")]),
        ("I-A I-A O I-A B-A", [(0, 2, "A"), (3, 4, "A"), (4, 5, "A")]),  # IOB1
        ("B-A E-A O S-B S-B", [(0, 2, "A"), (3, 4, "B"), (4, 5, "B")]),  # BIOES
        ("B-A L-A U-B O B-A", [(0, 2, "A"), (2, 3, "B"), (4, 5, "A")]),  # BILOU
        ("B_A M_A E_A O S_B", [(0, 3, "A"), (4, 5, "B")]),  # BMES
        ("I-A I-B I-B O O", [(0, 1, "A"), (1, 3, "B")]),
        ("PER PER O LOC O", [(0, 2, "PER"), (3, 4, "LOC")]),
        ("O O O O O", []),
        ("B-A I-A I-A I-A I-A", [(0, 5, "A")]),
    ],
)
def test_every_tag_family_is_read(tags: str, spans: list[tuple[int, int, str]]) -> None:
    tokens = ["aa", "b", "ccc", "d", "ee"]
    _, starts = join_tokens(tokens)
    ends = [start + len(token) for start, token in zip(starts, tokens, strict=True)]
    wanted = tuple(Span(starts[first], ends[last - 1], name) for first, last, name in spans)
    assert tagged_spans(tokens, starts, tags.split()) == Spans(wanted)


CONLL = "Empire B-facility\nState I-facility\n. O\n\t\n-DOCSTART- O\n\n我 O\n在 O\n北 B-loc\n京 I-loc\n"


@pytest.mark.parametrize("name", ["ner.txt", "ner.conll", "ner.tsv", "ner.csv"])
def test_a_sentence_ends_at_a_line_of_white_space(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(CONLL.replace(" ", "\t"), encoding="utf-8")
    assert open_dataset(path).layout.kind == "mark"
    assert marked(path) == [("Empire State .", [("Empire State", "facility")]), ("我在北京", [("北京", "loc")])]
    assert [item.source for item in open_dataset(path)] == [f"{name}:1", f"{name}:7"]


def test_columns_between_token_and_tag_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "eng.conll"
    path.write_text("EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n", encoding="utf-8")
    assert marked(path) == [("EU rejects", [("EU", "ORG")]), ("Peter", [("Peter", "PER")])]


def test_a_line_without_a_tag_drops_its_sentence_and_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("a O\nb O\n\nc O\nbroken\nd O\n\ne O\n", encoding="utf-8")
    items = list(open_dataset(path))
    assert items[1] == Dropped("a.conll:4", "malformed", "line 5, `broken`, has no tag")
    assert len(items) == 3


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


TEXT = "😀 Paris 和北京"


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "text": TEXT, "label": [[2, 7, "LOC"], [9, 11, "LOC"]]},
        {"id": 1, "text": TEXT, "labels": [[9, 11, "LOC"], [2, 7, "LOC"]]},
        {
            "text": TEXT,
            "entities": [{"start_offset": 2, "end_offset": 7, "label": "LOC"}, {"start": 9, "end": 11, "label": "LOC"}],
        },
        {
            "text": TEXT,
            "spans": [{"start": 2, "end": 7, "label": "LOC"}, {"start": 9, "end": 11, "label": "LOC"}],
            "answer": "accept",
        },
        {
            "text": TEXT,
            "label": [
                {"start": 2, "end": 7, "text": "Paris", "labels": ["LOC"]},
                {"start": 9, "end": 11, "text": "北京", "labels": ["LOC"]},
            ],
        },
    ],
)
def test_spans_of_labelling_tools_are_code_points(tmp_path: Path, row: dict[str, object]) -> None:
    path = write_lines(tmp_path / "a.jsonl", row)
    assert open_dataset(path).layout.kind == "mark"
    assert marked(path) == [(TEXT, [("Paris", "LOC"), ("北京", "LOC")])]


def label_studio(text: str, start: int, end: int, found: str) -> dict[str, object]:
    value = {"start": start, "end": end, "text": found, "labels": ["LOC"]}
    result = [{"type": "labels", "from_name": "ner", "to_name": "text", "value": value}]
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": result, "was_cancelled": False}]}


def test_offsets_in_utf16_units_are_told_by_the_marked_text(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    tasks = [label_studio(TEXT, 2, 7, "Paris"), label_studio(TEXT, 3, 8, "Paris"), label_studio(TEXT, 10, 12, "北京")]
    path.write_text(json.dumps(tasks), encoding="utf-8")
    assert open_dataset(path).layout.shape == "labelstudio"
    assert [parts for _, parts in marked(path)] == [[("Paris", "LOC")], [("Paris", "LOC")], [("北京", "LOC")]]


def test_a_span_that_does_not_fit_its_text_drops_the_row(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    good = label_studio("in Paris", 3, 8, "Paris")
    path.write_text(json.dumps([good, good, label_studio("in Rome", 1, 3, "Paris")]), encoding="utf-8")
    dropped = [item for item in open_dataset(path) if isinstance(item, Dropped)]
    assert [item.reason for item in dropped] == ["malformed"]
    assert "marks 1 to 3, which is not its text `Paris`" in dropped[0].detail
    lines = write_lines(
        tmp_path / "a.jsonl", *[{"text": "abc", "label": [[0, 1, "X"]]}] * 3, {"text": "abc", "label": [[2, 9, "X"]]}
    )
    dropped = [item for item in open_dataset(lines) if isinstance(item, Dropped)]
    assert dropped == [Dropped("a.jsonl:4", "malformed", "`label[0]` marks 2 to 9 of a text of 3 characters")]


def test_unmarked_is_not_the_same_as_nothing_marked(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        {"text": "abc", "label": [[0, 1, "X"]]},
        {"text": "def", "label": []},
        {"text": "ghi", "label": None},
    )
    labels = [item.label for item in open_dataset(path) if isinstance(item, Example)]
    assert labels == [Spans((Span(0, 1, "X"),)), Spans(()), None]


def test_rejected_answers_are_set_aside_and_are_no_fault(tmp_path: Path) -> None:
    row = {"text": "abc", "spans": [], "answer": "accept", "_task_hash": 1}
    path = write_lines(tmp_path / "a.jsonl", row, {**row, "answer": "reject"}, {**row, "answer": "ignore"})
    assert [item.reason for item in open_dataset(path) if isinstance(item, Dropped)] == ["rejected", "rejected"]


def test_tokens_and_tags_in_json_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"tokens": ["in", "", "Rome"], "ner_tags": ["O", "O", "B-LOC"]})
    assert marked(path) == [("in Rome", [("Rome", "LOC")])]


def test_of_spans_in_or_across_one_another_the_outermost_stay() -> None:
    spans = Spans(
        (Span(0, 4, "b"), Span(0, 8, "a"), Span(4, 8, "c"), Span(6, 11, "d"), Span(9, 10, "e"), Span(8, 9, "f"))
    )
    assert outermost(spans, "abcd efg hij") == (Span(0, 8, "a"), Span(9, 10, "e"))
