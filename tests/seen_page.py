"""A page as a browser would see it, and a text that would harm one that is careless.

Separate because the tests of a run's page and of a comparison's read both.
"""

import re
from html.parser import HTMLParser

HOSTILE = (
    "\"'><script>alert(1)</script ></script><img src=x onerror=alert(2)>&amp;{{7*7}}"
    "\x1b[31m\u202e\ud800</title></style>]]>-->\u2028"
)
VOID = {"meta", "input", "link", "img", "br"}


class Page(HTMLParser):
    """What a browser would see: elements with attributes, the visible text, the text of each kind of script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []  # class of the innermost element with one, text
        self.scripts: list[tuple[str, str]] = []
        self.classes: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.classes.append(dict(attrs).get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        self.classes.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            kind = next(attributes for tag, attributes in reversed(self.elements) if tag == "script")
            self.scripts.append((kind.get("type") or "", data))
        elif self.open and self.open[-1] != "style" and data.strip():
            self.texts.append((self.classes[-1], data.strip()))

    @property
    def text(self) -> str:
        return " ".join(" ".join(text.split()) for _, text in self.texts)


def assert_harmless(plain: str, hostile: str) -> None:
    """The page with hostile texts has the elements of the one with plain texts, and nothing of them ran."""
    assert "<script>alert" not in hostile
    assert "</script><img" not in hostile
    hostile.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", hostile)
    harmless, attacked = Page(plain), Page(hostile)
    assert [tag for tag, _ in attacked.elements] == [tag for tag, _ in harmless.elements]
    for (_, before), (_, after) in zip(harmless.elements, attacked.elements, strict=True):
        assert before.keys() == after.keys()
    assert "49" not in set(attacked.text.split()) - set(harmless.text.split()), "a template ran"
