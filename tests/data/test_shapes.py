import json
from pathlib import Path

import pytest

from weitiao.data.dataset import Hints, open_dataset
from weitiao.data.ledger import Dropped
from weitiao.example import Categories, Category, Example, Message, Reply


def write(path: Path, *rows: object) -> Path:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text(f"[{','.join(lines)}]" if path.suffix == ".json" else "\n".join(lines), encoding="utf-8")
    return path


def examples(path: Path, hints: Hints = Hints()) -> list[Example]:  # noqa: B008
    items = list(open_dataset(path, hints))
    assert not [item for item in items if isinstance(item, Dropped)]
    return [item for item in items if isinstance(item, Example)]


def only(path: Path, hints: Hints = Hints()) -> Example:  # noqa: B008
    (example,) = examples(path, hints)
    return example


def dropped(path: Path) -> list[Dropped]:
    return [item for item in open_dataset(path) if isinstance(item, Dropped)]


def test_alpaca_becomes_a_prompt_and_a_reply(tmp_path: Path) -> None:
    path = write(
        tmp_path / "alpaca.json",
        {"instruction": "翻译成英语", "input": "你好", "output": "Hello"},
        {"instruction": "Name a colour.", "input": "", "output": "Blue"},
    )
    first, second = examples(path)
    assert open_dataset(path).layout.shape == "alpaca"
    assert first.messages == (Message("user", "翻译成英语\n你好"),)
    assert first.label == Reply("Hello")
    assert second.messages == (Message("user", "Name a colour."),)


def test_alpaca_history_and_system_come_first(tmp_path: Path) -> None:
    row = {"instruction": "and 2+3?", "output": "5", "system": "Be short.", "history": [["1+1?", "2"], ["2+2?", "4"]]}
    assert [(m.role, m.content) for m in only(write(tmp_path / "a.json", row)).messages] == [
        ("system", "Be short."),
        ("user", "1+1?"),
        ("assistant", "2"),
        ("user", "2+2?"),
        ("assistant", "4"),
        ("user", "and 2+3?"),
    ]


def test_sharegpt_with_tools_becomes_roles(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "weather?"},
        {"from": "function_call", "value": '{"name": "weather"}'},
        {"from": "observation", "value": "sunny"},
        {"from": "gpt", "value": "It is sunny."},
    ]
    path = write(tmp_path / "a.jsonl", {"conversations": turns, "system": "Help."})
    example = only(path)
    assert open_dataset(path).layout.shape == "sharegpt"
    assert [message.role for message in example.messages] == ["system", "user", "assistant", "tool"]
    assert example.label == Reply("It is sunny.")


def test_openai_messages_with_parts_and_tool_calls(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "+1?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
        {"role": "assistant", "content": "Two 🎉"},
    ]
    path = write(tmp_path / "a.jsonl", {"messages": messages})
    dataset = open_dataset(path)
    (example,) = dataset
    assert isinstance(example, Example)
    assert [(m.role, m.content) for m in example.messages] == [
        ("system", "Be kind."),
        ("user", "1+1?"),
        ("assistant", '[{"name": "add", "arguments": {"a": 1}}]'),
        ("tool", "2"),
    ]
    assert example.label == Reply("Two 🎉")
    assert [problem.kind for problem in dataset.notes] == ["tool_calls"]
    assert dataset.layout.shape == "messages"


USER, BOT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def test_what_follows_the_last_reply_is_left_out_and_said(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path / "a.jsonl", {"messages": [USER, BOT, USER]}))
    (example,) = dataset
    assert isinstance(example, Example)
    assert (example.messages, example.label) == ((Message("user", "q"),), Reply("a"))
    assert [problem.kind for problem in dataset.notes] == ["trailing_turns"]


def test_for_prediction_a_waiting_conversation_has_no_reply(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"messages": [USER, BOT, USER]})
    example = only(path, Hints(needs_reply=False))
    assert (len(example.messages), example.label) == (3, None)
    prompts = write(tmp_path / "b.jsonl", {"prompt": "why?"}, {"prompt": "how?"})
    assert [e.label for e in examples(prompts, Hints(prompt_column="prompt", needs_reply=False))] == [None, None]


def test_a_turn_of_weight_zero_is_not_learned(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"messages": [USER, BOT, USER, {**BOT, "content": "bad", "weight": 0}]})
    assert only(path).label == Reply("a")


@pytest.mark.parametrize(
    ("messages", "reason", "detail"),
    [
        ([USER], "no_reply", "`messages` has no turn of the assistant to learn from"),
        ([USER, {"role": "assistant", "content": " "}], "no_reply", "the last reply in `messages` is empty"),
        ([BOT], "empty_text", "nothing comes before the reply in `messages`"),
        (
            [USER, {"role": "asistant", "content": "a"}],
            "unknown_role",
            "`messages[1].role` is the unknown role `asistant`",
        ),
        ([USER, {"role": "assistant", "contnt": "a"}], "missing_field", "has no `content`; nearest: `contnt`"),
        ([USER, {"content": "a"}], "missing_field", "has no `role`"),
        ([USER, "a"], "wrong_type", "`messages[1]` is a text, not a turn"),
        ([USER, {"role": "assistant", "content": 5}], "wrong_type", "`messages[1].content` is a number, not a text"),
        ([{"role": 1, "content": "a"}], "wrong_type", "`messages[0].role` is a number, not a text"),
        ("hello", "wrong_type", "`messages` is a text, not a list of turns"),
        (None, "wrong_type", "`messages` is nothing (null), not a list of turns"),
        ([], "no_reply", "`messages` has no turn"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, BOT],
            "unsupported",
            "`messages[0].content[0]` is of the type image_url; only text is read",
        ),
    ],
)
def test_a_broken_conversation_is_dropped_with_the_path_of_the_fault(
    tmp_path: Path, messages: object, reason: str, detail: str
) -> None:
    good = {"messages": [USER, BOT]}
    (item,) = dropped(write(tmp_path / "a.jsonl", good, good, {"messages": messages}))
    assert (item.source, item.reason) == ("a.jsonl:3", reason)
    assert item.detail.startswith(detail)


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        *[("prompt", "completion"), ("prompt", "response"), ("question", "answer"), ("input", "output")],
        *[
            ("query", "response"),
            ("instruction", "response"),
            ("问题", "回答"),
            ("Question", "Answer "),
            ("prompt", "chosen"),
        ],
    ],
)
def test_prompt_and_reply_go_by_many_names(tmp_path: Path, prompt: str, reply: str) -> None:
    path = write(tmp_path / "a.jsonl", {prompt: "why is it so?", reply: "because"}, {prompt: "how?", reply: "thus"})
    dataset = open_dataset(path)
    assert (dataset.layout.kind, dataset.layout.shape) == ("reply", "prompt+reply")
    assert dataset.layout.columns == {"prompt": prompt, "reply": reply}
    assert [example.label for example in examples(path)] == [Reply("because"), Reply("thus")]


def test_prompt_and_completion_may_be_turns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": [USER], "completion": [BOT]})
    assert (only(path).messages, only(path).label) == ((Message("user", "q"),), Reply("a"))


def test_a_number_is_an_answer_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "1+1?", "answer": 2}, {"question": "name?", "answer": "Ann"})
    assert [example.label for example in examples(path)] == [Reply("2"), Reply("Ann")]


def test_bad_answers_kept_for_preferences_are_not_learned(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "completion": f"a{index}", "label": index > 2} for index in range(4)]
    assert [item.reason for item in dropped(write(tmp_path / "a.jsonl", *rows))] == ["rejected"] * 3


GOOD_TURN, BAD_TURN = {"from": "gpt", "value": "good"}, {"from": "gpt", "value": "bad"}
QUESTION = {"from": "human", "value": "q"}


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [QUESTION], "rejected": BAD_TURN, "chosen": GOOD_TURN},
        {"rejected": [QUESTION, BAD_TURN], "chosen": [QUESTION, GOOD_TURN]},
        {"prompt": [QUESTION], "rejected": [BAD_TURN], "chosen": [GOOD_TURN]},
        {"rejected": "bad", "prompt": "q", "chosen": "good"},
    ],
)
def test_the_better_answer_of_a_preference_is_learned(tmp_path: Path, row: dict[str, object]) -> None:
    example = only(write(tmp_path / "a.jsonl", row))
    assert (example.messages, example.label) == ((Message("user", "q"),), Reply("good"))


def test_a_conversation_about_pictures_is_not_learned_without_them(tmp_path: Path) -> None:
    row = {"messages": [USER, BOT]}
    (item,) = dropped(write(tmp_path / "a.jsonl", row, row, {**row, "images": ["1.png"]}))
    assert (item.reason, item.detail) == ("unsupported", "has `images`; only text is read")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *[
            ("text", "label"),
            ("sentence", "label"),
            ("content", "category"),
            ("review", "sentiment"),
            ("message", "class"),
        ],
        *[("v2", "v1"), ("text", "target"), ("Text", "Label"), ("内容", "标签"), ("input", "label"), ("评论", "情感")],
    ],
)
def test_text_and_label_go_by_many_names(tmp_path: Path, text: str, label: str) -> None:
    path = write(tmp_path / "a.jsonl", {"id": 1, label: "好", text: "不错"}, {"id": 2, label: "坏", text: "太差了"})
    dataset = open_dataset(path)
    assert (dataset.layout.kind, dataset.layout.columns) == ("classify", {"text": text, "label": label})
    assert [(example.text, example.label) for example in examples(path)] == [
        ("不错", Category("好")),
        ("太差了", Category("坏")),
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [(1, "1"), (0, "0"), (1.0, "1"), (0.5, "0.5"), (True, "true"), (False, "false"), (" spam ", "spam")],
)
def test_labels_become_names(tmp_path: Path, value: object, name: str) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a", "label": value}, {"text": "b", "label": "x"})
    assert examples(path)[0].label == Category(name)


def test_a_row_without_a_label_is_kept_unlabelled(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": None}, {"text": "c", "label": ""}, {"text": "d"}]
    assert [example.label for example in examples(write(tmp_path / "a.jsonl", *rows))] == [
        Category("x"),
        None,
        None,
        None,
    ]


def test_lists_of_labels_are_several_categories(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": ["x", "y", "x"]}, {"text": "b", "label": []}, {"text": "c", "label": ["x"]}]
    assert [example.label for example in examples(write(tmp_path / "a.jsonl", *rows))] == [
        Categories(("x", "y")),
        Categories(()),
        Categories(("x",)),
    ]


def test_lists_of_one_label_are_one_category(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "a", "label": ["x"]}, {"id": 2, "text": "b", "label": []}]
    path = write(tmp_path / "a.jsonl", *rows)
    assert open_dataset(path).layout.shape == "doccano"
    assert [example.label for example in examples(path)] == [Category("x"), None]


def label_studio(text: str, *choices: str, cancelled: bool = False) -> dict[str, object]:
    result = [{"type": "choices", "from_name": "s", "to_name": "t", "value": {"choices": list(choices)}}]
    return {"id": 1, "data": {"review": text}, "annotations": [{"result": result, "was_cancelled": cancelled}]}


def test_label_studio_choices_are_categories(tmp_path: Path) -> None:
    tasks = [label_studio("好", "pos"), label_studio("差", "neg"), label_studio("?", "pos", cancelled=True)]
    path = write(tmp_path / "a.json", *tasks)
    layout = open_dataset(path).layout
    assert (layout.shape, layout.kind, layout.columns["text"]) == ("labelstudio", "classify", "review")
    assert [example.label for example in examples(path)] == [Category("pos"), Category("neg"), None]
    several = write(tmp_path / "b.json", label_studio("a", "x", "y"), label_studio("b", "x"))
    assert [example.label for example in examples(several)] == [Categories(("x", "y")), Categories(("x",))]


def test_prodigy_choices_are_categories(tmp_path: Path) -> None:
    options = [{"id": "A", "text": "a"}, {"id": "B", "text": "b"}]
    rows = [{"text": f"t{name}", "options": options, "accept": [name], "answer": "accept"} for name in "AB"]
    path = write(tmp_path / "a.jsonl", *rows)
    assert open_dataset(path).layout.shape == "prodigy"
    assert [example.label for example in examples(path)] == [Category("A"), Category("B")]


@pytest.mark.parametrize(
    ("kind", "messages", "label"),
    [
        ("classify", (Message("document", "hi"),), Category("ham")),
        ("continue", (Message("document", "hi"),), None),
        ("reply", (Message("user", "hi"),), Reply("ham")),
    ],
)
def test_the_kind_of_labelled_text_can_be_overruled(
    tmp_path: Path, kind: str, messages: tuple[Message, ...], label: object
) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "hi", "label": "ham"})
    example = only(path, Hints(kind=kind))
    assert (example.messages, example.label) == (messages, label)


@pytest.mark.parametrize(
    ("kind", "messages", "label"),
    [
        ("classify", (Message("document", "say\nhi"),), Category("ham")),
        ("continue", (Message("document", "say\nhi\nham "),), None),
        ("reply", (Message("user", "say\nhi"),), Reply("ham ")),
    ],
)
def test_the_kind_of_instructions_can_be_overruled(
    tmp_path: Path, kind: str, messages: tuple[Message, ...], label: object
) -> None:
    path = write(tmp_path / "a.json", {"instruction": "say", "input": "hi", "output": "ham "})
    example = only(path, Hints(kind=kind))
    assert (example.messages, example.label) == (messages, label)


def test_the_same_content_has_the_same_id_wherever_it_lies(tmp_path: Path) -> None:
    row = {"text": "同样", "label": "x"}
    first = only(write(tmp_path / "a.jsonl", row))
    second = examples(write(tmp_path / "b.json", {"text": "other", "label": "y"}, row))[1]
    assert first.id == second.id
    assert first.source != second.source
