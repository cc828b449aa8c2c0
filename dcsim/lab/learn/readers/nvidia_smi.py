"""`nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -lms 250`, in its variants.

With or without units, index, UUID, bus id and further columns; several GPUs follow each other at
nearly the same time. Without a header only what cannot be mistaken is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import (
    Field,
    PowerLog,
    in_time_order,
    loops_of,
    samples,
)
from dcsim.lab.learn.readers.text import Times, cells_of, filled, number, watts
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
Body = list[tuple[int, list[str]]]


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
    remarks: list[str] = []
    if stamp(rows[0][1][0]) is not None:
        body = list(filled(path, [(0, [""] * len(rows[0][1])), *rows], remarks))
        field: Field = "default"
        at, power, names = _without_header(body, path)
        unit = ""
    else:
        body = list(filled(path, rows, remarks))
        at, power, names, field = _by_header(rows[0][1], body, path)
        unit = rows[0][1][power].partition("[")[2].strip(" ]")
    times = Times(path)
    given = []
    gpus = _gpus(body, names)
    for (line, row), gpu in zip(body, gpus, strict=True):
        at_s = times.read(row[at], line)
        cell = row[power]
        value = watts(f"{cell} {unit}" if unit and cell[-1:].isdigit() else cell)
        if value is None:
            raise LogError(f"{path}:{line}: expected watts such as 87.81 W, not {cell!r}")
        given.append((at_s, gpu, value))
    given = in_time_order(given, remarks) if names else _by_place(given, path, remarks)
    sampled_s, named, table = samples(given, path, times.clock)
    return PowerLog(sampled_s, named, table, times.clock, LAYOUT, field, tuple(remarks))


def _gpus(body: Body, names: Sequence[int]) -> list[str]:
    """The GPU of each row, told apart by every column that names it; called by the first of those
    in which all differ."""
    keys = [tuple(row[at] for at in names) for _, row in body]
    distinct = dict.fromkeys(keys)
    for place in range(len(names)):
        if len({key[place] for key in distinct}) == len(distinct):
            return [key[place] for key in keys]
    return [" ".join(key) for key in keys]


def _by_place(
    given: list[tuple[float, str, float]], path: Path, remarks: list[str]
) -> list[tuple[float, str, float]]:
    """Rows without a name: the GPUs of one loop of the tool are told apart by their place in it.

    Raises LogError where loops have different numbers of rows.
    """
    at_s = np.array([at for at, _, _ in given])
    if not len(at_s) or (np.diff(at_s) < 0).any():
        # Out of order no row has a place in a loop: one GPU's can be sorted, others not told apart.
        sorted_s = np.sort(at_s)
        if len(loops_of(sorted_s)) == len(sorted_s):
            given = in_time_order(given, remarks)
        return [(at, "0", value) for at, _, value in given]
    firsts = loops_of(at_s)
    sizes = np.diff([*firsts, len(at_s)])
    many = round(float(np.median(sizes)))
    if many == 1 and np.mean(sizes == 1) >= 0.95:  # one GPU, and a tool that stumbles now and then
        return [(at, "0", value) for at, _, value in given]
    if (sizes[:-1] != many).any() or sizes[-1] > many:
        raise LogError(
            f"{path}: names no GPU, and its rows come in groups of {sizes.min()} to {sizes.max()}: "
            "GPUs cannot be told apart; query timestamp,index,power.draw"
        )
    return [(at, str(n % many), value) for n, (at, _, value) in enumerate(given)]


def _by_header(header: list[str], body: Body, path: Path) -> tuple[int, int, list[int], Field]:
    """Columns of time, watts and names."""
    plain = [cell.lower().split(" [")[0] for cell in header]
    fields = [name for name in FIELDS if name in plain]
    missing = [name for name in ("timestamp",) if name not in plain]
    missing += [] if fields else ["power.draw"]
    if missing:
        raise LogError(
            f"{path}: no column {' nor '.join(missing)} (query timestamp,index,power.draw); it has "
            + ", ".join(plain)
        )
    # A field that the driver does not know is [N/A] in every row.
    full = [name for name in fields if any(_has_value(row[plain.index(name)]) for _, row in body)]
    field = [*full, *fields][0]
    names = [plain.index(name) for name in NAMES if name in plain]
    return plain.index("timestamp"), plain.index(field), names, FIELDS[field]


def _without_header(body: Body, path: Path) -> tuple[int, int, list[int]]:
    """Columns of time, watts and names of a log made with `noheader`."""
    if not body:
        raise LogError(f"{path}: fewer than two samples of power")
    first = body[0][1]
    columns = range(len(first))
    units = [at for at in columns if any(row[at].endswith((" W", " mW")) for _, row in body)]
    if not units and len(first) in (2, 3):
        units = [len(first) - 1]  # timestamp, power; or timestamp, index, power
    if not units:
        raise LogError(
            f"{path}: has neither header nor units, so watts cannot be told; query without noheader"
        )
    if len(units) > 1:  # limits stand still
        moving = [at for at in units if len({row[at] for _, row in body}) > 1]
        if len(moving) != 1:
            raise LogError(
                f"{path}: {len(units)} columns of watts and no header: draw and limit cannot be "
                "told; query without noheader"
            )
        units = moving
    index = [at for at in columns[: units[0]] if at and first[at].isdigit()][:1]
    ids = [at for at in columns if first[at].startswith("GPU-")][:1]
    return 0, units[0], index + ids


def _has_value(cell: str) -> bool:
    value = watts(cell)
    return value is not None and not np.isnan(value)


def _plain(cell: str) -> bool:
    """A bare number: too little to call a file a log of nvidia-smi."""
    try:
        float(cell)
    except ValueError:
        return False
    return number(cell) is not None and ":" not in cell
