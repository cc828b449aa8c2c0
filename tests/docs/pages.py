"""What the README and the pages tell a reader to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page_commands import comment

PROJECT = Path(__file__).parents[2]
PAGES = [
    path
    for path in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/**/*.md"))
    if path.exists()
]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SHELLS = ("", "sh", "bash", "console")
PROGRAMS = ("dcsim", "make", "pip", "python", "git", "export", "source", "cd")
"""What begins a command; other lines of such blocks are what is printed, or a diagram."""
INLINE = re.compile(r"(?<!`)`(dcsim [^`\n]+)`")
NAMED = re.compile(
    r"^`([\w./-]+)`:\n\n```(?:yaml|python|csv|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Line:
    """A command as it stands in a page."""

    page: Path
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def label(self) -> str:
        """The row of a table that it makes; nothing where it makes none."""
        return comment(self.text)


@dataclass(frozen=True)
class Code:
    """Python as it stands in a page."""

    page: Path
    text: str


def steps(page: Path) -> Iterator[Line | Code]:
    """Commands and Python of the fenced blocks, in order; backslashes at line ends go on.

    Python that the page has the reader keep as a file is not among them: see `files`.
    """
    text = page.read_text(encoding="utf-8")
    kept = [found.span() for found in NAMED.finditer(text)]
    for found in BLOCK.finditer(text):
        language, block = found.groups()
        if language == "python" and not any(a <= found.start() < b for a, b in kept):
            yield Code(page, block)
        if language not in SHELLS:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            command = " ".join(line.split()).removeprefix("$ ")
            if command.partition(" ")[0] in PROGRAMS:
                yield Line(page, command)


def commands(page: Path) -> Iterator[Line]:
    """The commands alone."""
    return (step for step in steps(page) if isinstance(step, Line))


def inline(page: Path) -> Iterator[Line]:
    """Commands between single backticks."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for found in INLINE.findall(text):
        yield Line(page, found)


def files(page: Path) -> list[tuple[str, str]]:
    """Files that a page has the reader write: name and content."""
    return NAMED.findall(page.read_text(encoding="utf-8"))
