"""The documents as tests read them: pages, their fences, links, headings and command lines.

The first line of a fence says what is done with it. ``console run`` is run and its output compared, ``console try`` is
run on tiny data, and any other command line must be accepted. ``csv reviews.csv classify`` is a file of that name,
which must be read as that kind.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
CHINESE = ".zh-CN.md"
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A block of code: the words behind the three marks, and the text."""

    words: tuple[str, ...]
    text: str

    @property
    def file(self) -> str:
        """The name of the file that it shows; empty when it shows none."""
        return self.words[1] if len(self.words) > 1 and "." in self.words[1] else ""


@dataclass(frozen=True)
class Page:
    """One Markdown page."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its fences."""
        return _FENCE.sub("", self.text)

    @property
    def chinese(self) -> bool:
        return self.path.name.endswith(CHINESE)

    @property
    def twin(self) -> Path:
        """The same page in the other language."""
        name = self.path.name
        return self.path.with_name(name.replace(CHINESE, ".md") if self.chinese else name.replace(".md", CHINESE))

    def fences(self) -> list[Fence]:
        return [Fence(tuple(info.split()), body) for info, body in _FENCE.findall(self.text)]

    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def headings(self) -> list[tuple[int, str]]:
        return [(len(marks), title) for marks, title in _HEADING.findall(self.prose)]

    def anchors(self) -> set[str]:
        """What ``#…`` may name here, as GitHub makes it of the headings."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in self.headings()}

    def inline(self) -> list[str]:
        return _INLINE.findall(self.prose)

    def command_lines(self) -> Iterator[list[str]]:
        """The arguments of every ``weitiao`` command line on the page, in fences and in the text."""
        lines = [code for code in self.inline() if code.startswith("weitiao ")]
        for fence in self.fences():
            if fence.words[:1] in (("console",), ("sh",)):
                lines += [line.removeprefix("$ ") for line in fence.text.splitlines()]
        for line in lines:
            if line.startswith("weitiao "):
                yield shlex.split(line, comments=True)[1:]


def pages() -> list[Page]:
    """Every page of the project, those of the repository's root first."""
    return [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]


def commands_with_output(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each ``$ weitiao …`` of a console: its arguments, and the lines shown under it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        assert command.startswith("weitiao "), command
        yield shlex.split(command)[1:], shown


def write_files(page: Page, folder: Path) -> None:
    """Write the files that the page shows into ``folder``."""
    for fence in page.fences():
        if fence.file:
            path = folder / fence.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fence.text, encoding="utf-8")


def run_console(page: Page, text: str, folder: Path) -> str:
    """The console ``text`` with what its commands put out on stdout now, in a terminal of 100 columns."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "src")}
    lines = []
    for command, _ in commands_with_output(text):
        words = [sys.executable, "-m", "weitiao", *command, f"--lang={'zh' if page.chinese else 'en'}"]
        told = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        lines += [f"$ weitiao {shlex.join(command)}", *(line.rstrip() for line in told.stdout.splitlines())]
    return "\n".join(lines) + "\n"


def refresh() -> None:
    """Write what the ``console run`` fences show now into the pages: ``python tests/documents.py``."""
    for page in pages():
        for fence in page.fences():
            if fence.words[:2] == ("console", "run"):
                with TemporaryDirectory() as folder:
                    write_files(page, Path(folder))
                    fresh = run_console(page, fence.text, Path(folder))
                page.path.write_text(page.text.replace(fence.text, fresh), encoding="utf-8")


if __name__ == "__main__":
    refresh()
