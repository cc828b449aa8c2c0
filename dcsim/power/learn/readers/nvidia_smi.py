"""`nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -lms 250`, in its variants.

With or without units, index, UUID, bus id and further columns; several GPUs follow each other at
nearly the same time. Without a header only what cannot be mistaken is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from dcsim.power.learn.readers.logs import Field, LogError, PowerLog, samples
from dcsim.power.learn.readers.text import Times, cells_of, filled, number
from dcsim.stamps import stamp

FIELDS: dict[str, Field] = {
    "power.draw.instant": "instant",
    "power.draw": "default",
    "power.draw.average": "average",
}
"""Columns of watts, best first: a momentary value hides nothing."""
NAMES = ("index", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "serial")
"""Columns that tell GPUs apart, best first."""
LAYOUT = "nvidia-smi CSV"


def is_nvidia_smi(head: list[str]) -> bool:
    """Whether the first lines of a file look like it."""
    if not head:
        return False
    if "power.draw" in head[0].lower():
        return True
    cells = [cell.strip() for cell in head[0].split(",")]
    timed = stamp(cells[0]) is not None and not _plain(cells[0])
    return timed and (any(cell.endswith(" W") for cell in cells[1:]) or len(cells) in (2, 3))


def read(path: Path) -> PowerLog:
    """Read one. Raises LogError."""
    rows = cells_of(path)
    if not rows:
        raise LogError(f"{path}: empty")
    times = Times(path)
    if stamp(rows[0][1][0]) is not None:
        field: Field = "default"
        at, watts, name = _without_header(rows[0][1], path)
        rows = [(0, [""] * len(rows[0][1])), *rows]
    else:
        header = [cell.lower().split(" [")[0] for cell in rows[0][1]]
        at, watts, name, field = _by_header(header, path)
    given = list(_rows(filled(path, rows), times, at, watts, name, path))
    at_s, gpus, table = samples(given, path, times.clock)
    return PowerLog(at_s, gpus, table, times.clock, LAYOUT, field)


def _rows(
    body: Iterator[tuple[int, list[str]]],
    times: Times,
    at: int,
    watts: int,
    name: int | None,
    path: Path,
) -> Iterator[tuple[float, str, float]]:
    before, place = math.nan, 0
    for line, row in body:
        at_s = times.read(row[at], line)
        value = number(row[watts])
        if value is None:
            raise LogError(f"{path}:{line}: expected watts such as 87.81 W, not {row[watts]!r}")
        if name is not None:
            yield at_s, row[name], value
            continue
        # No name: GPUs at one time are told apart by their place.
        place = place + 1 if at_s == before else 0
        before = at_s
        yield at_s, str(place), value


def _by_header(header: list[str], path: Path) -> tuple[int, int, int | None, Field]:
    field = next((name for name in FIELDS if name in header), None)
    missing = [name for name in ("timestamp",) if name not in header]
    missing += [] if field is not None else ["power.draw"]
    if field is None or missing:
        raise LogError(
            f"{path}: no column {' nor '.join(missing)} (query timestamp,index,power.draw); it has "
            + ", ".join(header)
        )
    names = [header.index(name) for name in NAMES if name in header]
    return (
        header.index("timestamp"),
        header.index(field),
        names[0] if names else None,
        FIELDS[field],
    )


def _without_header(first: list[str], path: Path) -> tuple[int, int, int | None]:
    """Columns of time, watts and index of a log made with `noheader`."""
    watts = [at for at, cell in enumerate(first) if cell.endswith(" W")]
    if not watts and len(first) in (2, 3):
        watts = [len(first) - 1]  # timestamp, power; or timestamp, index, power
    if not watts:
        raise LogError(
            f"{path}: has neither header nor units, so watts cannot be told; query without noheader"
        )
    # Several cells in watts: the draw comes before the limit in every query seen.
    index = [at for at, cell in enumerate(first[: watts[0]]) if at and cell.isdigit()]
    ids = [at for at, cell in enumerate(first) if cell.startswith("GPU-")]
    return 0, watts[0], next(iter(index + ids), None)


def _plain(cell: str) -> bool:
    """A bare number: too little to call a file a log of nvidia-smi."""
    return number(cell) is not None and ":" not in cell
