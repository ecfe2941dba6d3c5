"""Chat templates: a conversation becomes the text that a model reads.

Separate because a template is code from a stranger: nothing else in the project runs any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from threading import Lock

from jinja2 import nodes
from jinja2.exceptions import SecurityError

from weitiao.codec import clock
from weitiao.codec.budget import Budget
from weitiao.codec.sandbox import Sandbox
from weitiao.codec.sealed import SEAL, Frame, filled, frame_of, refuse_to_look, sealed, text_of
from weitiao.errors import ModelError
from weitiao.example import Message
from weitiao.words import t

SOURCE_LIMIT = 64 * 1024  # characters of a template; the longest ones in use have about 30,000
_REASON_CHARACTERS = 300
FRAMES = 1000  # orders of roles whose frames are kept

# A base model brings no template. A reply begins on a line of its own: behind a space, its first token would hold the
# space in training and not in answering. The ChatML one is for models whose tokenizer has its tokens.
BUILT_IN = {
    "plain": (
        "{% for message in messages %}{% if message.role == 'system' %}{{ message.content }}\n\n"
        "{% elif message.role == 'assistant' %}Assistant:\n{{ message.content }}{{ eos_token }}\n"
        "{% else %}User:\n{{ message.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}Assistant:\n{% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}


class Template:
    """A chat template that renders messages to the text a model reads. ``frames`` is the fast path of sealed.py.

    A template may ask for the date; it is told the same moment for ever, that of its opening.
    """

    def __init__(self, source: str, variables: Mapping[str, str], frames: bool = True) -> None:
        """Compile ``source``; ``variables`` holds ``bos_token``, ``eos_token`` and the like. Raises ModelError."""
        if len(source) > SOURCE_LIMIT:
            raise ModelError(
                t("the chat template has {count} characters", count=len(source)),
                t("a template of at most {limit} characters is accepted; pass --template", limit=SOURCE_LIMIT),
            )
        self.moment = clock.moment()
        self._text = source
        self._told: dict[str, str] = {}  # what it was told, by the pattern that it asked with
        self._sandbox = Sandbox()
        self._lock = Lock()  # a budget is for one rendering
        self._frames: dict[tuple[object, ...], Frame | None] | None = {} if frames and SEAL not in source else None
        try:
            self._compiled = self._sandbox.compiled(source, {**variables, "strftime_now": self._strftime_now})
        except Exception as error:  # whatever a stranger's code makes jinja or Python raise is its fault
            raise ModelError(
                t("the chat template cannot be read: {reason}", reason=_reason(error)),
                t("repair the model's chat template, or pass --template FILE"),
            ) from error

    @property
    def dated(self) -> bool:
        """Whether it has asked for the date."""
        return bool(self._told)

    @property
    def source(self) -> str:
        """The template as it must be kept: whoever renders it on another day gets the date that it was told here."""
        if not self.dated:
            return self._text
        cases = "{% el".join(
            f"if format == {_literal(pattern)} %}}{{{{ {_literal(text)} }}}}"
            for pattern, text in sorted(self._told.items())
        )
        # Every renderer drops the line break behind a block, so the text begins as it did.
        return f"{{%- macro strftime_now(format) %}}{{% {cases}{{% endif %}}{{% endmacro %}}\n{self._text}"

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text of ``messages``, ending where a reply begins if asked. ModelError when the template refuses."""
        if self._frames is None:
            return self._rendered(messages, add_generation_prompt)
        shape = (add_generation_prompt, *[message.role for message in messages])
        frame = self._frames.get(shape)
        if frame is not None:
            return filled(frame, [message.content for message in messages])
        text = self._rendered(messages, add_generation_prompt)
        if shape not in self._frames:
            if len(self._frames) >= FRAMES:
                self._frames.clear()
            self._frames[shape] = self._frame(messages, add_generation_prompt, text)
        return text

    def sealed(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """What :meth:`render` gives for all messages of these roles, each content sealed (see sealed.py).

        Raises SecurityError where the template looks at contents.
        """
        self.render(messages, add_generation_prompt)
        frame = (self._frames or {}).get((add_generation_prompt, *[message.role for message in messages]))
        return refuse_to_look() if frame is None else text_of(frame)

    def _rendered(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        turns: list[dict[str, object]] = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._run(turns, add_generation_prompt, Budget(sum(len(message.content) for message in messages)))
        except Exception as error:
            raise ModelError(
                t("the chat template failed: {reason}", reason=_reason(error)),
                t("check the roles and their order in the data, or pass --template FILE"),
            ) from error

    def _frame(self, messages: Sequence[Message], add_generation_prompt: bool, text: str) -> Frame | None:
        """The frame of all messages of these roles, ``text`` being that of ``messages``; None where there is none."""
        turns = [{"role": message.role, "content": sealed(number)} for number, message in enumerate(messages)]
        try:
            frame = frame_of(self._run(turns, add_generation_prompt, Budget(0), sealing=True))
        except Exception:  # it looks at a content: nothing is wrong with that
            return None
        return frame if filled(frame, [message.content for message in messages]) == text else None

    def _run(
        self, turns: Sequence[Mapping[str, object]], add_generation_prompt: bool, budget: Budget, sealing: bool = False
    ) -> str:
        # transformers passes the last two names to every template, so templates test them.
        names = {"messages": turns, "add_generation_prompt": add_generation_prompt, "tools": None, "documents": None}
        with self._lock:
            self._sandbox.budget, self._sandbox.sealing = budget, sealing
            context = self._compiled.new_context(names)
            text: str = self._sandbox.concat(self._compiled.root_render_func(context))
        return text

    def _strftime_now(self, format: str) -> str:  # noqa: A002 - transformers' name for it
        if format not in self._told:
            written = self._sandbox.parse(self._text).find_all(nodes.Const)
            if format not in [each.value for each in written]:  # or else it could not be kept, or hold a message
                raise SecurityError("strftime_now with a pattern that is not written out in the template")
            self._told[format] = self.moment.strftime(format)
        return self._told[format]


def _literal(text: str) -> str:
    """As jinja writes a text."""
    return json.dumps(text, ensure_ascii=False)


def _reason(error: Exception) -> str:
    return str(error)[:_REASON_CHARACTERS] or type(error).__name__
