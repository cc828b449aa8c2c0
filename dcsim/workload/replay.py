"""Recorded requests: the CSV format of the Azure LLM inference traces of 2023."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from dcsim.scenario.models import ReplayArrivals
from dcsim.workload.stream import BLOCK_REQUESTS, RequestBlock, RequestStream

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
JITTER_S = 0.5
"""Repeats of a request are spread over this half-width, so that scaled traffic keeps its rhythm
without arriving in lockstep."""

Row = tuple[float, int, int]


class TraceError(ValueError):
    """A trace that cannot be replayed: file, line, column, value and what was expected."""

    def __init__(self, file: Path, line: int, column: str, value: str, expected: str) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.value = value
        self.expected = expected
        at = f"{file}, line {line}" if line else str(file)
        what = f"column {column}: {value!r}, " if column else ""
        super().__init__(f"{at}: {what}expected {expected}")


def replay(
    spec: ReplayArrivals, stream: int, horizon_s: float, rng: np.random.Generator
) -> RequestStream:
    """The trace's requests before `horizon_s`, the first at 0 s, read as they are needed.

    Each request appears `rate_scale` times: its whole part always, its fraction by chance. The
    first appearance keeps its instant, further ones are moved by up to JITTER_S. Raises
    TraceError at the first row that cannot be read.
    """
    late: list[Row] = []  # moved past what has been handed on
    for rows in _batches(read_azure(spec.file), BLOCK_REQUESTS):
        times_s, prompts, outputs = (np.array(column) for column in zip(*rows, strict=True))
        last_s = times_s[-1]
        if spec.rate_scale != 1.0:
            whole = int(spec.rate_scale)
            copies = whole + (rng.random(len(rows)) < spec.rate_scale - whole)
            at = np.repeat(np.arange(len(rows)), copies)
            first = np.ones(len(at), dtype=bool)
            first[1:] = at[1:] != at[:-1]
            moved_s = rng.uniform(-JITTER_S, JITTER_S, len(at))
            times_s = np.maximum(times_s[at] + np.where(first, 0.0, moved_s), 0.0)
            prompts, outputs = prompts[at], outputs[at]
        if late:
            times_s = np.concatenate([[row[0] for row in late], times_s])
            prompts = np.concatenate([[row[1] for row in late], prompts])
            outputs = np.concatenate([[row[2] for row in late], outputs])
        order = np.argsort(times_s, kind="stable")
        times_s, prompts, outputs = times_s[order], prompts[order], outputs[order]
        # The next batch may still bring requests from JITTER_S before its first row.
        edge_s = last_s - JITTER_S if spec.rate_scale > 1.0 else np.inf
        ready = int(np.searchsorted(times_s, min(edge_s, horizon_s)))
        late = list(
            zip(
                times_s[ready:].tolist(),
                prompts[ready:].tolist(),
                outputs[ready:].tolist(),
                strict=True,
            )
        )
        yield _block(times_s[:ready], prompts[:ready], outputs[:ready], stream)
        if edge_s >= horizon_s and last_s - JITTER_S >= horizon_s:
            return
    rest = [row for row in late if row[0] < horizon_s]
    if rest:
        moments, prompt_list, output_list = zip(*rest, strict=True)
        yield _block(np.array(moments), np.array(prompt_list), np.array(output_list), stream)


def read_azure(file: Path) -> Iterator[Row]:
    """(seconds since the first row, prompt tokens, output tokens), row by row.

    Raises TraceError for a missing column, a value that is no positive number, a time that goes
    back, or a file without rows; OSError when it cannot be opened.
    """
    with file.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.reader(text)
        header = next(reader, [])
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            raise TraceError(file, 1, "", "", f"a header with the columns {', '.join(COLUMNS)}")
        places = [header.index(column) for column in COLUMNS]
        start: datetime | None = None
        start_rest = 0.0
        last_s = 0.0
        for row in reader:
            line = reader.line_num
            if not row:
                continue
            if len(row) <= max(places):
                raise TraceError(file, line, "", "", f"{len(header)} columns, found {len(row)}")
            stamp, prompt, output = (row[place] for place in places)
            moment, rest_s = _moment(file, line, stamp)
            if start is None:
                start, start_rest = moment, rest_s
            time_s = (moment - start).total_seconds() + (rest_s - start_rest)
            if time_s < last_s - 1e-9:
                raise TraceError(file, line, COLUMNS[0], stamp, "a time not before the row above")
            last_s = max(time_s, last_s)
            yield (
                last_s,
                _tokens(file, line, COLUMNS[1], prompt),
                _tokens(file, line, COLUMNS[2], output),
            )
        if start is None:
            raise TraceError(file, 0, "", "", "at least one request")


def _moment(file: Path, line: int, text: str) -> tuple[datetime, float]:
    """Whole seconds and the rest: the traces carry seven decimals, datetime only six."""
    whole, _, decimals = text.strip().partition(".")
    try:
        return datetime.fromisoformat(whole), float(f"0.{decimals or 0}")
    except ValueError:
        raise TraceError(
            file, line, COLUMNS[0], text, "a time such as 2023-11-16 18:15:46.6805900"
        ) from None


def _tokens(file: Path, line: int, column: str, text: str) -> int:
    try:
        tokens = int(text)
    except ValueError:
        tokens = 0
    if tokens < 1:
        raise TraceError(file, line, column, text, "a whole number of tokens, 1 or more")
    return tokens


def _batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _block(
    times_s: np.ndarray, prompts: np.ndarray, outputs: np.ndarray, stream: int
) -> RequestBlock:
    return RequestBlock(
        times_s.astype(np.float64),
        prompts.astype(np.int64),
        outputs.astype(np.int64),
        np.full(len(times_s), stream, dtype=np.int64),
    )
