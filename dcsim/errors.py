"""Exceptions of dcsim: one tree, whose root is `DcsimError`.

A message is written for the person who gave the input: it names the file and line, or the option,
says what was expected, and where possible what to do. Each class is also one of Python's own
kinds (`ValueError`, `RuntimeError`, ...), so that code that knows nothing of dcsim can catch it.
Exceptions that never leave their room (a parser's, a meter's) are defined there and derive from
`DcsimError` as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of an input file, and what was expected instead."""

    file: str
    """The file as the user named it, or `--set`, `--seed`, `--duration`."""
    line: int | None
    """From 1; None where no single line is to blame."""
    path: str
    """Dotted, such as `servers.0.engine.max_num_seqs`; empty for the file as a whole."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        where = f"{place}: {self.path}" if self.path else place
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class DcsimError(Exception):
    """Root of all exceptions that dcsim raises on purpose."""

    def __reduce__(self) -> Any:
        # By attributes, not by calling the class again: its arguments need not be those of
        # `Exception`, and an error of a worker process must reach its caller.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[DcsimError], args: tuple[Any, ...], state: dict[str, Any]) -> DcsimError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


# --- input files -------------------------------------------------------------------------------


class ScenarioError(DcsimError, ValueError):
    """A scenario, catalogue or campaign file that cannot be used.

    Attributes
    ----------
    problems : list of Problem
        All problems of the file, in order of line.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CatalogueError(DcsimError, LookupError):
    """A name that the catalogue does not have; the message suggests the nearest."""


class SeriesError(DcsimError, ValueError):
    """A file that cannot be read as a time series; the message says where and why."""


class TraceError(DcsimError, ValueError):
    """A trace that cannot be replayed.

    Attributes
    ----------
    file : Path
        The trace.
    line : int
        From 1; 0 is the file as a whole.
    column, value : str
        Empty where no single value is to blame.
    expected : str
        What should stand there instead.
    whole : bool
        True where skipping the row does not help.
    names : list of str or None
        Columns that a header has, where they are not those of the format.
    """

    def __init__(
        self, file: Path, line: int, column: str, value: object, expected: str, whole: bool = False
    ) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.value = str(value)
        self.expected = expected
        self.whole = whole
        self.names: list[str] | None = None
        super().__init__(str(self.problem()))

    def problem(self) -> Problem:
        """Return the error in the form of a scenario's problems."""
        instead = f", not '{excerpt(self.value)}'" if self.column else ""
        message = f"expected {self.expected}{instead}"
        return Problem(str(self.file), self.line or None, self.column, message)


def excerpt(text: str) -> str:
    """Return a text of unknown origin on one line of at most 60 printable characters."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


class UnreadableError(DcsimError, OSError):
    """A file that is not text, or is damaged; `strerror` says which."""

    __reduce__ = OSError.__reduce__  # keeps the file's name, which is not among `args`


# --- what a scenario asks for and cannot have --------------------------------------------------


class PolicyError(DcsimError, ValueError):
    """A policy that cannot work on this site.

    Attributes
    ----------
    key : str
        The key of the policy's block that is to blame.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class PluginError(DcsimError, ValueError):
    """A component of another package that cannot be used; the message names both."""


class ConfigurationError(DcsimError, ValueError):
    """A configuration that a power model does not know; the message lists those it knows."""


class PackError(ConfigurationError):
    """A pack that cannot be read, or that lacks what is needed of it."""


# --- results, studies and what is made of them -------------------------------------------------


class ResultsError(DcsimError, ValueError):
    """A file that is not a complete results file of dcsim, or a query that it cannot answer."""


class StudyError(DcsimError, ValueError):
    """A study that has no answer as it was put.

    Attributes
    ----------
    problems : tuple of str
        Each says what to do instead.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class MissingExtraError(DcsimError, ImportError):
    """An optional library that is not installed; the message names the extra that has it."""


class SimulationError(DcsimError, ValueError):
    """A simulation that cannot be played on: it has ended, or an error aborted it."""


class RunFailedError(DcsimError, RuntimeError):
    """A run of a study that cannot be played. The runs that were played are kept."""


class PlotError(DcsimError, ValueError):
    """A picture that cannot be drawn from this file; the message says why."""


class StudyPageError(DcsimError, ValueError):
    """A folder that does not hold a study, or holds a damaged one; the message says why."""


class ExportError(DcsimError, ValueError):
    """A result, an option or a path that cannot be exported; the message says why."""


# --- data and measured runs --------------------------------------------------------------------


class DataFolderError(DcsimError, RuntimeError):
    """There is no folder to keep data in; the message says what to set."""


class FetchError(DcsimError, RuntimeError):
    """A file that could not be downloaded; the message says why, and what is kept."""


class OfflineError(FetchError):
    """The server could not be reached at all."""


class ChecksumError(FetchError):
    """A downloaded file whose SHA-256 is not the expected one; it was deleted."""


class LogError(DcsimError, ValueError):
    """A log that cannot be read; the message has file, line and what was expected."""


class RunFolderError(DcsimError, ValueError):
    """A folder of a measured run that cannot support a fit; the message says what is missing."""


class MeasureError(DcsimError, ValueError):
    """A measurement that cannot start: no endpoint, no NVML, or a model that is not served."""


class ExtrapolationWarning(UserWarning):
    """Watts of a configuration that a power pack was not fitted to; the message says from what."""
