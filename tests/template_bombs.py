"""Chat templates that try to get out, to hang or to fill the memory: each must be refused.

Run as a program it renders every one and prints what became of it as a JSON object: (processor seconds, megabytes by
which the process grew, the problem or "rendered").
"""

import json
import resource
import sys
import time

BOMBS = {
    # out of the sandbox
    "mro": "{{ ''.__class__.__mro__ }}",
    "mro by filter": "{{ ''|attr('__class__') }}",
    "mro by item": "{{ ''['__class__'].__mro__ }}",
    "message's class": "{{ messages[0].__class__.__init__.__globals__ }}",
    "globals of a function": "{{ raise_exception.__globals__.keys() }}",
    "globals of a jinja object": "{{ cycler.__init__.__globals__ }}",
    "class of a namespace": "{{ namespace().__class__.__init__.__globals__ }}",
    "format with attributes": "{{ '{0.__class__}'.format(messages) }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os.listdir('.') }}",
    "changing the messages": "{{ messages.append(1) }}",
    "changing a message": "{{ messages[0].update({'content': 'x'}) }}",
    # hang
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loop without a body": "{% for i in range(99999) if range(99999)|list|length < 0 %}{% endfor %}",
    "huge range": "{% for i in range(10**9) %}{% endfor %}",
    "endless recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "recursion in two": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "recursion by call": (
        "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{{ g() }}"
        "{% endcall %}{% endmacro %}{{ g() }}"
    ),
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "comparing long texts": (
        "{% set a = 'x' * 5000000 %}{% set b = 'x' * 5000000 %}{% for i in range(99999) %}{% if a == b %}"
        "{% endif %}{% endfor %}"
    ),
    "comparing lists, one after the other": (
        "{% set a = range(99999)|list %}{% set b = range(99999)|list %}" + "{% if a == b %}{% endif %}" * 2000
    ),
    "looking through a list": "{% set a = range(99999)|list %}{{ range(99999)|select('in', a)|list }}",
    "looking through a text": (
        "{% set a = 'a' * 5000000 %}{% set b = 'a' * 2500000 ~ 'b' %}{% for i in range(99999) %}"
        "{% set c = b in a %}{% endfor %}"
    ),
    "sorting again and again": "{% for i in range(99999) %}{{ range(99999)|sort|length }}{% endfor %}",
    "stripping again and again": (
        "{% set a = ' ' * 9999999 %}{% for i in range(99999) %}{% set b = a.strip() %}{% endfor %}"
    ),
    "counting again and again": (
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{{ a.count('y') }}{% endfor %}"
    ),
    "slicing again and again": (
        "{% set a = 'x' * 9999999 %}{% for i in range(99999) %}{% set b = a[1:] %}{% endfor %}"
    ),
    "remembering what changed": (
        "{% set a = range(99999)|list %}{% for i in range(99999) %}{{ loop.changed(a) }}{% endfor %}"
    ),
    "numbers that grow": (
        "{% set ns = namespace(x=10) %}{% for i in range(999) %}{% set ns.x = ns.x * ns.x %}{% endfor %}"
    ),
    "numbers that are added": (
        "{% set ns = namespace(x=10) %}{% for i in range(99999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
    ),
    "numbers that are subtracted": (
        "{% set ns = namespace(x=10) %}{% for i in range(99999) %}{% set ns.x = ns.x - -ns.x %}{% endfor %}"
    ),
    "power": "{{ 10 ** 10 ** 9 }}",
    "number from a text": "{{ ('f' * 10000000)|int(base=16) }}",
    "rounding": "{{ 1.5|round(10 ** 9, 'ceil') }}",
    # memory
    "repeated text": "{{ 'x' * 10**9 }}",
    "repeated from the left": "{{ 10**9 * 'x' }}",
    "repeated list": "{{ ([0] * 10**9)|length }}",
    "center": "{{ 'x'.center(10**9) }}",
    "center by filter": "{{ 'x'|center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "format": "{{ '{:>999999999}'.format('x') }}",
    "format by filter": "{{ '%999999999s'|format('x') }}",
    "format by percent": "{{ '%999999999s' % 'x' }}",
    "joined by tilde": (
        "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
    ),
    "joined by plus": (
        "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
    ),
    "doubled list": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "nested lists": (
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"
    ),
    "nested tuples": (
        "{% set ns = namespace(x=(1,)) %}{% for i in range(99) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}"
        "{{ ns.x|string }}"
    ),
    "nested dictionaries": (
        "{% set ns = namespace(x=1) %}{% for i in range(99) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}"
        "{% endfor %}{{ ns.x|tojson }}"
    ),
    "nested by dict()": (
        "{% set ns = namespace(x=1) %}{% for i in range(99) %}{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}"
    ),
    "nested by arguments": (
        "{% set ns = namespace(x=(1,)) %}{% macro f() %}{% set ns.x = varargs %}{% endmacro %}"
        "{% for i in range(99) %}{{ f(ns.x, ns.x) }}{% endfor %}{{ ns.x == ns.x }}"
    ),
    "a namespace that holds itself": "{% set ns = namespace() %}{% set ns.x = [ns, ns] %}{{ ns.x }}",
    "much output": "{% set x = 'x' * 1000000 %}{% for i in range(99999) %}{{ x }}{% endfor %}",
    "much output in a block": (
        "{% set x = 'x' * 1000000 %}{% set y %}{% for i in range(99999) %}{{ x }}{% endfor %}{% endset %}"
    ),
    "many blocks": (
        "{% set x = 'x' * 1000000 %}{% set ns = namespace(a=[]) %}{% for i in range(99999) %}{% set y %}{{ x }}"
        "{{ i }}{% endset %}{% set ns.a = ns.a + [y] %}{% endfor %}"
    ),
    "replace": "{% set a = 'x' * 100000 %}{{ a.replace('x', a) }}",
    "replace by filter": "{% set a = 'x' * 100000 %}{{ a|replace('x', a) }}",
    "replace nothing": "{% set a = 'x' * 100000 %}{{ a.replace('', a) }}",
    "join by filter": "{% set a = 'x' * 1000000 %}{{ ([a] * 1000)|join }}",
    "join": "{% set a = 'x' * 1000000 %}{{ ''.join([a] * 1000) }}",
    "long separator": "{% set a = 'x' * 1000000 %}{{ range(99999)|join(a) }}",
    "join of what is made": "{% set a = 'x' * 1000000 %}{{ range(99999)|map('replace', '1', a)|join }}",
    "translate": "{{ ('x' * 10000).translate({120: 'y' * 1000000}) }}",
    "bytes of a number": "{{ (1).to_bytes(10**9, 'big') }}",
    "bytes of a text": "{{ 'x'.encode() * 10**9 }}",
    "lorem ipsum": "{{ lipsum(n=10**9) }}",
    "batch": "{{ [1]|batch(10**9, 'x')|list }}",
    "slice": "{{ [1]|slice(10**9)|list }}",
    "indent": "{{ ('\n' * 100000)|indent(100000) }}",
    "indented JSON": "{{ [1]|tojson(indent=10**9) }}",
    "wordwrap": "{{ ('x' * 1000000)|wordwrap(1, true, 'y' * 100000) }}",
    "split": "{{ ('ab ' * 5000000).split()|length }}",
    "characters of a text": "{{ ('x' * 10000000)|list|length }}",
    "escape": "{% for i in range(99) %}{{ ('<' * 9000000)|e }}{% endfor %}",
    "long message": "{{ raise_exception('x' * 9999999) }}",
    # source
    "huge source": "x" * 10_000_000,
    "deep brackets": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "deep lists": "{{ " + "[" * 30000 + "]" * 30000 + " }}",
    "deep loops": "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "deep conditions": "{% if a %}" * 3000 + "{% endif %}" * 3000,
    "long chain": "{{ a" + ".b" * 30000 + " }}",
    "no template": "{% for %}",
}
SECONDS = 0.1  # instead of the real limit, so that all of them together take seconds


def main() -> None:
    from weitiao.codec import budget
    from weitiao.codec.template import Template
    from weitiao.errors import ModelError
    from weitiao.example import Message

    real, budget.SECONDS_LIMIT = budget.SECONDS_LIMIT, SECONDS
    messages = [Message("user", "hello"), Message("assistant", "hi")]
    told = {}
    for name, source in BOMBS.items():
        if name == "sorting again and again":
            budget.SECONDS_LIMIT = real
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            problem = f"rendered {Template(source, {}).render(messages)[:80]}"
        except ModelError as error:
            problem = error.problem
        seconds = time.process_time() - started
        told[name] = seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, problem
        budget.SECONDS_LIMIT = SECONDS
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
