"""Lines and cells of log files, with line numbers for what must be said of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from dcsim.errors import LogError
from dcsim.files import read_text
from dcsim.request_columns import recognised
from dcsim.stamps import Clock, stamp

SILENT = (
    *("n/a", "na", "#n/a", "<na>", "-", "--", "", "nan", "null", "none", "nil", "<nil>"),
    *("not supported", "unknown error", "not available", "unavailable", "unknown"),
    *("err!", "err", "error", "?", "gpu is lost", "gpu requires reset"),
    *("insufficient permissions", "requested functionality has been deprecated"),
)
"""What meters and clients write for no value, without brackets: what nvidia-smi puts in brackets
(`[GPU is lost]`) is never one."""
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_QUANTITY = re.compile(r"([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf)\s*(\S.*)?")
WATTS = {"uw": 1e-6, "µw": 1e-6, "mw": 1e-3, "w": 1.0, "kw": 1e3}
"""By unit, in small letters: nobody's GPU draws megawatts."""
TIME_COLUMNS = ("timestamp", "time", "epoch", "t", "ts", "datetime", "date", "time_s", "epoch_s")


def text_of(path: Path) -> str:
    """What it says, unpacked. Raises LogError for a file that is missing or no text."""
    if not path.is_file():
        raise LogError(f"{path}: no such file")
    try:
        return read_text(path)
    except UnicodeDecodeError as error:
        raise LogError(f"{path}: not text ({error})") from error
    except OSError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror or error}") from error


def lines_of(path: Path) -> list[str]:
    """All lines, tables with commas (see `with_commas`). Raises LogError for a file that is missing
    or no text."""
    return with_commas(text_of(path).splitlines())


def with_commas(lines: list[str]) -> list[str]:
    """Lines of a table whose columns are divided by semicolons or tabs, as spreadsheets save them,
    divided by commas, and numbers with a decimal point; other lines as they are."""
    head = next((line for line in lines if line.strip()), "")
    mark = next((mark for mark in ";\t" if mark in head), None)
    if mark is None or "," in head:
        return lines
    names = [cell.strip().strip('"').lower() for cell in head.split(mark)]
    if not (set(names) & set(TIME_COLUMNS) or "time" in recognised(names)):
        return lines
    return [_DECIMAL_COMMA.sub(".", line).replace(mark, ",") for line in lines]


def cells_of(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and cells of a CSV file's rows, empty lines left out. Raises LogError."""
    try:
        rows = csv.reader(lines_of(path), skipinitialspace=True)
        return [(at, [cell.strip() for cell in row]) for at, row in enumerate(rows, 1) if any(row)]
    except csv.Error as error:
        raise LogError(f"{path}: not CSV ({error})") from error


def number(cell: str) -> float | None:
    """The number in a cell, its unit left aside (`87.81 W`, `12 %`); NaN where the meter was
    silent, None for what is no number."""
    quantity = _quantity(cell)
    if quantity is not None:
        return quantity[0]
    return float("nan") if _is_silent(cell) else None


def watts(cell: str) -> float | None:
    """The watts in a cell, by its unit where it has one (`87810 mW`); NaN where the meter was
    silent, None for what is no number of watts."""
    quantity = _quantity(cell)
    if quantity is None:
        return float("nan") if _is_silent(cell) else None
    value, unit = quantity
    return value * WATTS[unit] if unit in WATTS else None


def _quantity(cell: str) -> tuple[float, str] | None:
    """A cell's number and its unit in small letters, "w" where it has none."""
    match = _QUANTITY.fullmatch(cell.strip().strip("[]").strip().lower())
    return None if match is None else (float(match[1]), (match[2] or "w").strip())


def _is_silent(cell: str) -> bool:
    text = cell.strip().removesuffix(" W").rstrip()
    bracketed = text.startswith("[") and text.endswith("]")
    return bracketed or text.strip("[]").strip().lower() in SILENT


class Times:
    """Reads the times of one file, all on the same clock. `clock` is known after the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock: Clock = "unix"
        self._any = False

    def read(self, text: str, line: int) -> float:
        """Seconds. Raises LogError for no time, or for one on another clock than before."""
        moment = stamp(text)
        if moment is None:
            raise LogError(
                f"{self._path}:{line}: expected a time such as 2026/07/20 12:40:24.937, not "
                f"{text!r}"
            )
        at_s, clock = moment
        if self._any and clock != self.clock:
            raise LogError(
                f"{self._path}:{line}: {text!r} is a {clock} time, those before it {self.clock}"
            )
        self.clock, self._any = clock, True
        return at_s


def time_column(header: list[str]) -> int | None:
    """Which column holds the time, by its name."""
    for at, name in enumerate(header):
        if name.strip().lower() in TIME_COLUMNS:
            return at
    return None


def filled(
    path: Path, rows: list[tuple[int, list[str]]], remarks: list[str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header, each as long as it; repeated headers are left out (logs that
    were appended to). A last row cut short is left out, too. Words that the tool printed among
    them go to `remarks`, where that is given. Raises LogError."""
    header = rows[0][1]
    for at, (line, row) in enumerate(rows[1:], 1):
        if row == header:
            continue
        if (
            remarks is not None
            and len(row) < len(header)
            and " " in row[0]
            and not row[0][0].isdigit()
        ):
            remarks.append(f"line {line} says: {', '.join(row)[:100]}")
            continue
        if len(row) != len(header):
            if at == len(rows) - 1 and len(row) < len(header):
                return
            raise LogError(f"{path}:{line}: expected {len(header)} values, found {len(row)}")
        yield line, row
