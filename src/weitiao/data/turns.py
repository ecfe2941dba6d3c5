"""Conversations: ShareGPT's and OpenAI's lists of turns as messages and the reply that is to be learned.

Separate because every shape of dialogue comes down to turns: who speaks, and what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from weitiao.data.fields import Unfit, as_text, missing_field, wrong_type
from weitiao.data.files import near_names
from weitiao.data.notes import Notes
from weitiao.data.visible import visible
from weitiao.example import Message, Reply, Role
from weitiao.words import t

_SPEAKERS_OF: dict[Role, tuple[str, ...]] = {
    "system": ("system", "developer", "系统"),
    "user": ("user", "human", "prompter", "用户"),
    "assistant": ("assistant", "gpt", "model", "bot", "chatgpt", "ai", "function_call", "助手"),
    "tool": ("tool", "observation", "function", "function_response", "ipython"),
}
SPEAKERS: dict[str, Role] = {name: role for role, names in _SPEAKERS_OF.items() for name in names}
ROLE_KEYS = ("role", "from", "speaker")
CONTENT_KEYS = ("content", "value", "text")


@dataclass(frozen=True, slots=True)
class TurnKeys:
    """The keys of a turn, and what its speakers are called beyond the usual names."""

    role: str = "role"
    content: str = "content"
    roles: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Turn:
    message: Message
    learned: bool


def read_conversation(
    value: object, path: str, keys: TurnKeys, needs_reply: bool, source: str, notes: Notes
) -> tuple[tuple[Message, ...], Reply | None]:
    """Every message before the last assistant turn, and that turn as the reply.

    Without ``needs_reply``, a conversation that waits for an answer has no reply. Unfit when there is nothing to learn.
    """
    if not isinstance(value, list):
        raise wrong_type(value, path, t("a list of turns"))
    turns = [_read_turn(item, f"{path}[{index}]", keys, source, notes) for index, item in enumerate(value)]
    turns = [turn for turn in turns if turn.message.role != "system" or turn.message.content.strip()]
    last = max((index for index, turn in enumerate(turns) if turn.learned), default=-1)
    if not needs_reply and turns and last != len(turns) - 1:
        return tuple(turn.message for turn in turns), None
    if last < 0:
        raise Unfit("no_reply", t("`{path}` has no turn of the assistant to learn from", path=path))
    if not turns[last].message.content.strip():
        raise Unfit("no_reply", t("the last reply in `{path}` is empty", path=path))
    before = tuple(turn.message for turn in turns[:last])
    if not any(message.content.strip() for message in before):
        raise Unfit("empty_text", t("nothing comes before the reply in `{path}`", path=path))
    if last < len(turns) - 1:
        notes.add("trailing_turns", source)
    return before, Reply(turns[last].message.content)


def find_keys(turn: Mapping[str, object]) -> TurnKeys | None:
    """The keys that a turn uses, None when it looks like no turn."""
    role = next((key for key in ROLE_KEYS if key in turn), None)
    content = next((key for key in CONTENT_KEYS if key in turn), None)
    if role is None or (content is None and "tool_calls" not in turn):
        return None
    return TurnKeys(role, content or "content")


def _read_turn(item: object, path: str, keys: TurnKeys, source: str, notes: Notes) -> _Turn:
    if not isinstance(item, dict):
        raise wrong_type(item, path, t("a turn"))
    if keys.role not in item:
        raise missing_field(item, keys.role)
    role = _role(item[keys.role], f"{path}.{keys.role}", keys.roles)
    calls = item.get("tool_calls")
    if keys.content not in item and not calls:
        raise missing_field(item, keys.content)
    content = _content(item.get(keys.content), f"{path}.{keys.content}")
    if isinstance(calls, list) and calls:
        notes.add("tool_calls", source, count=len(calls))
        content = "\n".join(filter(None, [content, json.dumps([_call(call) for call in calls], ensure_ascii=False)]))
    # OpenAI's fine-tuning format and LLaMA-Factory's second one mark a reply that must not be learned by a weight of 0
    learned = item.get("weight", item.get("loss_weight")) != 0
    return _Turn(Message(role, content), learned=learned and role == "assistant")


def _role(value: object, path: str, own: Mapping[str, Role]) -> Role:
    speaker = as_text(value, path).strip()
    role = own.get(speaker) or SPEAKERS.get(speaker.casefold())
    if role:
        return role
    near = near_names(speaker, [*own, *SPEAKERS])
    hint = near[0] if near else "user, assistant, system, tool"
    raise Unfit(
        "unknown_role",
        t("`{path}` is the unknown role `{role}`; known: {hint}", path=path, role=visible(speaker, 40), hint=hint),
    )


def _content(value: object, path: str) -> str:
    if not isinstance(value, list):
        return as_text(value, path)
    return "".join(_part(part, f"{path}[{index}]") for index, part in enumerate(value))


def _part(part: object, path: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise wrong_type(part, path, t("a text"))
    kind = part.get("type", "text")
    if kind not in ("text", "input_text", "output_text"):
        raise Unfit(
            "unsupported",
            t("`{path}` is of the type {kind}; only text is read", path=path, kind=visible(str(kind), 40)),
        )
    key = "value" if "value" in part else "text"
    if key not in part:
        raise missing_field(part, key)
    return as_text(part[key], f"{path}.{key}")


def _call(call: object) -> object:
    """A tool call as the model should write it: name and arguments, the arguments as JSON and not as JSON in a text."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):  # arguments that are no JSON stay the text that they are
            arguments = json.loads(arguments)
    return {"name": function.get("name"), "arguments": arguments}
