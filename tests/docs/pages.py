"""What the README and the pages tell a reader to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
NAMED = re.compile(r"^`([\w./-]+)`:\n\n```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A command as it stands in a page."""

    page: Path
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


def commands(page: Path) -> Iterator[Line]:
    """Commands in the fenced blocks of a page, in order; lines that end in a backslash go on."""
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language not in SHELLS:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            text = line.strip().removeprefix("$ ")
            if text.partition(" ")[0] in PROGRAMS:
                yield Line(page, text)


def inline(page: Path) -> Iterator[Line]:
    """Commands between single backticks."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for found in INLINE.findall(text):
        yield Line(page, found)


def files(page: Path) -> list[tuple[str, str]]:
    """Files that a page has the reader write: name and content."""
    return NAMED.findall(page.read_text(encoding="utf-8"))
