"""From an example to the conversation that a model reads, and the answer it should give. One rule for every caller."""

from weitiao.codec.listed import listed
from weitiao.data.spans import outermost
from weitiao.example import Categories, Category, Example, Message, Reply, Spans, Task


def conversation(example: Example, task: Task) -> tuple[Message, ...]:
    """What the model reads before it answers. A document under a question becomes one user turn."""
    if task.kind in ("classify", "mark"):
        return (Message("user", f"{task.question}\n\n{example.text}" if task.question else example.text),)
    return example.messages


def answer(example: Example) -> str | None:
    """The text that the model should give: the reply, the category's name, the spans as lines; None without a label."""
    match example.label:
        case Reply(text):
            return text
        case Category(name) | Categories((name,)):
            return name
        case Spans():
            return listed(outermost(example.label, example.text), example.text)
        case _:
            return None
