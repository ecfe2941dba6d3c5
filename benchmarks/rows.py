"""The rows of every job, written once in each form that some side reads: the same chats, the same tokens.

Rows that would not fit the cutoff are left out, because what to do with them is not the same on all sides.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from weitiao.api.preparation import Opened, open_sources
from weitiao.codec import Codec, open_codec
from weitiao.data.partition import assigned
from weitiao.example import Example, Message
from weitiao.models.source import resolve
from weitiao.objectives.causal import with_answer
from weitiao.settings import make_settings

Chat = tuple[Message, ...]

SAMPLES = {"alpaca": "alpaca-en", "alpaca-zh": "alpaca-zh", "sms": "sms-spam", "long": "alpaca-en"}

_SPARE = 4  # rows for dev and test files, without which our side would split some off


@dataclass(frozen=True, slots=True)
class Rows:
    """What was written. ``tokens`` are real ones, as the model's own chat template makes them."""

    name: str
    count: int
    tokens: int
    targets: int  # tokens of the replies
    longest: int
    heldout: int  # rows of dev.jsonl
    question: str  # what stands before each text, where the replies are categories
    digest: str  # of messages.jsonl


def write_rows(name: str, model: str, count: int, heldout: int, cutoff: int, home: Path) -> tuple[Rows, Path]:
    """Write ``count`` rows of the set ``name`` of SAMPLES, and ``heldout`` others; what they are, and where."""
    folder = home.resolve() / "data" / f"{name}-{count}-{heldout}-{cutoff}"
    folder.mkdir(parents=True, exist_ok=True)
    codec = open_codec(resolve(model).tokenizer_folder)
    wanted = count + heldout + _SPARE
    opened = open_sources(make_settings({"data": SAMPLES[name]}))
    chats = list(islice(_chats(name, opened, codec, cutoff), wanted))
    if len(chats) < wanted:
        raise SystemExit(f"error: {name} has {len(chats)} rows of at most {cutoff} tokens, {wanted} are needed")
    train, others = chats[:count], chats[count:]
    _write_messages(folder / "messages.jsonl", train)
    _write_messages(folder / "dev.jsonl", others[: heldout or 1])
    _write_messages(folder / "test.jsonl", others[heldout or 1 :])
    _write_alpaca(folder / "alpaca.json", train)
    encodings = codec.encode_conversations(train)
    rows = Rows(
        name,
        count,
        tokens=sum(len(encoding.tokens) for encoding in encodings),
        targets=sum(encoding.asked for encoding in encodings),
        longest=max(len(encoding.tokens) for encoding in encodings),
        heldout=heldout,
        question=opened.task.question,
        digest=hashlib.sha256((folder / "messages.jsonl").read_bytes()).hexdigest(),
    )
    (folder / "rows.json").write_text(json.dumps(asdict(rows), indent=1) + "\n", encoding="utf-8")
    return rows, folder


def _chats(name: str, opened: Opened, codec: Codec, cutoff: int) -> Iterator[Chat]:
    if name == "long":
        return _long(_usable(opened), codec, cutoff)
    return (chat for chat in _usable(opened) if _length(codec, chat) <= cutoff)


def _usable(opened: Opened) -> Iterator[Chat]:
    """Each usable row once, as the chat that our side trains on."""
    for item, split in assigned(opened.sources, opened.partition):
        if split and isinstance(item, Example):
            yield with_answer(item, opened.task)


def _long(chats: Iterator[Chat], codec: Codec, cutoff: int) -> Iterator[Chat]:
    """Rows that fill the cutoff: a first question, and replies behind each other until no more fits."""
    for first in chats:
        text = first[-1].content
        while _length(codec, _with_reply(first, text)) <= cutoff:
            text += f"\n\n{next(chats, first)[-1].content}"
        fits, over = 0, len(text)  # characters
        while over - fits > 1:
            middle = (fits + over) // 2
            if _length(codec, _with_reply(first, text[:middle])) <= cutoff:
                fits = middle
            else:
                over = middle
        yield _with_reply(first, text[:fits])


def _with_reply(chat: Chat, text: str) -> Chat:
    return (*chat[:-1], Message("assistant", text))


def _length(codec: Codec, chat: Chat) -> int:
    return len(codec.encode_conversations([chat])[0].tokens)


def _write_messages(path: Path, chats: Sequence[Chat]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for chat in chats:
            messages = [{"role": message.role, "content": message.content} for message in chat]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def _write_alpaca(path: Path, chats: Sequence[Chat]) -> None:
    rows = [{"instruction": chat[0].content, "input": "", "output": chat[-1].content} for chat in chats]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
