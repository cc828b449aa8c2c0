"""Lines and cells of log files, with line numbers for what must be said of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from dcsim.power.learn.readers.logs import LogError
from dcsim.stamps import Clock, stamp

SILENT = (
    *("n/a", "-", "", "nan", "null", "none"),
    *("not supported", "unknown error", "not available"),
)
"""What meters and clients write for no value."""
TIME_COLUMNS = ("timestamp", "time", "epoch", "t", "ts", "datetime", "date", "time_s", "epoch_s")


def encoding_of(start: bytes) -> str:
    """Of a text that begins so: Windows consoles redirect to UTF-16."""
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def text_of(path: Path) -> str:
    """What it says. Raises LogError for a file that is missing or no text."""
    if not path.is_file():
        raise LogError(f"{path}: no such file")
    raw = path.read_bytes()
    try:
        return raw.decode(encoding_of(raw))
    except UnicodeDecodeError as error:
        raise LogError(f"{path}: not text ({error})") from error


def lines_of(path: Path) -> list[str]:
    """All lines. Raises LogError for a file that is missing or no text."""
    return text_of(path).splitlines()


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
    text = cell.strip().strip("[]").lower()
    if text in SILENT:
        return float("nan")
    try:
        return float(text.split()[0])
    except (ValueError, IndexError):
        return None


class Times:
    """Reads the times of one file, all on the same clock. `clock` is known after the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock: Clock = "unix"
        self._any = False

    def read(self, text: str, line: int) -> float:
        """Seconds. Raises LogError for no time, or for one on another clock than before."""
        found = stamp(text)
        if found is None:
            raise LogError(
                f"{self._path}:{line}: expected a time such as 2026/07/20 12:40:24.937, not "
                f"{text!r}"
            )
        at_s, clock = found
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


def filled(path: Path, rows: list[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header, each as long as it; repeated headers are left out (logs that
    were appended to). A last row cut short is left out, too. Raises LogError."""
    header = rows[0][1]
    for at, (line, row) in enumerate(rows[1:], 1):
        if row == header:
            continue
        if len(row) != len(header):
            if at == len(rows) - 1 and len(row) < len(header):
                return
            raise LogError(f"{path}:{line}: expected {len(header)} values, found {len(row)}")
        yield line, row
