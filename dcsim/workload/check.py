"""Reads the files of a workload through, and tells what is wrong and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dcsim.errors import Problem, TraceError
from dcsim.scenario.models import (
    EmpiricalTokens,
    MixtureTokens,
    ReplayArrivals,
    Scenario,
    ServegenArrivals,
    Stream,
)
from dcsim.workload.clients import FILES, client_files, measured
from dcsim.workload.formats import FORMATS
from dcsim.workload.replay import options
from dcsim.workload.tokens import lengths_only
from dcsim.workload.traces import DEFAULT_OPTIONS, Options, RowCounts, rows

PROBLEMS_PER_FILE = 20
"""Of a trace that is wrong all over, so many rows are named."""


@dataclass(slots=True)
class Survey:
    """What reading all files through has shown."""

    problems: list[Problem] = field(default_factory=list)
    """In the way of a run."""
    notes: list[str] = field(default_factory=list)
    """Not in the way, but to be known: rows that are left out."""


def check(scenario: Scenario) -> list[Problem]:
    """What is wrong inside the files of the workload; empty when all is well."""
    return survey(scenario).problems


def survey(scenario: Scenario) -> Survey:
    """Read every trace, client file and file of lengths through: up to PROBLEMS_PER_FILE problems
    of each file, then how many more; and how many rows are skipped or dropped. A file that is
    read the same way twice is told of once."""
    result = Survey()
    done: set[object] = set()
    for spec in scenario.workload:
        for key, look in _files(spec):
            if key not in done:
                done.add(key)
                look(result)
    return result


def _files(spec: Stream) -> Iterator[tuple[object, Callable[[Survey], None]]]:
    """What identifies a reading of a file, and the reading."""
    process = spec.arrivals
    if isinstance(process, ReplayArrivals):
        reading, skip = options(process), process.on_error == "skip"
        read = partial(_trace, process.file, process.format, reading=reading, skip=skip)
        yield (process.file, process.format, reading, skip), read
    elif isinstance(process, ServegenArrivals):
        yield process.folder, partial(_clients, process.folder)
    tokens = spec.tokens
    parts = [part.tokens for part in tokens.parts] if isinstance(tokens, MixtureTokens) else []
    for lengths in (tokens, *parts):
        if isinstance(lengths, EmpiricalTokens):
            reading = lengths_only(lengths)
            look = partial(_trace, lengths.file, lengths.format, reading=reading)
            yield (lengths.file, lengths.format, reading), look


def _trace(
    file: Path, form: str, result: Survey, reading: Options = DEFAULT_OPTIONS, skip: bool = False
) -> None:
    skipped = dropped = 0
    tally = RowCounts()

    def errors() -> Iterator[TraceError]:
        nonlocal skipped, dropped
        for row in rows(file, FORMATS[form], reading, tally):
            if row is None:
                dropped += 1
            elif isinstance(row, TraceError):
                if skip and not row.whole:
                    skipped += 1
                else:
                    yield row

    _tell(result, file, errors())
    if skipped:
        result.notes.append(f"{file}: {_rows(skipped)} wrong, to be skipped")
    if tally.out_of_order:
        result.notes.append(
            f"{file}: {_rows(tally.out_of_order)} up to {tally.back_s:.3g} s after later ones, "
            "put in order"
        )
    if dropped:
        result.notes.append(f"{file}: {_rows(dropped)} to be left out (failed, or other models)")


def _clients(folder: Path, result: Survey) -> None:
    try:
        files = client_files(folder)
    except OSError as failure:
        result.problems.append(_unreadable(folder, failure))
        return
    if not files:
        result.problems.append(Problem(str(folder), None, "", f"has no files named {FILES}"))
    for file in files:
        _tell(result, file, (row for row in measured(file) if isinstance(row, TraceError)))


def _tell(result: Survey, file: Path, errors: Iterator[TraceError]) -> None:
    number = 0
    try:
        for number, error in enumerate(errors, 1):
            if number <= PROBLEMS_PER_FILE:
                result.problems.append(error.problem())
    except OSError as failure:
        result.problems.append(_unreadable(file, failure))
    if number > PROBLEMS_PER_FILE:
        more = f"{number - PROBLEMS_PER_FILE:,} more rows are wrong"
        result.problems.append(Problem(str(file), None, "", more))


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _unreadable(path: Path, failure: OSError) -> Problem:
    reason = failure.strerror or str(failure)
    return Problem(str(path), None, "", f"cannot be read: {reason}")
