"""From an example to the conversation that a model reads, and the answer it should give. One rule for every caller."""

from weitiao.codec.listed import listed
from weitiao.data.spans import outermost
from weitiao.example import Categories, Category, Example, Message, Reply, Spans, Task


def conversation(example: Example, task: Task) -> tuple[Message, ...]:
    """What the model reads before it answers: the task's shots, each as if it had been asked and answered, then the
    question. A document under a question becomes one user turn.
    """
    shots = [message for shot in task.shots.of(example) for message in _solved(shot, task)]
    asked = _asked(example, task)
    system = [message for message in asked[:1] if message.role == "system"]
    return (*system, *shots, *asked[len(system) :])


def _asked(example: Example, task: Task) -> tuple[Message, ...]:
    if task.kind in ("classify", "mark"):
        return (Message("user", f"{task.question}\n\n{example.text}" if task.question else example.text),)
    return example.messages


def _solved(shot: Example, task: Task) -> tuple[Message, ...]:
    reply = answer(shot)
    assert reply is not None, "only what has a label is shown"
    return (*(message for message in _asked(shot, task) if message.role != "system"), Message("assistant", reply))


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
