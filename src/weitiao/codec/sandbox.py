"""Jinja's immutable sandbox with bounds on work, time and memory, which the sandbox itself does not have.

Separate because it knows nothing of chats: it runs a stranger's template. That reaches only what is listed here, and
every operation which could make much out of little is charged to a budget before or as it happens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from jinja2 import TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from weitiao.codec.budget import Budget, check_items, size
from weitiao.codec.sealed import ANSWERS, SEAL, Sealed, refuse_to_look

_OF_TEXT = frozenset((
    "capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
    "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "upper",
))  # fmt: skip
_OF_LIST = frozenset(("count", "index"))
_OF_LOOP = frozenset((
    "changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem",
    "revindex", "revindex0",
))  # fmt: skip
_ATTRIBUTES: dict[type, frozenset[str]] = {
    str: _OF_TEXT,
    Markup: _OF_TEXT,
    list: _OF_LIST,
    tuple: _OF_LIST,
    dict: frozenset(("get", "items", "keys", "values")),
    LoopContext: _OF_LOOP,
}
_FILTERS = frozenset((
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int", "items",
    "last", "length", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "safe", "select",
    "selectattr", "sort", "string", "title", "trim", "unique", "upper",
))  # fmt: skip
_GLOBALS = frozenset(("range", "dict", "namespace"))
_WIDEST_INDENT = 16


class Sandbox(ImmutableSandboxedEnvironment):
    """``budget`` must be a new one before each rendering. Not for several threads at once.

    ``sealing`` says that the contents are sealed, see :mod:`weitiao.codec.sealed`.
    """

    intercepted_binops = frozenset({"-", "*", "**", "%"})  # _Charges rewrites + and ~

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], finalize=self._finalized
        )
        self.budget = Budget(0)
        self.sealing = False
        filters = {name: self._charged(function) for name, function in self.filters.items() if name in _FILTERS}
        filters |= {
            "join": self._charged(self.filters["join"], self._join_filter),
            "list": self._charged(self.filters["list"], self._list_filter),
            "replace": self._charged(self.filters["replace"], self._replace_filter),
            "indent": self._charged(self.filters["indent"], self._indent),
            "tojson": self._charged(_to_json, self._json_filter),
            "trim": self._charged(self.filters["trim"], sealed=Sealed.strip),
        }
        self.filters = {**filters, "_joined": self._joined, "_added": self._added, "_made": self._made}
        tests: dict[str, Any] = self.tests
        self.tests = {
            name: self._charged(function, sealed=_answering(ANSWERS[name]) if name in ANSWERS else None)
            for name, function in tests.items()
        }
        self.globals = {name: value for name, value in self.globals.items() if name in _GLOBALS}
        self.globals["raise_exception"] = _raise_exception

    def compiled(self, source: str, names: Mapping[str, Any]) -> Any:
        """The template of ``source``, which may use the global ``names``. Raises what jinja and Python raise."""
        self.budget = Budget(0)  # constants are calculated while compiling
        code = self.compile(_Charges().visit(self.parse(source)))
        return self.template_class.from_code(self, code, {**self.globals, **names})

    @property
    def step(self) -> bool:
        """Always true; reading it is one step. See :class:`_Charges`."""
        self.budget.step()
        return True

    def concat(self, pieces: Iterable[str]) -> Any:
        """Jinja puts together here what a template (which comes as a generator), a macro or a block puts out."""
        kept: list[str] = []
        length = 0
        for piece in pieces:
            length += len(piece)
            self.budget.foresee(length)
            kept.append(piece)
        text = self.budget.text("".join(kept))
        return Sealed(text) if self.sealing and isinstance(pieces, list) and SEAL in text else text

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The attributes listed above, the items of a dictionary, and what a namespace holds."""
        names = _ATTRIBUTES.get(type(obj))
        if names is None:
            if isinstance(obj, Sealed):
                return obj.strip if attribute == "strip" else refuse_to_look()
            known = isinstance(obj, Namespace | Undefined)
            return super().getattr(obj, attribute) if known else self.unsafe_undefined(obj, attribute)
        if attribute in names:
            return getattr(obj, attribute)
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return self.unsafe_undefined(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]``; where there is none, the attribute of that name."""
        try:
            value = obj[argument]
        except (TypeError, LookupError):
            if isinstance(argument, str):
                return self.getattr(obj, argument)
            return self.undefined(obj=obj, name=argument)
        return self.budget.value(value) if isinstance(argument, slice) else value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Whatever stays in bounds; only numbers have a remainder, for ``%`` also writes padded texts."""
        if operator == "*":
            self._repeat(left, right)
            self._repeat(right, left)
        if operator == "**" and (abs(left) > 10**6 or abs(right) > 64):
            raise SecurityError("a power this large")
        if operator == "%" and not isinstance(left, int | float):
            raise SecurityError("% of what is no number")
        return self.budget.value(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - jinja's signature
        """Call ``__obj``, with what goes in and what comes out charged."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            __self._method(owner, __obj.__name__, *args)
        for value in (*args, *kwargs.values()):
            if not isinstance(value, str):
                __self.budget.foresee(0 if isinstance(value, Namespace) else size(value))
        return __self.budget.value(super().call(__context, __obj, *args, **kwargs))

    def _method(self, owner: str, name: str, *args: Any) -> None:
        """What comes of those methods of a text that make much out of little."""
        if name == "replace" and len(args) > 1:
            self._replace(owner, *args[:2])
        elif name == "join" and args:
            self._join(args[0], owner)
        elif name in ("split", "rsplit", "splitlines"):
            separator = args[0] if args else None
            check_items(owner.count(separator) if isinstance(separator, str) and separator else len(owner) // 2)

    def _replace(self, text: Any, old: Any, new: Any) -> None:
        self.budget.foresee(len(str(text)) + str(text).count(str(old)) * len(str(new)))

    def _join(self, parts: Any, between: Any) -> None:
        if isinstance(parts, str | list | tuple | dict | range):  # others are made item by item, each charged
            self.budget.foresee(size(parts) + len(parts) * len(str(between)))

    def _join_filter(self, _: Any, parts: Any, between: Any = "", attribute: Any = None) -> None:
        self._join(parts, between)

    def _list_filter(self, _: Any, value: Any) -> None:
        check_items(len(value) if isinstance(value, str) else 0)

    def _replace_filter(self, _: Any, text: Any, old: Any, new: Any, count: Any = None) -> None:
        self._replace(text, old, new)

    def _json_filter(self, value: Any, **_: Any) -> None:
        self.budget.foresee(size(value))

    def _indent(self, text: Any, width: Any = 4, first: Any = False, blank: Any = False) -> None:
        by = len(width) if isinstance(width, str) else width
        self.budget.foresee(len(text) + by * (text.count("\n") + 1))

    def _repeat(self, value: Any, times: Any) -> None:
        if isinstance(value, str | list | tuple) and isinstance(times, int):
            self.budget.foresee(size(value) * times)
            check_items(0 if isinstance(value, str) else len(value) * times)

    def _joined(self, parts: list[Any]) -> Any:
        texts = [part if type(part) is str else str(self._finalized(part)) for part in parts]
        self.budget.foresee(sum(map(len, texts)))
        text = self.budget.text("".join(texts))
        return Sealed(text) if self.sealing and SEAL in text else text

    def _added(self, parts: list[Any]) -> Any:
        if set(map(type, parts)) == {str}:
            self.budget.foresee(sum(map(len, parts)))
            return self.budget.text("".join(parts))
        if set(map(type, parts)) <= {str, Sealed}:
            return self._joined(parts)
        value = parts[0]
        for part in parts[1:]:
            value = self.budget.value(value + part)
        return value

    def _made(self, value: Any) -> Any:
        return self.budget.value(value)

    def _finalized(self, value: Any) -> Any:
        """A value that is about to be written out."""
        if type(value) is Sealed:
            return value.text
        if type(value) is not str:
            self.budget.foresee(size(value))
        return value

    def _charged(
        self,
        function: Callable[..., Any],
        before: Callable[..., None] | None = None,
        sealed: Callable[[Sealed], Any] | None = None,
    ) -> Callable[..., Any]:
        """A filter or a test, looked at ``before`` and charged with what it makes; ``sealed`` answers for a seal."""

        @wraps(function)  # which keeps the marks by which jinja knows whether to pass the environment
        def charged(*args: Any, **kwargs: Any) -> Any:
            if self.sealing and (looked := [each for each in (*args, *kwargs.values()) if type(each) is Sealed]):
                alone = len(looked) == len(args) + len(kwargs) == 1
                return sealed(looked[0]) if sealed is not None and alone else refuse_to_look()
            if before is not None:
                before(*args, **kwargs)
            return self.budget.value(function(*args, **kwargs))

        return charged


class _Charges(NodeTransformer):
    """Charges what compiled code does by itself: loop turns, macro calls, comparisons, new lists, ``+`` and ``~``."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        if isinstance(node, nodes.For | nodes.Macro | nodes.CallBlock):
            node.body.insert(0, nodes.ExprStmt(_STEP, lineno=node.lineno))
        if isinstance(node, nodes.For) and node.test is not None:
            node.test = nodes.And(_STEP, node.test, lineno=node.lineno)
        if isinstance(node, nodes.Compare):
            return nodes.And(_STEP, node, lineno=node.lineno)
        if isinstance(node, nodes.Concat):
            return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")
        if isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load"):
            return _filtered(node, "_made")
        return node

    def visit_Add(self, node: nodes.Add) -> nodes.Node:  # noqa: N802 - jinja's visitor protocol
        parts: list[nodes.Expr] = []
        left: nodes.Expr = node
        while isinstance(left, nodes.Add):
            parts.append(left.right)
            left = left.left
        added = [self.visit(part) for part in (left, *reversed(parts))]
        return _filtered(nodes.List(added, lineno=node.lineno), "_added")


_STEP = nodes.EnvironmentAttribute("step")


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """``{% generation %}`` marks replies for transformers; here they are found otherwise, so only the body counts."""

    tags = {"generation"}  # noqa: RUF012 - the type that jinja declares

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _answering(answer: bool) -> Callable[[Sealed], bool]:
    return lambda _: answer


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML, which no model was trained on.
    if indent is not None and not 0 <= indent <= _WIDEST_INDENT:
        raise SecurityError(f"an indent of more than {_WIDEST_INDENT}")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(str(message))
