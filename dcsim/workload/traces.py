"""Recorded requests, read row by row: one reader for all formats, which names what is wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dcsim.scenario.problems import Problem

MOST_TOKENS = 10_000_000
"""More in one request is taken for damage: no served model has such a context."""

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)


class Row(NamedTuple):
    """One request of a trace."""

    time_s: float
    """On the trace's own clock."""
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    """Ids of the prompt's blocks, where the trace tells what prompts share."""


class TraceError(ValueError):
    """A trace that cannot be replayed: file, line, column, value and what was expected.

    `line` counts from 1; 0 is the file as a whole. `column` and `value` are empty where no single
    one is to blame. `whole` is true where skipping a row does not help.
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
        super().__init__(str(self.problem()))

    def problem(self) -> Problem:
        """The same as a scenario's problems are told."""
        instead = f", not '{short(self.value)}'" if self.column else ""
        message = f"expected {self.expected}{instead}"
        return Problem(str(self.file), self.line or None, self.column, message)


class Wrong(ValueError):
    """What a parser raises: the column, its value, and what was expected."""

    def __init__(self, column: str, value: object, expected: str) -> None:
        super().__init__(column, value, expected)


class Options(NamedTuple):
    """What a user may ask of some formats; see ReplayArrivals."""

    failed: str = "drop"
    only_model: str | None = None


AS_IT_IS = Options()


class Parser(Protocol):
    """Makes requests of the values in a format's columns, row by row."""

    def row(self, values: Sequence[Any]) -> Row | None:
        """None: a row that is right and is not wanted. Raises Wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """How a kind of trace is read."""

    columns: tuple[str, ...]
    """That it needs, the one with the time first; others are allowed and ignored."""
    lines: Callable[[Path, tuple[str, ...]], Iterator[tuple[int, Sequence[Any]] | TraceError]]
    """Line numbers and the values in those columns."""
    parser: Callable[[Options], Parser]


@dataclass(slots=True)
class Tally:
    """What became of a trace's rows that are not played."""

    skipped: int = 0
    """Wrong, and left out on the user's word."""
    dropped: int = 0
    """Right, and not wanted: failed requests, other models'."""


def read(
    file: Path,
    form: Format,
    options: Options = AS_IT_IS,
    *,
    tally: Tally | None = None,
    skip: bool = False,
) -> Iterator[Row]:
    """The rows, lazily, in order of time, the first at 0 s. What is left out is counted in `tally`.

    Raises TraceError at the first row that is wrong (a missing column, a value that is no number
    in range, a time that goes back, text that is of another format) unless they are to be skipped,
    and for a file without requests; OSError when it cannot be opened.
    """
    tally = Tally() if tally is None else tally
    for row in rows(file, form, options):
        if isinstance(row, Row):
            yield row
        elif row is None:
            tally.dropped += 1
        elif skip and not row.whole:
            tally.skipped += 1
        else:
            raise row


def faults(file: Path, form: Format, options: Options = AS_IT_IS) -> Iterator[TraceError]:
    """Everything that is wrong, read through to the end. Raises OSError."""
    return (row for row in rows(file, form, options) if isinstance(row, TraceError))


def rows(file: Path, form: Format, options: Options) -> Iterator[Row | TraceError | None]:
    """Requests, errors, and None for rows that are not wanted, in the order of the file; at the
    end an error where there was no request."""
    parser = form.parser(options)
    start_s: float | None = None
    last_s = 0.0
    seen = wrong = 0
    for line in form.lines(file, form.columns):
        if isinstance(line, TraceError):
            yield line
            if line.whole:
                return
            wrong += 1
            continue
        number, values = line
        try:
            row = parser.row(values)
            if row is None:
                yield None
                continue
            if start_s is None:
                start_s = row.time_s
            time_s = row.time_s - start_s
            if time_s < last_s:
                raise Wrong(form.columns[0], values[0], "a time not before the row above")
        except Wrong as error:
            wrong += 1
            yield TraceError(file, number, *error.args)
            continue
        last_s = time_s
        seen += 1
        yield row._replace(time_s=time_s)
    if not seen:
        expected = "at least one request" + (f"; all {wrong:,} rows are wrong" if wrong else "")
        yield TraceError(file, 0, "", "", expected, whole=True)


# --- lines of text ---------------------------------------------------------------------------


def csv_lines(
    file: Path, columns: tuple[str, ...], header: bool = True
) -> Iterator[tuple[int, Sequence[str]] | TraceError]:
    """A header, then rows of comma-separated values; or the rows alone, which then have just
    these columns."""
    # Bytes that are no UTF-8 become a mark that fits no number: the row is named like any other.
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        reader = csv.reader(text)
        split = _split(file, reader)
        first = next(split, []) if header else list(columns)
        if isinstance(first, TraceError):
            first.whole = True
            yield first
            return
        names = [name.strip() for name in first]
        if any(column not in names for column in columns):
            found = ", ".join(names) if names else "an empty file"
            wanted = f"a header with the columns {', '.join(columns)}, found {short(found)}"
            yield TraceError(file, 1, "", "", wanted, whole=True)
            return
        places = [names.index(column) for column in columns]
        width = len(names)
        for row in split:
            if isinstance(row, TraceError):
                yield row
            elif len(row) == width:
                yield reader.line_num, [row[place] for place in places]
            elif row:
                # More columns than names: a thousand written as 1,000 shifts all that follow.
                expected = f"{width} columns, found {len(row)}"
                yield TraceError(file, reader.line_num, "", "", expected)


def _split(file: Path, reader: Iterator[list[str]]) -> Iterator[list[str] | TraceError]:
    """The reader's rows; what is no CSV (a NUL, a field without end) as an error in its place."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = getattr(reader, "line_num", 0)
            yield TraceError(file, line, "", "", f"comma-separated text ({error})")


def json_lines(
    file: Path, columns: tuple[str, ...]
) -> Iterator[tuple[int, Sequence[Any]] | TraceError]:
    """A JSON object a line."""
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict):
                yield TraceError(file, number, "", "", "a JSON object on each line")
                continue
            missing = [column for column in columns if column not in found]
            if missing:
                expected = f"the keys {', '.join(columns)}; {', '.join(missing)} missing"
                yield TraceError(file, number, "", "", expected)
                continue
            yield number, [found[column] for column in columns]


# --- values ----------------------------------------------------------------------------------


def whole(value: Any) -> int | None:
    """A whole number, 0 or more, from text or JSON; None for anything else."""
    if isinstance(value, str):
        value = value.strip()
        return int(value) if _WHOLE.fullmatch(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def tokens(column: str, value: Any, least: int = 1) -> int:
    """A number of tokens. Raises Wrong."""
    found = whole(value)
    if found is None or not least <= found <= MOST_TOKENS:
        raise Wrong(column, value, f"a whole number of tokens from {least} to {MOST_TOKENS:,}")
    return found


def seconds(column: str, value: Any) -> float:
    """A finite number of seconds. Raises Wrong."""
    try:
        found = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not abs(found) < 1e15:
        raise Wrong(column, value, "a number of seconds")
    return found


def short(text: str) -> str:
    """Enough to recognise a value by, on one line."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
