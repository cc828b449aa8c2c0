"""Recorded requests, read row by row: one reader for all formats, which names what is wrong."""

from __future__ import annotations

import csv
import heapq
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dcsim.errors import DcsimError, TraceError, UnreadableError, excerpt
from dcsim.files import open_text
from dcsim.request_columns import recognised
from dcsim.stamps import Moments, TimeUnit

MAX_TOKENS = 10_000_000
"""More in one request is taken for damage: no served model has such a context."""

SORT_WITHIN_S = 600.0
"""By how much a time may lie before the latest above it, unless a scenario says otherwise: logs
that are written as requests end are out of order by as long as a request takes."""

_DECIMAL_COMMA = re.compile(r"([-+]?\d+),(\d+)", re.ASCII)
_WHOLE = re.compile(r"(\d{1,18})(?:\.0+)?", re.ASCII)


class TraceRow(NamedTuple):
    """One request of a trace."""

    time_s: float
    """On the trace's own clock."""
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    """Ids of the prompt's blocks, where the trace tells what prompts share."""


class RowError(DcsimError, ValueError):
    """What a parser raises: the column, its value, and what was expected."""

    def __init__(self, column: str, value: object, expected: str) -> None:
        super().__init__(column, value, expected)


class FormatError(DcsimError, ValueError):
    """What a parser raises where the whole file is of another kind."""


class Options(NamedTuple):
    """What a user may ask of some formats; see ReplayArrivals."""

    failed: str = "drop"
    only_model: str | None = None
    block_tokens: int | None = None
    time_unit: TimeUnit | None = None
    columns: tuple[tuple[str, str], ...] = ()
    """Role and column, of those that the user names."""
    sort_within_s: float = SORT_WITHIN_S
    timed: bool = True
    """False: only lengths are wanted, and the time is not read."""


DEFAULT_OPTIONS = Options()


class Parser(Protocol):
    """Makes requests of the values in a format's columns, row by row."""

    def row(self, values: Sequence[Any]) -> TraceRow | None:
        """None: a row that is right and is not wanted. Raises RowError."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """How a kind of trace is read."""

    columns: tuple[str, ...]
    """That it needs, the one with the time first; others are allowed and ignored."""
    lines: Callable[
        [Path, tuple[str, ...], tuple[str, ...]], Iterator[tuple[int, Sequence[Any]] | TraceError]
    ]
    """Line numbers and the values in those columns, then in the optional ones."""
    parser: Callable[[Options], Parser]
    optional: tuple[str, ...] = ()
    """Columns that a file may lack: their values are None then."""
    timed: bool = True
    """Whether the time can be left aside where only lengths are wanted; not so where a file is
    read as a whole, or has no times."""
    fitted: Callable[[Path, Options], Format | TraceError] | None = None
    """Finds the columns by the file's header, where the format does not fix them."""

    def resolve(self, file: Path, options: Options) -> Format | TraceError:
        """The format as this file is read."""
        return self if self.fitted is None else self.fitted(file, options)


@dataclass(slots=True)
class RowCounts:
    """What became of a trace's rows that are not played."""

    skipped: int = 0
    """Wrong, and left out on the user's word."""
    dropped: int = 0
    """Right, and not wanted: failed requests, other models'."""
    out_of_order: int = 0
    """Right, and played in order of time though the file has them later."""
    back_s: float = 0.0
    """By how much at most."""


def read(
    file: Path,
    form: Format,
    options: Options = DEFAULT_OPTIONS,
    *,
    tally: RowCounts | None = None,
    skip: bool = False,
) -> Iterator[TraceRow]:
    """The rows, lazily, in order of time, the first at 0 s. What is left out is counted in `tally`.

    Raises TraceError at the first row that is wrong (a missing column, a value that is no number
    in range, a time that goes too far back, text that is of another format) unless they are to be
    skipped, and for a file without requests; OSError when it cannot be opened.
    """
    tally = RowCounts() if tally is None else tally
    for row in rows(file, form, options, tally):
        if isinstance(row, TraceRow):
            yield row
        elif row is None:
            tally.dropped += 1
        elif skip and not row.whole:
            tally.skipped += 1
        else:
            raise row


def faults(file: Path, form: Format, options: Options = DEFAULT_OPTIONS) -> Iterator[TraceError]:
    """Everything that is wrong, read through to the end. Raises OSError."""
    return (row for row in rows(file, form, options) if isinstance(row, TraceError))


def rows(
    file: Path, form: Format, options: Options, tally: RowCounts | None = None
) -> Iterator[TraceRow | TraceError | None]:
    """Requests in order of time, errors, and None for rows that are not wanted, these two as the
    file has them; at the end an error where there was no request. Rows out of order are counted
    in `tally`."""
    try:
        yield from _rows(file, form, options, RowCounts() if tally is None else tally)
    except UnreadableError as error:
        yield TraceError(file, 0, "", "", f"text; {error.strerror}", whole=True)


def _rows(
    file: Path, form: Format, options: Options, tally: RowCounts
) -> Iterator[TraceRow | TraceError | None]:
    fitted = form.resolve(file, options)
    if isinstance(fitted, TraceError):
        yield fitted
        return
    form = fitted
    parser = form.parser(options)
    bare = form.timed and not options.timed
    needed = form.columns[1:] if bare else form.columns
    order = _Order(form.timed and options.timed, options.sort_within_s, tally)
    wrong = 0
    for line in form.lines(file, needed, form.optional):
        if isinstance(line, TraceError):
            yield line if line.names is None else _with_remedy(line, line.names)
            if line.whole:
                return
            wrong += 1
            continue
        number, values = line
        try:
            row = parser.row([0, *values] if bare else values)
            if row is None:
                yield None
                continue
            yield from order.after(row, form.columns[0], values[0])
        except RowError as error:
            wrong += 1
            yield TraceError(file, number, *error.args)
        except FormatError as error:
            yield TraceError(file, number, "", "", str(error), whole=True)
            return
    yield from order.rest()
    if not order.seen:
        expected = "at least one request" + (f"; all {wrong:,} rows are wrong" if wrong else "")
        yield TraceError(file, 0, "", "", expected, whole=True)


class _Order:
    """Puts rows in order of time, the first at 0 s: each waits until no later one may come before
    it, that is for `within_s` of the trace."""

    def __init__(self, timed: bool, within_s: float, tally: RowCounts) -> None:
        self._within_s = within_s if timed else 0.0
        self._tally = tally
        self._waiting: list[tuple[float, int, TraceRow]] = []
        self._latest_s = -float("inf")
        self._start_s: float | None = None
        self.seen = 0

    def after(self, row: TraceRow, column: str, value: object) -> Iterator[TraceRow]:
        """Take one in; the rows whose turn it is then. Raises RowError for one that comes too
        late."""
        back_s = self._latest_s - row.time_s
        if back_s > self._within_s:
            expected = (
                f"a time not more than {self._within_s:g} s (`sort_within`) before the latest "
                f"above; this is {back_s:.6g} s before"
            )
            raise RowError(column, value, expected)
        if back_s > 0:
            self._tally.out_of_order += 1
            self._tally.back_s = max(self._tally.back_s, back_s)
        self._latest_s = max(self._latest_s, row.time_s)
        heapq.heappush(self._waiting, (row.time_s, self.seen, row))
        self.seen += 1
        yield from self._until(self._latest_s - self._within_s)

    def rest(self) -> Iterator[TraceRow]:
        """Those that wait still."""
        yield from self._until(self._latest_s)

    def _until(self, time_s: float) -> Iterator[TraceRow]:
        waiting = self._waiting
        while waiting and waiting[0][0] <= time_s:
            at_s, _, row = heapq.heappop(waiting)
            if self._start_s is None:
                self._start_s = at_s
            yield TraceRow(at_s - self._start_s, row.prompt_tokens, row.output_tokens, row.blocks)


def _with_remedy(error: TraceError, names: list[str]) -> TraceError:
    """The error with a word on which format would fit, where a header does not."""
    from dcsim.workload.hints import remedy

    hint = remedy(error.file, names)
    return TraceError(error.file, error.line, "", "", f"{error.expected}; {hint}", whole=True)


# --- lines of text ---------------------------------------------------------------------------


def csv_lines(
    file: Path, columns: tuple[str, ...], optional: tuple[str, ...] = (), header: bool = True
) -> Iterator[tuple[int, Sequence[Any]] | TraceError]:
    """A header, then rows of values between commas (or semicolons, or tabs, where the header has
    them); or the rows alone, which then have just these columns."""
    # Bytes that are no UTF-8 become a mark that fits no number: the row is named like any other.
    with open_text(file, newline="", errors="replace") as text:
        start = text.readline()
        if header and start.lstrip().startswith("{"):
            wrong = TraceError(file, 1, "", "", "a header of columns, found JSON", whole=True)
            wrong.names = list(_object(start) or ())
            yield wrong
            return
        between = delimiter(start) if header else ","
        reader = csv.reader(itertools.chain([start] if start else [], text), delimiter=between)
        split = _split(file, reader)
        first = next(split, []) if header else list(columns)
        if isinstance(first, TraceError):
            first.whole = True
            yield first
            return
        names = [name.strip() for name in first]
        if any(column not in names for column in columns):
            present = ", ".join(names) if names else "an empty file"
            expected = f"a header with the columns {', '.join(columns)}, found {excerpt(present)}"
            wrong = TraceError(file, 1, "", "", expected, whole=True)
            wrong.names = names or None
            yield wrong
            return
        places = [names.index(column) for column in columns]
        places += [names.index(column) if column in names else -1 for column in optional]
        width = len(names)
        times = [at for at, name in enumerate(columns) if "time" in recognised([name])]
        for row in split:
            if isinstance(row, TraceError):
                yield row
            elif len(row) == width:
                values = [row[place] if place >= 0 else None for place in places]
                if between == ";":  # as spreadsheets save numbers where the comma is decimal
                    values = [_with_point(value, at in times) for at, value in enumerate(values)]
                yield reader.line_num, values
            elif row:
                # More columns than names: a thousand written as 1,000 shifts all that follow.
                expected = f"{width} columns, found {len(row)}"
                yield TraceError(file, reader.line_num, "", "", expected)


def _with_point(value: str | None, time: bool) -> str | None:
    """A number with a decimal comma as one with a point. 1,000 tokens may be a thousand or one, and
    are left alone."""
    match = None if value is None else _DECIMAL_COMMA.fullmatch(value.strip())
    if match is None or (len(match[2]) == 3 and not time):
        return value
    return f"{match[1]}.{match[2]}"


def delimiter(header: str) -> str:
    """What stands between the names of a header."""
    return next((mark for mark in ",;\t" if mark in header), ",")


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


JSON_LINES = "a JSON object on each line"
JSON_LIST = f"{JSON_LINES}, found one JSON list: jq -c '.[]' writes its objects line by line"


def json_lines(
    file: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, Sequence[Any]] | TraceError]:
    """A JSON object a line. A first object without the keys tells that the file is of another
    kind."""
    any_yet = False
    with open_text(file, errors="replace") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            keys = _object(line)
            if keys is None:
                listed = not any_yet and re.match(r"\s*\[\s*(\{|$)", line) is not None
                wrong = TraceError(
                    file, number, "", "", JSON_LIST if listed else JSON_LINES, listed
                )
                if not any_yet and not listed and not line.lstrip().startswith("{"):
                    wrong.whole = True
                    wrong.names = [name.strip() for name in line.split(delimiter(line))]
                yield wrong
                if wrong.whole:
                    return
                continue
            missing = [column for column in columns if column not in keys]
            if missing:
                expected = f"the keys {', '.join(columns)}; {', '.join(missing)} missing"
                wrong = TraceError(file, number, "", "", expected, whole=not any_yet)
                wrong.names = None if any_yet else list(keys)
                yield wrong
                if wrong.whole:
                    return
                continue
            any_yet = True
            yield number, [keys.get(column) for column in (*columns, *optional)]


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object in a line; None for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# --- values ----------------------------------------------------------------------------------


def whole(value: Any) -> int | None:
    """A whole number, 0 or more, from text or JSON (also as `374.0`, which data frames write);
    None for anything else."""
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value.strip())
        return int(match[1]) if match else None
    if isinstance(value, float) and value.is_integer() and value < 1e18:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def tokens(column: str, value: Any, least: int = 1) -> int:
    """A number of tokens. Raises RowError."""
    count = whole(value)
    if count is None or not least <= count <= MAX_TOKENS:
        raise RowError(column, value, f"a whole number of tokens from {least} to {MAX_TOKENS:,}")
    return count


def seconds(column: str, value: Any) -> float:
    """A finite number of seconds. Raises RowError."""
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < 1e15:
        raise RowError(column, value, "a number of seconds")
    return number


def moment(moments: Moments, column: str, value: Any) -> float:
    """Seconds since the trace's first row. Raises RowError."""
    try:
        return moments.seconds(value)
    except ValueError as error:
        raise RowError(column, value, str(error)) from None
