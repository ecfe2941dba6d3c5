"""Chat templates: rendered in Jinja's immutable sandbox, with bounds on work and size that the sandbox itself lacks.

Separate because a template is code from a stranger: nothing else in the project runs any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError as JinjaError
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from weitiao.errors import ModelError
from weitiao.example import Message
from weitiao.words import t

SOURCE_LIMIT = 512 * 1024  # characters of a template
TEXT_LIMIT = 64 * 1024 * 1024  # characters of any string that a template makes
STEP_LIMIT = 2_000_000  # loop turns and macro calls of one rendering

# A base model brings no template. The ChatML one is for models whose tokenizer has its tokens.
BUILT_IN = {
    "plain": (
        "{% for message in messages %}{% if message.role == 'system' %}{{ message.content }}\n\n"
        "{% elif message.role == 'assistant' %}Assistant: {{ message.content }}{{ eos_token }}\n"
        "{% else %}User: {{ message.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}Assistant: {% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}

# Each of these makes a huge string out of a small one and a number.
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map"})


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
        self._environment = _Sandbox()
        try:
            tree = _Bounds(self._environment).visit(self._environment.parse(source))
            code = self._environment.compile(tree)
            names = {**self._environment.globals, **variables}
            self._compiled = self._environment.template_class.from_code(self._environment, code, names)
        except (JinjaError, RecursionError, ValueError) as error:
            raise ModelError(
                t("the chat template cannot be read: {reason}", reason=str(error)),
                t("repair the model's chat template, or pass --template FILE"),
            ) from error

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text of ``messages``, ending where a reply begins if asked. ModelError when the template refuses."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        self._environment.steps_left = STEP_LIMIT
        try:
            # transformers passes these two names to every template, so templates test them.
            return self._compiled.render(
                messages=turns, add_generation_prompt=add_generation_prompt, tools=None, documents=None
            )
        except (JinjaError, RecursionError, MemoryError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise ModelError(
                t("the chat template failed: {reason}", reason=str(error) or type(error).__name__),
                t("check the roles and their order in the data, or pass --template FILE"),
            ) from error


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.steps_left = STEP_LIMIT
        for name in _PADDING & self.filters.keys():
            del self.filters[name]
        self.filters["tojson"] = _to_json
        self.globals.update(
            raise_exception=_raise_exception, strftime_now=_strftime_now, _step=self._step, _joined=self._joined
        )

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return not (isinstance(obj, str) and attr in _PADDING) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and (abs(left) > 10**6 or abs(right) > 64):
            raise SecurityError("a power this large")
        if operator == "*":
            self._check_product(left, right)
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% formatting")
        return self._checked(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - jinja's own signature
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and __obj.__name__ == "replace" and len(args) > 1:
            __self._check_growth((len(owner) + 1) * (len(str(args[1])) + 1))
        return __self._checked(super().call(__context, __obj, *args, **kwargs))

    def _check_product(self, left: Any, right: Any) -> None:
        for size, times in ((left, right), (right, left)):
            if isinstance(size, str | list | tuple) and isinstance(times, int):
                self._check_growth(len(size) * times)

    def _checked(self, value: Any) -> Any:
        if isinstance(value, str | list | tuple):
            self._check_growth(len(value))
        return value

    def _check_growth(self, size: int) -> None:
        if size > TEXT_LIMIT:
            raise SecurityError(f"a value of more than {TEXT_LIMIT} characters")

    def _step(self) -> str:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise SecurityError(f"more than {STEP_LIMIT} steps")
        return ""

    def _joined(self, *parts: Any) -> str:
        self._check_growth(sum(len(str(part)) for part in parts))
        return "".join(map(str, parts))


class _Bounds(NodeTransformer):
    """Counts every loop turn and macro call, and bounds ``~``, which the sandbox does not intercept."""

    def __init__(self, environment: _Sandbox) -> None:
        self.environment = environment

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - jinja's visitor protocol
        return self._counted(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._counted(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return self._call("_joined", node.nodes).set_lineno(node.lineno)

    def _counted(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(self._call("_step", [])).set_lineno(node.lineno))
        return node  # type: ignore[no-any-return]

    def _call(self, name: str, arguments: list[nodes.Expr]) -> nodes.Call:
        return nodes.Call(nodes.Name(name, "load"), arguments, [], None, None)


class _Generation(Extension):
    """``{% generation %}`` marks replies for transformers; here they are found otherwise, so only the body counts."""

    tags = {"generation"}  # noqa: RUF012 - the type that jinja declares

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML, which no model was trained on.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> None:
    raise JinjaError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
