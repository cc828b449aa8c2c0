"""The CSV format of the Azure LLM inference traces of 2023, read row by row.

https://github.com/Azure/AzurePublicDataset: TIMESTAMP (seven decimals of a second), ContextTokens
(the prompt) and GeneratedTokens. Other columns are allowed and ignored.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dcsim.scenario.problems import Problem

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_TOKENS = 10_000_000
"""More in one request is taken for damage: no served model has such a context."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d+))?", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)

Row = tuple[float, int, int]
"""Seconds since the first row, prompt tokens, output tokens."""


class TraceError(ValueError):
    """A trace that cannot be replayed: file, line, column, value and what was expected.

    `line` counts from 1, the header's; 0 is the file as a whole. `column` and `value` are empty
    where no single one is to blame.
    """

    def __init__(self, file: Path, line: int, column: str, value: str, expected: str) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.value = value
        self.expected = expected
        super().__init__(str(self.problem()))

    def problem(self) -> Problem:
        """The same as a scenario's problems are told."""
        instead = f", not '{_short(self.value)}'" if self.column else ""
        message = f"expected {self.expected}{instead}"
        return Problem(str(self.file), self.line or None, self.column, message)


def read(file: Path) -> Iterator[Row]:
    """The rows, lazily. Raises TraceError at the first that is wrong (a missing column, a value
    that is no number in range, a time that goes back, text that is no CSV) or for a file without
    requests; OSError when it cannot be opened."""
    for row in _rows(file):
        if isinstance(row, TraceError):
            raise row
        yield row


def faults(file: Path) -> Iterator[TraceError]:
    """Everything that is wrong, read through to the end. Raises OSError."""
    return (row for row in _rows(file) if isinstance(row, TraceError))


def _rows(file: Path) -> Iterator[Row | TraceError]:
    # Bytes that are no UTF-8 become a mark that fits no number: the row is named like any other.
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        reader = csv.reader(text)
        lines = _lines(file, reader)
        header = next(lines, [])
        if isinstance(header, TraceError):
            yield header
            return
        names = [name.strip() for name in header]
        if any(column not in names for column in COLUMNS):
            found = ", ".join(names) if names else "an empty file"
            wanted = f"a header with the columns {', '.join(COLUMNS)}, found {_short(found)}"
            yield TraceError(file, 1, "", "", wanted)
            return
        places = [names.index(column) for column in COLUMNS]
        clock = _Clock(file)
        empty = True
        for row in lines:
            if not row:
                continue
            empty = False
            if isinstance(row, TraceError):
                yield row
                continue
            line = reader.line_num
            if len(row) != len(names):
                # More columns than names: a thousand written as 1,000 shifts all that follow.
                yield TraceError(file, line, "", "", f"{len(names)} columns, found {len(row)}")
                continue
            stamp, prompt, output = (row[place] for place in places)
            try:
                yield (
                    clock.seconds(line, stamp),
                    _tokens(file, line, COLUMNS[1], prompt),
                    _tokens(file, line, COLUMNS[2], output),
                )
            except TraceError as error:
                yield error
        if empty:
            yield TraceError(file, 0, "", "", "at least one request")


def _lines(file: Path, reader: Iterator[list[str]]) -> Iterator[list[str] | TraceError]:
    """The reader's rows; what is no CSV (a NUL, a field without end) as an error in its place."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = getattr(reader, "line_num", 0)
            yield TraceError(file, line, "", "", f"comma-separated text ({error})")


class _Clock:
    """Timestamps to seconds since the first."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start: datetime | None = None
        self._start_rest_s = 0.0
        self._last_s = 0.0

    def seconds(self, line: int, text: str) -> float:
        match = _STAMP.fullmatch(text.strip())
        try:
            if match is None:
                raise ValueError(text)
            # datetime has six decimals, the traces seven: the rest is kept apart.
            moment = datetime.fromisoformat(match[1])
        except ValueError:
            wanted = "a time such as 2023-11-16 18:15:46.6805900"
            raise TraceError(self._file, line, COLUMNS[0], text, wanted) from None
        rest_s = float(f"0.{match[2] or 0}")
        if self._start is None:
            self._start, self._start_rest_s = moment, rest_s
        time_s = (moment - self._start).total_seconds() + (rest_s - self._start_rest_s)
        if time_s < self._last_s:
            wanted = "a time not before the row above"
            raise TraceError(self._file, line, COLUMNS[0], text, wanted)
        self._last_s = time_s
        return time_s


def _tokens(file: Path, line: int, column: str, text: str) -> int:
    tokens = int(text) if _WHOLE.fullmatch(text.strip()) else 0
    if not 1 <= tokens <= MOST_TOKENS:
        wanted = f"a whole number of tokens from 1 to {MOST_TOKENS:,}"
        raise TraceError(file, line, column, text, wanted)
    return tokens


def _short(text: str) -> str:
    """Enough to recognise a value by, on one line."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
