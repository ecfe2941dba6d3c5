"""``weitiao chat``: talk to a run or a model in the terminal, or through a pipe with one turn a line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weitiao.cli.output import output
from weitiao.cli.own_flags import refuse_unused, take_flags
from weitiao.cli.stream import put
from weitiao.errors import DataError, SettingsError, WeitiaoError
from weitiao.process import importing
from weitiao.words import t

if TYPE_CHECKING:
    from weitiao.api.chat import Conversation
    from weitiao.models.anatomy import Model
    from weitiao.models.generate import Sampling

_COMMAND = re.compile(r"/[a-z]+(?=\s|$)")  # a path such as /etc/hosts is text
_PROMPT = "> "
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
USED = frozenset(("model", "template", "precision", "max_new_tokens", "seed", "threads", "lang"))


def describe() -> str:
    """The help text."""
    return t(
        "Talks to a run or a model. The reply comes as it is written; Ctrl-C stops it, Ctrl-D ends the chat. A run "
        "that classifies is asked its question about each text. Through a pipe each line is a turn, and each reply "
        "goes to stdout.\n"
        "\n"
        "  weitiao chat RUN\n"
        "  weitiao chat smollm2-135m-instruct --temperature 0.7 --top-p 0.9\n"
        "  echo 'Say hello.' | weitiao chat RUN --json\n"
        "\n"
        "In the chat: /reset, /system TEXT, /set temperature 0.7, /quit\n"
        "\n"
        "Flags of its own:\n"
        "  --system TEXT          the system prompt\n"
        "  --temperature NUMBER   0, the default, takes the likeliest token; higher varies more\n"
        "  --top-k NUMBER         draw from this many of the likeliest tokens; 0 from all\n"
        "  --top-p NUMBER         draw from the likeliest tokens that together reach this share\n"
        "  --min-p NUMBER         draw from tokens at least this likely, against the likeliest\n"
        "  --repetition-penalty NUMBER   above 1, what was said becomes less likely\n"
        "  --raw                  no question before the text of a run that classifies"
    )


def command(arguments: list[str]) -> None:
    """Talk until the end of the input."""
    own, others = take_flags(arguments, ("system", *_SAMPLING), ("raw",))
    from weitiao.cli.train import announce
    from weitiao.settings import parse_settings

    parsed = parse_settings(others, word="model", required=("model",))
    refuse_unused(parsed.given, USED, "chat")
    announce(parsed)
    with importing():
        from weitiao.api.answering import find_respondent, load_respondent
        from weitiao.api.chat import open_conversation
        from weitiao.api.sampling import make_sampling

    settings = parsed.settings
    lengths: dict[str, float | str | None] = {
        name: getattr(settings, name) for name in ("max_new_tokens", "seed") if name in parsed.given
    }
    sampling = make_sampling({**{name: own[name] for name in _SAMPLING if name in own}, **lengths})
    respondent = find_respondent(settings)
    said = open_conversation(respondent, own.get("system", ""), "raw" in own)
    talk = _Talk(load_respondent(respondent, settings), said, sampling, sys.stdin.isatty())
    if talk.terminal:
        output().say(t("talking to {name}; /help lists the commands, Ctrl-D ends", name=settings.model))
    for line in _lines(talk.terminal):
        if not talk.hear(line):
            break
    output().result({"model": settings.model, "turns": talk.turns})


def _lines(terminal: bool) -> Iterator[str]:
    """What is said, line by line, without empty lines; ends at the end of the input. Raises DataError."""
    if terminal:
        yield from _typed()
        return
    try:
        for line in sys.stdin:
            if line.strip():
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            t("the standard input is not UTF-8: {reason}", reason=error.reason), t("convert it, for example with iconv")
        ) from error


def _typed() -> Iterator[str]:
    import readline  # noqa: F401 - input() then knows the arrow keys and the lines before

    while True:
        try:
            line = input(_PROMPT)
        except EOFError:
            output().say("")
            return
        except KeyboardInterrupt:
            output().say("\n" + t("/quit or Ctrl-D ends the chat"))
            continue
        if line.strip():
            yield line


@dataclass
class _Talk:
    """What changes while one talks."""

    model: Model
    said: Conversation
    sampling: Sampling
    terminal: bool
    turns: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, line: str) -> bool:
        """Obey or answer ``line``; False when it ends the chat. What goes wrong ends it too, but not in a terminal."""
        try:
            if named := _COMMAND.match(line):
                return self._obey(named[0], line[named.end() :].strip())
            self._reply(line)
        except WeitiaoError as error:
            if not self.terminal:
                raise
            output().say(t("error: ") + error.problem)
            output().say(t("hint: ") + error.hint)
        return True

    def _obey(self, name: str, rest: str) -> bool:
        from weitiao.api.chat import with_system
        from weitiao.api.sampling import make_sampling

        match name:
            case "/quit" | "/exit":
                return False
            case "/reset":
                self.said = with_system(self.said, self.said.system) if self.said.task is None else self.said
                output().say(t("the conversation begins anew"))
            case "/system":
                self.said = with_system(self.said, rest)
                output().say(t("the conversation begins anew"))
            case "/set":
                setting, value = _pair(rest)
                self.sampling = make_sampling({setting: value}, self.sampling)
                output().say(f"{setting} = {value}")
            case "/help":
                output().say(t("/reset, /system TEXT, /set temperature 0.7, /quit; Ctrl-C stops a reply"))
            case _:
                raise SettingsError(t("there is no command {name}", name=name), t("/help lists the commands"))
        return True

    def _reply(self, text: str) -> None:
        from weitiao.api.chat import answer, next_prompt, with_reply

        prompt = next_prompt(self.said, text, self.sampling)
        if prompt.left_out:
            output().say(t("the context is full: the oldest {count} turns are no longer read", count=prompt.left_out))
        pieces: list[str] = []

        def on_text(piece: str) -> None:
            pieces.append(piece)
            if not output().json:
                put(piece)

        stopped = False
        try:
            reply = answer(self.model, self.said, prompt, self.sampling, on_text)
        except KeyboardInterrupt:
            reply, stopped = "".join(pieces), True
        if not output().json:
            put("\n")
        self.said = with_reply(self.said, prompt, reply)
        self.turns.append({"text": text, "reply": reply, "left_out": prompt.left_out, "stopped": stopped})


def _pair(rest: str) -> tuple[str, str]:
    parts = rest.replace("=", " ").split()
    if len(parts) != 2:
        raise SettingsError(t("/set takes a name and a value"), t("for example: /set temperature 0.7"))
    return parts[0].replace("-", "_"), parts[1]
