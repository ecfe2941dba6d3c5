"""Chat templates: what real ones do works as in transformers, and what hostile ones do is refused in time."""

import json
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import tiny
from template_bombs import BOMBS
from tiny_chats import CONVERSATIONS, FORGETFUL, TEMPLATES
from weitiao.codec import clock
from weitiao.codec.template import SOURCE_LIMIT, Template
from weitiao.errors import ModelError
from weitiao.example import Message

MESSAGES = CONVERSATIONS["turns"]
FEATURES = {
    "json": (
        "{{ messages | tojson }}{{ {'b': 1, 'a': ['中', none, 1.5, true]} | tojson(indent=2) }}"
        "{{ [1] | tojson(sort_keys=true) }}"
    ),
    "loop variables": (
        "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}"
        "{{ loop.length }}{{ loop.revindex0 }}{{ loop.previtem.role if not loop.first }}"
        "{{ loop.nextitem.role if not loop.last }}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }}"
        "{% else %}none{% endfor %}"
    ),
    "loop filters": (
        "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
        "{% for m in messages | rejectattr('role', 'equalto', 'user') %}{{ m.content }}{% endfor %}"
        "{% for m in messages | selectattr('role', 'in', ['user']) | list %}{{ m.content }}{% endfor %}"
    ),
    "loop controls": (
        "{% for m in messages %}{% if loop.index0 == 1 %}{% continue %}{% endif %}{{ m.role }}"
        "{% if loop.index0 == 2 %}{% break %}{% endif %}{% endfor %}"
    ),
    "slices": (
        "{{ messages[1:][0].content }}{{ messages[-1]['content'][::-1] }}{{ messages[:-1] | length }}{{ 'abc'[1] }}"
    ),
    "text methods": (
        "{{ ' aXb '.strip().lower().upper().title() }}{{ 'a-b'.split('-') | join('+') }}"
        "{{ 'abc'.startswith('a') }}{{ 'a\nb'.splitlines() }}{{ 'x'.join(['1', '2']) }}"
        "{{ 'aa'.replace('a', 'b', 1) }}{{ 'abc'.find('c') }}{{ 'abab'.count('ab') }}"
        "{{ 'a'.rstrip('a') or 'empty' }}{{ 'pre-x'.removeprefix('pre-') }}{{ 'a:b:c'.partition(':') }}"
        "{{ 'a b c'.rsplit(' ', 1) }}"
    ),
    "filters": (
        "{{ [3, 1, 2] | sort | join(',') }}{{ messages | map(attribute='role') | join('|') }}{{ 'x' | upper }}"
        "{{ nothing | default('d') }}{{ '' | d('e', true) }}{{ ['a', 'b'] | first }}{{ ['a', 'b'] | last }}"
        "{{ 3.7 | int }}{{ 'ab' | replace('a', 'c') }}{{ 'a\nb' | indent(2) }}{{ '<' | e }}"
        "{{ ('<' | safe) ~ 'b' }}{{ [1, 1, 2] | unique | list }}{{ {'b': 1, 'a': 2} | dictsort }}"
        "{{ {'b': 1}.items() | list }}{{ 'abc' | length }}{{ [1, 5] | max }}{{ 'ab' | reverse }}"
        "{{ ' x ' | trim }}{{ 'x' | capitalize }}{{ 5 | string + '!' }}{{ -3 | abs }}"
        "{{ {'k': 'v'} | items | list }}"
    ),
    "tests": (
        "{{ messages is sequence }}{{ messages[0] is mapping }}{{ 'x' is string }}{{ nothing is defined }}"
        "{{ none is none }}{{ 3 is odd }}{{ 4 is divisibleby 2 }}{{ messages is iterable }}"
        "{{ true is boolean }}{{ 1 is number }}{{ tools is none }}"
    ),
    "numbers": (
        "{{ 7 // 2 }}{{ 7 % 2 }}{{ 2 ** 10 }}{{ 7 / 2 }}{{ 1 + 2 - 3 * 4 }}{{ -1 }}{{ 1 < 2 <= 2 != 3 }}{{ 1.5 + 1 }}"
    ),
    "texts together": (
        "{{ 'a' + 'b' + 'c' }}{{ 'a' ~ 1 ~ none ~ messages[0].role }}{{ 'ab' * 3 }}{{ ['a'] + ['b'] }}{{ [1] * 2 }}"
    ),
    "namespace": (
        "{% set ns = namespace(n=0, text='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
        "{% set ns.text = ns.text + m.role %}{% endfor %}{{ ns.n }}{{ ns.text }}"
    ),
    "macros": (
        "{% macro turn(m, end='.') %}{{ m.role }}: {{ m.content }}{{ end }}{{ varargs }}{{ kwargs }}"
        "{% endmacro %}{% for m in messages %}{{ turn(m) }}{{ turn(m, '!') }}{% endfor %}{% macro f() %}["
        "{{ caller(1) }}]{% endmacro %}{% call(x) f() %}{{ x }}{% endcall %}"
    ),
    "blocks": (
        "{% set x %}a{{ messages[0].role }}{% endset %}{{ x }}{% filter upper %}b{% endfilter %}"
        "{% with y = 1 %}{{ y }}{% endwith %}{% raw %}{{ raw }}{% endraw %}{# no #}{% set a, b = 1, 2 %}{{ a }}"
        "{{ b }}"
    ),
    "generation marks": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "what is missing": (
        "{{ messages[0].tool_calls }}{{ messages[9] }}{{ messages[0]['x'] is defined }}{{ nothing }}"
        "{{ messages[0].get('x', 'y') }}{{ 'yes' if messages[0].name is not defined else 'no' }}"
        "{{ 'role' in messages[0] }}{{ messages[0].keys() | list }}"
    ),
    "white space": "  {% if true %}\n  a\n  {% endif %}\n{%- if true %} b {% endif -%}  \nc {{- ' d' -}} e\n",
    "special tokens": (
        "{{ bos_token }}{{ eos_token }}{% if add_generation_prompt %}g{% endif %}{{ tools }}{{ documents }}"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, bos_token="<|endoftext|>")


@pytest.mark.parametrize("name", [*FEATURES, *TEMPLATES])
def test_a_template_renders_as_in_transformers(name: str, reference: Any) -> None:
    source = {**FEATURES, **TEMPLATES}[name]
    turns = [{"role": message.role, "content": message.content} for message in MESSAGES]
    for prompt in (False, True):
        expected = reference.apply_chat_template(
            turns, chat_template=source, tokenize=False, add_generation_prompt=prompt
        )
        names = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        assert Template(source, names).render(MESSAGES, prompt) == expected


DATED = {
    "as Llama 3.2 asks": (
        "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}"
        "{%- endif %}{%- endif %}\n{{ 'Today: ' + date_string }}{% for m in messages %}{{ m.content }}{% endfor %}"
    ),
    "by name, in Chinese": "{{ strftime_now(format='%Y年%m月%d日') }}{{ messages[0].content }}",
    "several, with quotes": """{{ strftime_now('"%A"') }} {{ strftime_now("'%B") }} {{ strftime_now("%d\\\\n") }}""",
    "in a macro, in a loop": (
        "{% macro day() %}{{ strftime_now('%j') }}{% endmacro %}"
        "{% for m in messages %}{{ day() }}{{ m.content }}{{ strftime_now('%H') }}{% endfor %}"
    ),
    "in a block, behind a line break": (
        "\n  {% set x %}{{ strftime_now('%U') }}{% endset %}\n{{ x }}\n  {% if x %}y{% endif %}"
    ),
    "behind white space": "   {% if true %}{{ strftime_now('%y') }}{% endif %}",
    "asked for a reply": "{% if add_generation_prompt %}{{ strftime_now('%Y') }}{% endif %}",
}
TODAY, LATER = datetime(2026, 11, 24, 9, 30), datetime(2027, 3, 5, 23, 0)


@pytest.mark.parametrize("name", DATED)
def test_the_date_is_that_of_the_opening_and_is_kept_with_the_template(name: str, reference: Any) -> None:
    """What is kept renders the same on any day, here and in transformers."""
    turns = [{"role": message.role, "content": message.content} for message in MESSAGES]
    with clock.fixed_at(TODAY):
        template = Template(DATED[name], {})
    with clock.fixed_at(LATER):
        told = [template.render(MESSAGES, prompt) for prompt in (False, True)]
        kept = Template(template.source, {})
        other = Template(DATED[name], {}).render(MESSAGES, True)
    assert template.dated and not kept.dated
    assert other != told[1]
    for prompt in (False, True):
        assert kept.render(MESSAGES, prompt) == told[prompt]
        assert told[prompt] == reference.apply_chat_template(
            turns, chat_template=template.source, tokenize=False, add_generation_prompt=prompt
        )
    assert kept.source == template.source


def test_the_date_is_that_of_today_unless_it_was_set() -> None:
    before = datetime.now().replace(microsecond=0)
    told = datetime.fromisoformat(Template("{{ strftime_now('%Y-%m-%dT%H:%M:%S') }}", {}).render(MESSAGES))
    assert before <= told <= datetime.now()


def test_a_template_that_asks_for_no_date_is_kept_as_it_is() -> None:
    template = Template(FORGETFUL, {})
    template.render(MESSAGES)
    assert template.source == FORGETFUL and not template.dated


@pytest.mark.parametrize("pattern", ["messages[0].content", "'%Y' ~ '-%m'"])
def test_a_date_whose_pattern_is_not_written_out_is_refused_for_it_could_not_be_kept(pattern: str) -> None:
    template = Template("{{ strftime_now(" + pattern + ") }}", {})
    with pytest.raises(ModelError, match="not written out"):
        template.render([Message("user", "%Y my secret")])


def test_a_refusal_of_the_template_is_told() -> None:
    with pytest.raises(ModelError, match="no tools here"):
        Template("{{ raise_exception('no tools here') }}", {}).render(MESSAGES)


def test_long_conversations_pass_the_limits() -> None:
    turns = [Message(("user", "assistant")[n % 2], f"turn {n} " + "字" * 400) for n in range(600)]
    for source in TEMPLATES.values():
        text = Template(source, {"bos_token": "", "eos_token": ""}).render(turns)
        assert "turn 599" in text
    long = [Message("user", "字" * 20_000_000), Message("assistant", "x")]
    assert len(Template(FORGETFUL, {}).render(long)) > 20_000_000


def test_a_budget_is_for_one_rendering(folder: Path) -> None:
    template = Template("{% for i in range(90000) %}{% endfor %}ok", {})
    assert all(template.render(MESSAGES) == "ok" for _ in range(15))


def test_threads_share_a_template() -> None:
    template = Template(FORGETFUL, {})
    expected = template.render(MESSAGES)
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: told.extend(template.render(MESSAGES) for _ in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [expected] * 200


@pytest.fixture(scope="module")
def detonated() -> dict[str, tuple[float, float, str]]:
    run = [sys.executable, str(Path(__file__).parents[1] / "template_bombs.py")]
    told = subprocess.run(run, capture_output=True, text=True, timeout=240, check=True)
    result: dict[str, tuple[float, float, str]] = json.loads(told.stdout)
    return result


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_template_is_refused_in_time_and_memory(
    name: str, detonated: dict[str, tuple[float, float, str]]
) -> None:
    seconds, megabytes, problem = detonated[name]
    assert not problem.startswith("rendered"), problem
    assert "chat template" in problem
    assert len(problem) < 500
    assert seconds < 2
    assert megabytes < 150


def test_the_limit_of_the_source_is_said() -> None:
    with pytest.raises(ModelError) as caught:
        Template("x" * (SOURCE_LIMIT + 1), {})
    assert caught.value.exit_code == 4
    assert str(SOURCE_LIMIT) in caught.value.hint
