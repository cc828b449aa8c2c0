"""What is wrong with a scenario: problems with a place, reported together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what was expected instead."""

    file: str
    """The scenario file as the user named it, or `--set`, `--seed`, `--duration`."""
    line: int | None
    """From 1; None where no line is to blame."""
    path: str
    """Dotted, such as `servers.0.engine.max_num_seqs`; empty for the file as a whole."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        where = f"{place}: {self.path}" if self.path else place
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ScenarioError(ValueError):
    """A scenario that cannot be used. `problems` has all that was found, in order of line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
