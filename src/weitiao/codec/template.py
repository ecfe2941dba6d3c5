"""Chat templates: a conversation becomes the text that a model reads.

Separate because a template is code from a stranger: nothing else in the project runs any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock

from weitiao.codec.budget import Budget
from weitiao.codec.sandbox import Sandbox
from weitiao.errors import ModelError
from weitiao.example import Message
from weitiao.words import t

SOURCE_LIMIT = 64 * 1024  # characters of a template; the longest ones in use have about 30,000
_REASON_CHARACTERS = 300

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
    """A chat template that renders messages to the text a model reads."""

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        """Compile ``source``; ``variables`` holds ``bos_token``, ``eos_token`` and the like. Raises ModelError."""
        if len(source) > SOURCE_LIMIT:
            raise ModelError(
                t("the chat template has {count} characters", count=len(source)),
                t("a template of at most {limit} characters is accepted; pass --template", limit=SOURCE_LIMIT),
            )
        self.source = source
        self._sandbox = Sandbox()
        self._lock = Lock()  # a budget is for one rendering
        try:
            self._compiled = self._sandbox.compiled(source, {**variables, "strftime_now": _strftime_now})
        except Exception as error:  # whatever a stranger's code makes jinja or Python raise is its fault
            raise ModelError(
                t("the chat template cannot be read: {reason}", reason=_reason(error)),
                t("repair the model's chat template, or pass --template FILE"),
            ) from error

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text of ``messages``, ending where a reply begins if asked. ModelError when the template refuses."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        with self._lock:
            self._sandbox.budget = Budget(sum(len(message.content) for message in messages))
            try:
                # transformers passes the last two names to every template, so templates test them.
                names = {
                    "messages": turns, "add_generation_prompt": add_generation_prompt, "tools": None, "documents": None
                }  # fmt: skip
                context = self._compiled.new_context(names)
                return self._sandbox.concat(self._compiled.root_render_func(context))
            except Exception as error:
                raise ModelError(
                    t("the chat template failed: {reason}", reason=_reason(error)),
                    t("check the roles and their order in the data, or pass --template FILE"),
                ) from error


def _reason(error: Exception) -> str:
    return str(error)[:_REASON_CHARACTERS] or type(error).__name__


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
