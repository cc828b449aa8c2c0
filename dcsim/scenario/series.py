"""Time series in CSV files that a scenario names, such as a weather record or a contract."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import SeriesError
from dcsim.files import open_text

DAY_S = 86_400.0


class Series(NamedTuple):
    """Values over time; times rise."""

    time_s: FloatArray
    value: FloatArray

    def straight(self, now_s: float) -> float:
        """In straight lines between the rows, the ends held."""
        return float(np.interp(now_s, self.time_s, self.value))

    def held(self, now_s: float) -> float:
        """The latest row's value; before the first row, the first's."""
        row = int(np.searchsorted(self.time_s, now_s, side="right")) - 1
        return float(self.value[max(row, 0)])

    def at_s(self, now_s: float, clock_s: float | None) -> float:
        """The file's time at a time of the run.

        `clock_s`: time of day at which the run starts; the file's times then count from that day's
        midnight, and a file of a day or less holds for each day. None: they count from the start
        of the run.
        """
        if clock_s is None:
            return now_s
        at_s = clock_s + now_s
        return at_s % DAY_S if self.time_s[-1] <= DAY_S else at_s


def read_series(path: str | Path, column: str) -> Series:
    """Read the columns `time_s` (seconds, rising; `Series.at_s` says from when) and `column`.

    Raises SeriesError.
    """
    times: list[float] = []
    values: list[float] = []
    try:
        with open_text(Path(path), newline="") as file:
            head = file.readline()
            mark = next((mark for mark in ",;\t" if mark in head), ",")
            rows = csv.DictReader(itertools.chain([head], file), delimiter=mark)
            there = [name.strip() for name in rows.fieldnames or ()]
            rows.fieldnames = there
            missing = {"time_s", column} - set(there)
            if missing:
                names = " and ".join(sorted(missing))
                columns = f"; it has {', '.join(there)[:80]}" if there else ", which is empty"
                raise SeriesError(f"{path}: no column {names} in its first line{columns}")
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                try:
                    time_s, value = (
                        float(row[name].replace(",", ".") if mark == ";" else row[name])
                        for name in ("time_s", column)
                    )
                except (AttributeError, TypeError, ValueError) as error:
                    raise SeriesError(f"{where}: expected two numbers") from error
                if not (math.isfinite(time_s) and math.isfinite(value)):
                    raise SeriesError(f"{where}: expected finite numbers")
                if times and time_s <= times[-1]:
                    raise SeriesError(f"{where}: times must rise")
                times.append(time_s)
                values.append(value)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise SeriesError(f"{path}: cannot be read ({cause})") from error
    if not times:
        raise SeriesError(f"{path}: no rows")
    return Series(np.array(times), np.array(values))
