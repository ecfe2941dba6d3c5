"""Frames: the fast path of rendering gives the very text of the slow one, whatever a template does with a content."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_chats import CONVERSATIONS, TEMPLATES
from weitiao.codec.sealed import SEAL, filled, frame_of
from weitiao.codec.template import Template
from weitiao.errors import ModelError
from weitiao.example import Message

NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
LOOKING = {
    "if": "{% if c %}x{% endif %}",
    "not": "{{ 'x' if not c }}",
    "or": "{{ c or 'empty' }}",
    "and": "{{ c and 'full' }}",
    "equal": "{{ c == 'a' }}",
    "equal turned": "{{ 'a' == c }}",
    "not equal": "{{ c != 'a' }}",
    "less": "{{ c < 'b' }}",
    "in a text": "{{ 'a' in c }}",
    "text in": "{{ c in 'abc' }}",
    "in a list": "{{ c in ['a', 'b'] }}",
    "key": "{{ {'a': 1}[c] }}",
    "as a key": "{{ {c: 1}['a'] }}",
    "get": "{{ {'a': 1}.get(c, 2) }}",
    "length": "{{ c | length }}",
    "upper": "{{ c.upper() }}",
    "upper by filter": "{{ c | upper }}",
    "strip of": "{{ c.strip('a') }}",
    "trim of": "{{ c | trim('a') }}",
    "trim twice": "{{ (c ~ ' x ') | trim }}",
    "strip of a sum": "{{ (' ' + c).strip() }}",
    "slice": "{{ c[1:] }}",
    "index": "{{ c[0] }}",
    "loop": "{% for letter in c %}{{ letter }}.{% endfor %}",
    "split": "{{ c.split(' ')[0] }}",
    "replace": "{{ c | replace('a', 'b') }}",
    "replace by": "{{ 'axa'.replace('a', c) }}",
    "starts with": "{{ c.startswith('a') }}",
    "starts with it": "{{ 'abc'.startswith(c) }}",
    "count": "{{ 'aab'.count(c) }}",
    "join": "{{ [c, c] | join('-') }}",
    "joined by it": "{{ ['x', 'y'] | join(c) }}",
    "joined by its method": "{{ c.join(['x', 'y']) }}",
    "list": "{{ [c] }}",
    "list by filter": "{{ c | list }}",
    "dictionary": "{{ {'k': c} }}",
    "json": "{{ c | tojson }}",
    "json of a list": "{{ [c] | tojson }}",
    "json of all": "{{ messages | tojson }}",
    "string": "{{ c | string }}",
    "escape": "{{ c | e }}",
    "safe": "{{ c | safe }}",
    "int": "{{ c | int }}",
    "default": "{{ c | default('d', true) }}",
    "same": "{{ c is sameas c }}",
    "equal by test": "{{ c is equalto 'a' }}",
    "lower by test": "{{ c is lower }}",
    "in by test": "{{ c is in ['a'] }}",
    "sort": "{{ [c, 'b'] | sort | first }}",
    "unique": "{{ [c, 'a'] | unique | list | length }}",
    "largest": "{{ [c, 'b'] | max }}",
    "select": "{{ messages | selectattr('content', 'equalto', 'a') | list | length }}",
    "map": "{{ messages | map(attribute='content') | join('|') }}",
    "map upper": "{{ messages | map(attribute='content') | map('upper') | list }}",
    "times": "{{ c * 2 }}",
    "percent": "{{ c % 2 }}",
    "plus a number": "{{ c + 1 }}",
    "lists compared": "{{ [c] == ['a'] }}",
    "messages compared": "{{ messages[0] == messages[1] }}",
    "block": "{% set x %}{{ c }}{% endset %}{{ x == 'a' }}{{ x | length }}",
    "block, trimmed": "{% set x %} {{ c }} {% endset %}[{{ x | trim }}]",
    "macro": "{% macro f(x) %}{{ x }}{% endmacro %}{% if f(c) == 'a' %}x{% endif %}",
    "macro, trimmed": "{% macro f(x) %} {{ x }}{% endmacro %}[{{ f(c) | trim }}]",
    "caller": "{% macro f() %}[{{ caller() | trim }}]{% endmacro %}{% call f() %} {{ c }} {% endcall %}",
    "filter block": "{% filter upper %}{{ c }}{% endfilter %}",
    "tilde": "{{ (c ~ 'x') == 'ax' }}",
    "plus": "{{ 'ax' in (c + 'x') }}",
    "namespace": "{% set ns = namespace(x=c) %}{{ ns.x == 'a' }}{{ ns.x | length }}",
    "changed": "{% for m in messages %}{{ loop.changed(m.content) }}{% endfor %}",
    "refused": "{% if c == 'a' %}{{ raise_exception('a') }}{% endif %}",
    "refused with it": "{{ raise_exception(c) }}",
    "day": "{{ strftime_now('%Y') }}{{ c }}",
}
CONTENTS = ("a", "", " a ", "b b", "aab", "ABC", "12", "<&>", "中文 😀", f"{SEAL}0{SEAL}", "\ue0f8")


def text_of(template: Template, *contents: str, prompt: bool = False) -> str:
    """The rendered text, or why there is none."""
    turns = [Message(("user", "assistant")[number % 2], content) for number, content in enumerate(contents)]  # type: ignore[arg-type]
    try:
        return template.render(turns, prompt)
    except ModelError as error:
        return error.problem


@pytest.mark.parametrize("name", LOOKING)
def test_a_template_that_looks_at_a_content_is_rendered_each_time(name: str) -> None:
    source = "{% for m in messages %}{% set c = m.content %}{{ m.role }}:" + LOOKING[name] + "\n{% endfor %}"
    try:
        fast, slow = Template(source, NAMES), Template(source, NAMES, frames=False)
    except ModelError:
        pytest.skip("there is no such filter here")
    for first in CONTENTS:
        for second in ("a", "other"):
            assert text_of(fast, first, second) == text_of(slow, first, second)


@pytest.mark.parametrize("name", TEMPLATES)
def test_well_known_templates_render_the_same_with_frames(name: str) -> None:
    fast, slow = Template(TEMPLATES[name], NAMES), Template(TEMPLATES[name], NAMES, frames=False)
    for messages in [*CONVERSATIONS.values(), *CONVERSATIONS.values()]:
        assert fast.render(messages) == slow.render(messages)
        assert fast.render(messages[:-1], True) == slow.render(messages[:-1], True)


@pytest.mark.parametrize("name", ["chatml", "with_system", "trimmed", "strict", "instruct"])
def test_what_does_the_same_with_every_content_is_rendered_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = Template(TEMPLATES[name], NAMES)
    first = text_of(template, "one", "two")
    monkeypatch.setattr(template, "_run", lambda *_: pytest.fail("rendered again"))
    assert text_of(template, "1", "2") == first.replace("one", "1").replace("two", "2")


@settings(max_examples=80, deadline=None)
@given(contents=st.lists(st.text(max_size=30), min_size=1, max_size=5), prompt=st.booleans())
def test_any_content_fills_a_frame_as_it_would_be_rendered(contents: list[str], prompt: bool) -> None:
    for name, (fast, slow) in PAIRS.items():
        assert text_of(fast, *contents, prompt=prompt) == text_of(slow, *contents, prompt=prompt), name


PAIRS = {name: (Template(source, NAMES), Template(source, NAMES, frames=False)) for name, source in TEMPLATES.items()}


def test_the_kept_frames_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weitiao.codec.template.FRAMES", 5)
    template, slow = Template(TEMPLATES["chatml"], NAMES), Template(TEMPLATES["chatml"], NAMES, frames=False)
    for count in range(1, 20):
        assert text_of(template, *["x"] * count) == text_of(slow, *["x"] * count)
        assert len(template._frames or ()) <= 5


def test_a_frame_holds_texts_and_places() -> None:
    frame = frame_of(f"a{SEAL}0{SEAL}{SEAL}1t{SEAL}b")
    assert frame == ("a", (0, False), (1, True), "b")
    assert filled(frame, [" x ", " y "]) == "a x yb"


def test_a_template_with_the_seal_in_it_has_no_frames() -> None:
    template = Template(f"{SEAL}0{SEAL}{{{{ messages[0].content }}}}", NAMES)
    assert text_of(template, "x") == text_of(template, "x") == f"{SEAL}0{SEAL}x"
    assert template._frames is None
