"""Logs of requests in the columns that somebody gave them: CSV, JSON lines, Parquet.

Columns are those that the scenario names; others are known by the names that serving tools use
(`dcsim.request_columns`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dcsim.errors import TraceError, excerpt
from dcsim.files import open_text
from dcsim.request_columns import KNOWN, ROLES, Role, recognised, unit_in
from dcsim.stamps import Moments
from dcsim.workload.traces import (
    JSON_LINES,
    JSON_LIST,
    Format,
    Options,
    TraceRow,
    csv_lines,
    delimiter,
    json_lines,
    moment,
    tokens,
)

PARQUET_ROWS = 65_536
"""Read at once."""
NO_ANSWER = ("", "nan", "null", "none", "n/a", "na", "-")
"""What stands for a request without an answer, beside 0."""


class OwnLog:
    """One request a row, by the columns found for each role. Without output it failed."""

    def __init__(self, columns: dict[Role, str], options: Options) -> None:
        self._columns = columns
        unit = options.time_unit or unit_in(columns.get("time", ""))
        self._moments = Moments(unit)
        self._keep = options.failed == "keep"
        self._model = options.only_model

    def row(self, values: Sequence[Any]) -> TraceRow | None:
        time, prompt, output, *model = values
        if self._model is not None and str(model[0]).strip() != self._model:
            return None
        if output is None or str(output).strip().lower() in NO_ANSWER:
            output = 0
        generated = tokens(self._columns["output"], output, least=0)
        if generated == 0 and not self._keep:
            return None
        time_s = moment(self._moments, self._columns.get("time", ""), time)
        return TraceRow(time_s, tokens(self._columns["prompt"], prompt), max(generated, 1))


def _fitted(
    file: Path, options: Options, names: list[str], lines: Any, what: str
) -> Format | TraceError:
    """The format of a file that has these columns."""
    given: dict[Role, str] = {role: name for role, name in _given(options).items()}
    absent = [f"{role}: {name}" for role, name in given.items() if name not in names]
    if absent:
        expected = f"the {what} {', '.join(absent)} of `columns`, found {excerpt(', '.join(names))}"
        return TraceError(file, 1, "", "", expected, whole=True)
    by_role = recognised(names, given)
    needed = [role for role in ROLES if role != "time" or options.timed]
    needed += ["model"] if options.only_model is not None else []
    missing = [role for role in needed if role not in by_role]
    if missing:
        example = ", ".join(f"{role}: ..." for role in missing)
        expected = (
            f"a {what} for {' and '.join(missing)}, found "
            f"{excerpt(', '.join(names))}; name it: `columns: {{{example}}}`"
        )
        if missing == ["time"]:
            expected += ", or take its lengths alone: `tokens: {kind: empirical, file: ...}`"
        return TraceError(file, 1, "", "", expected, whole=True)
    columns = [by_role.get("time", ""), by_role["prompt"], by_role["output"]]
    columns += [by_role["model"]] if options.only_model is not None else []
    return Format(tuple(columns), lines, lambda opts: OwnLog(by_role, opts))


def _given(options: Options) -> dict[Role, str]:
    return {role: dict(options.columns)[role] for role in KNOWN if role in dict(options.columns)}


def _csv(file: Path, options: Options) -> Format | TraceError:
    with open_text(file, errors="replace") as text:
        first = text.readline().strip()
    if first.startswith("{"):
        expected = "a header of columns, found JSON: set `format: jsonl`"
        return TraceError(file, 1, "", "", expected, whole=True)
    if not first:
        return TraceError(file, 1, "", "", "a header of columns, found an empty line", whole=True)
    names = [name.strip().strip('"') for name in first.split(delimiter(first))]
    return _fitted(file, options, names, csv_lines, "column")


def _jsonl(file: Path, options: Options) -> Format | TraceError:
    with open_text(file, errors="replace") as text:
        first = next((line for line in text if line.strip()), "")
    try:
        keys = json.loads(first)
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, dict):
        expected = JSON_LIST if first.lstrip().startswith("[") else JSON_LINES
        if expected == JSON_LINES and "," in first and "{" not in first:
            expected += ", found a table: set `format: csv`"
        return TraceError(file, 1, "", "", expected, whole=True)
    return _fitted(file, options, list(keys), json_lines, "key")


def _parquet(file: Path, options: Options) -> Format | TraceError:
    opened = _open_parquet(file)
    if isinstance(opened, TraceError):
        return opened
    return _fitted(file, options, list(opened.schema_arrow.names), parquet_lines, "column")


def _open_parquet(file: Path) -> Any:
    """pyarrow's reader of the file, or why there is none. Raises OSError."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        expected = "pyarrow to be installed, to read Parquet: pip install 'dcsim[export]'"
        return TraceError(file, 0, "", "", expected, whole=True)
    with file.open("rb"):  # the system's own word, where it cannot be opened
        pass
    try:
        return ParquetFile(file)
    except (ArrowException, OSError) as error:
        expected = f"a Parquet file ({str(error).splitlines()[0]})"
        return TraceError(file, 0, "", "", expected, whole=True)


def parquet_lines(
    file: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, Sequence[Any]] | TraceError]:
    """Rows of a Parquet file, counted from 1; its own times become text."""
    opened = _open_parquet(file)
    if isinstance(opened, TraceError):
        yield opened
        return
    number = 0
    for batch in opened.iter_batches(PARQUET_ROWS, columns=list(dict.fromkeys(columns))):
        table = {name: batch.column(name).to_pylist() for name in dict.fromkeys(columns)}
        for values in zip(*(table[name] for name in columns), strict=True):
            number += 1
            yield number, [_text(value) for value in values]


def _text(value: Any) -> Any:
    """A date and time as it is written; anything else as it is."""
    return value.isoformat() if hasattr(value, "isoformat") else value


FORMATS = {
    "csv": Format((), csv_lines, lambda options: OwnLog({}, options), fitted=_csv),
    "jsonl": Format((), json_lines, lambda options: OwnLog({}, options), fitted=_jsonl),
    "parquet": Format((), parquet_lines, lambda options: OwnLog({}, options), fitted=_parquet),
}
"""By the name in a scenario; their columns are those of the file."""
