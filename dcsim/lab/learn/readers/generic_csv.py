"""power.csv of a run folder: `t`, a local time of day (or another), and watts in `gpu0`, ..."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import PowerLog, in_time_order, rising
from dcsim.lab.learn.readers.text import Times, cells_of, filled, time_column, watts

LAYOUT = "power.csv"


def is_generic_csv(head: list[str]) -> bool:
    """Whether the first lines of a file look like it."""
    cells = [cell.strip().lower() for cell in head[0].split(",")] if head else []
    timed = time_column(cells) is not None
    return timed and any(_gpu(cell) for cell in cells)


def read(path: Path) -> PowerLog:
    """Read one. Raises LogError."""
    rows = cells_of(path)
    header = rows[0][1] if rows else []
    gpus = [at for at, name in enumerate(header) if _gpu(name.lower())]
    when = time_column(header)
    if when is None or not gpus:
        raise LogError(f"{path}: needs columns t and gpu0, not {', '.join(header)}")
    times = Times(path)
    given: list[tuple[float, list[float | None]]] = []
    for line, row in filled(path, rows):
        values = [watts(row[at]) for at in gpus]
        if None in values:
            cell = row[gpus[values.index(None)]]
            raise LogError(f"{path}:{line}: expected a number, not {cell!r}")
        given.append((times.read(row[when], line), values))
    if len(given) < 2:
        raise LogError(f"{path}: fewer than two samples of power")
    names = tuple(_gpu(header[at].lower()) or header[at] for at in gpus)
    remarks: list[str] = []
    at_s, table = zip(*in_time_order(given, remarks), strict=True)
    return PowerLog(
        rising(np.array(at_s), path, times.clock),
        names,
        np.array(table, dtype=np.float64),
        times.clock,
        LAYOUT,
        remarks=tuple(remarks),
    )


def _gpu(name: str) -> str | None:
    """The index in a column's name such as `gpu0`, `gpu_0_w`; None for other columns."""
    rest = name.removeprefix("gpu").strip("_").removesuffix("_w")
    return rest if name.startswith("gpu") and rest.isdigit() else None
