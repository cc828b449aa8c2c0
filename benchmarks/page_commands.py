"""The commands of a page from which its figures come: read out of the page, and run as they stand.

A block of figures stands after `<!-- figures: NAME DIGEST -->`. It comes from the fenced block of
commands nearest above it, option for option; DIGEST is of those commands, and a test compares it.
Where a table compares variants there is a command for each row, its first cell in a comment:

    dcsim run scenarios/a.yaml --duration "10 min"                        # as it stands
    dcsim run scenarios/a.yaml --duration "10 min" --set routing.policy=random  # at random
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import dcsim
from dcsim.cli import app

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
MARK = re.compile(
    r"^<!-- figures: ([\w-]+)(?: ([0-9a-f]{8}))? -->\n"
    r"(?:```\n(?:(?!```).*\n)*```\n|(?:\|.*\n)*)",
    re.MULTILINE,
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE_BY = ("run", "study")
"""Commands that make figures; others in the block (`report`, `open`) only show them."""
RECIPE = re.compile(r"^run:.*\n(?:\t@.*\n)*\t\$\(BIN\)/(dcsim .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command as it stands in a page."""

    words: tuple[str, ...]
    """After `dcsim`."""
    label: str
    """What stands in its comment: the first cell of its row."""

    @property
    def text(self) -> str:
        """With the label, spaced alike wherever it stands."""
        told = shlex.join(["dcsim", *self.words])
        return f"{told}  # {self.label}" if self.label else told

    def out(self) -> str:
        """The file that it writes its results to. Raises ValueError where it writes none."""
        if "--out" not in self.words:
            raise ValueError(f"{self.text}: figures from its results need --out in the page")
        return self.words[self.words.index("--out") + 1]


class PageError(ValueError):
    """A block of figures that no command makes."""


@dataclass(frozen=True)
class Figures:
    """A block of figures in a page, and what makes it."""

    page: Path
    name: str
    digest: str | None
    """As it was when the figures were made; None: they were made otherwise."""
    body: str
    """Below the mark."""
    commands: tuple[Command, ...]


def figures_of(page: Path, text: str | None = None) -> Iterator[Figures]:
    """The blocks of a page in order. Raises PageError for one without a command above it."""
    told = page.read_text(encoding="utf-8") if text is None else text
    fences = list(FENCE.finditer(told))
    inside = [mark.span() for mark in MARK.finditer(told)]
    for mark in MARK.finditer(told):
        above = [
            fence
            for fence in fences
            if fence.end() <= mark.start()
            and not any(start <= fence.start() < end for start, end in inside)
        ]
        commands = tuple(commands_in(above[-1][2])) if above else ()
        if not commands:
            raise PageError(
                f"{page.name}: no command stands in the block above the figures {mark[1]}"
            )
        yield Figures(page, mark[1], mark[2], mark[0].partition("\n")[2], commands)


def commands_in(block: str) -> Iterator[Command]:
    """Those of a fenced block that make figures; `make run` is what the Makefile says."""
    for line in block.replace("\\\n", " ").splitlines():
        text = " ".join(line.split()).removeprefix("$ ")
        if re.match(r"make run\b", text):
            recipe = RECIPE.search((PROJECT / "Makefile").read_text(encoding="utf-8"))
            if recipe is None:
                raise PageError("the Makefile's target `run` is not one command of dcsim")
            text = recipe[1]
        words = shlex.split(text, comments=True)
        if words[:1] == ["dcsim"] and words[1:2] and words[1] in MADE_BY:
            yield Command(tuple(words[1:]), comment(text))


def comment(text: str) -> str:
    """What stands after ` # ` outside of quotes."""
    for at in (found.end() for found in re.finditer(r"\s# ", text)):
        with contextlib.suppress(ValueError):
            shlex.split(text[: at - 2])
            return text[at:].strip()
    return ""


def digest(commands: tuple[Command, ...]) -> str:
    """Of the commands, whatever their line breaks."""
    told = "\n".join(command.text for command in commands)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


class Player:
    """Runs commands as they stand, from the project's folder; what they write goes elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def json(self, command: Command) -> Any:
        """What it prints with --json beside its own options."""
        return json.loads(self._run(command, "--json", "--quiet"))

    def text(self, command: Command) -> str:
        """What it prints."""
        return self._run(command)

    @contextlib.contextmanager
    def results(self, command: Command) -> Iterator[dcsim.Results]:
        """The results that it writes."""
        self._run(command, "--quiet")
        with dcsim.Results.open(self._elsewhere(command.out())) as results:
            yield results

    def _elsewhere(self, path: str) -> Path:
        return self._folder / path.replace("/", "_")

    def _run(self, command: Command, *more: str) -> str:
        words = list(command.words)
        for at, word in enumerate(words[:-1]):
            if word in ("--out", "-o"):
                target = self._elsewhere(words[at + 1])
                if target.is_file():
                    target.unlink()  # `run` replaces no file unasked
                words[at + 1] = str(target)
        with contextlib.chdir(PROJECT):
            done = CliRunner().invoke(app, [*words, *more])
        if done.exit_code:
            raise SystemExit(f"{command.text}\n{done.output}")
        return done.stdout


@contextlib.contextmanager
def player() -> Iterator[Player]:
    """A player with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Player(Path(folder))
