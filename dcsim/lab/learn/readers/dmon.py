"""Text tables of `dcgmi dmon -e 155` and `nvidia-smi dmon -s p -o DT`.

dcgmi writes no times. A log made with `| ts '%Y-%m-%d %H:%M:%.S'` has them before each row; one
without gets them from its interval (`-d`, in ms), on a clock that begins at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import (
    Field,
    PowerLog,
    in_time_order,
    samples,
)
from dcsim.lab.learn.readers.text import Times, lines_of, watts
from dcsim.stamps import Clock

POWER: dict[str, Field] = {
    "POWINST": "instant",
    "PWRINST": "instant",
    "POWER": "default",
    "PWR": "default",
    "POWER_USAGE": "default",
}
"""Titles of the columns of watts, best first (DCGM fields 157 and 155; nvidia-smi's `pwr`)."""
LAYOUTS = ("dcgmi dmon", "nvidia-smi dmon")


def is_dmon(head: list[str]) -> bool:
    """Whether the first lines of a file look like one."""
    return any(_titles(line) is not None for line in head[:8])


def read(path: Path, interval_s: float | None = None) -> PowerLog:
    """Read one; `interval_s` is needed where no times were written. Raises LogError."""
    lines = lines_of(path)
    titles: list[str] = []
    for line in lines[:8]:
        titles = titles or _titles(line) or []
    power = next((name for name in POWER if name in titles), None)
    if power is None:
        raise LogError(
            f"{path}: no column of watts ({', '.join(POWER)}): run dcgmi dmon -e 155, or "
            "nvidia-smi dmon -s p -o DT"
        )
    times = Times(path)
    dcgm = "ENTITY" in titles
    rows = (
        _dcgmi(lines, titles, power, times, path)
        if dcgm
        else _smi(lines, titles, power, times, path)
    )
    given = list(rows)
    timed = not np.isnan([at for at, _, _ in given]).any() and bool(given)
    clock: Clock = times.clock
    remarks: list[str] = []
    if timed:
        given = in_time_order(given, remarks)
    else:
        given = [(0.0, name, watts) for _, name, watts in given]
    at_s, gpus, table = samples(given, path, clock)
    if not timed:
        if interval_s is None:
            raise LogError(
                f"{path}: has no times: log it through `ts`, or state its interval "
                "(power_interval_s in manifest.json's clock)"
            )
        at_s, clock = np.arange(len(table)) * np.float64(interval_s), "relative"
    layout = LAYOUTS[0 if dcgm else 1]
    return PowerLog(at_s, gpus, table, clock, layout, POWER[power], tuple(remarks))


def _titles(line: str) -> list[str] | None:
    """The column titles, where a line is the table's head."""
    _, mark, text = line.partition("#")
    words = [word.upper() for word in text.split()]
    if not mark or not words:
        return None
    if words[0] == "ENTITY" or ("GPU" in words[:3] and any(w in POWER for w in words)):
        return words
    return None


def _dcgmi(
    lines: list[str], titles: list[str], power: str, times: Times, path: Path
) -> Iterator[tuple[float, str, float]]:
    """Rows `GPU 0  87.1 ...`, perhaps after a time."""
    column = titles.index(power)
    for at, line in enumerate(lines, 1):
        words = line.split()
        if "#" in line or "GPU" not in words:
            continue
        start = words.index("GPU")
        values = words[start + 2 :]
        if len(values) < column:
            if at == len(lines):
                return  # cut short
            raise LogError(f"{path}:{at}: expected {len(titles) - 1} values after GPU {words[-1]}")
        at_s = times.read(" ".join(words[:start]), at) if start else float("nan")
        yield at_s, words[start + 1], _watts(values[column - 1], path, at)


def _smi(
    lines: list[str], titles: list[str], power: str, times: Times, path: Path
) -> Iterator[tuple[float, str, float]]:
    """Rows of plain columns; date and time stand first where asked for."""
    stamps = [at for at, title in enumerate(titles) if title in ("DATE", "TIME")]
    for at, line in enumerate(lines, 1):
        words = line.split()
        if not words or "#" in line:
            continue
        if len(words) != len(titles):
            if at == len(lines):
                return
            raise LogError(f"{path}:{at}: expected {len(titles)} values, found {len(words)}")
        at_s = times.read(" ".join(words[i] for i in stamps), at) if stamps else float("nan")
        yield at_s, words[titles.index("GPU")], _watts(words[titles.index(power)], path, at)


def _watts(cell: str, path: Path, line: int) -> float:
    value = watts(cell)
    if value is None:
        raise LogError(f"{path}:{line}: expected watts, not {cell!r}")
    return value
