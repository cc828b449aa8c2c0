"""Watts from the DCGM exporter: scrapes of its page, or a table that Prometheus exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import Field, PowerLog
from dcsim.lab.learn.readers.scrapes import in_order, rows_of, tracks
from dcsim.lab.learn.readers.series import gpu_table

FIELDS: dict[str, Field] = {
    "DCGM_FI_DEV_POWER_USAGE_INSTANT": "instant",
    "DCGM_FI_DEV_POWER_USAGE": "default",
}
"""Best first."""
LAYOUT = "DCGM exporter"


def is_dcgm(head: list[str]) -> bool:
    """Whether the first lines of a file look like it."""
    return any("DCGM_FI_DEV_" in line for line in head)


def read(path: Path) -> PowerLog:
    """Read one. Raises LogError."""
    rows, times = rows_of(path, tuple(FIELDS))
    remarks: list[str] = []
    by_field = tracks(in_order(rows, path, times.clock, remarks), FIELDS, silent=True)
    # A field that is there and never has a value is none.
    there = [name for name in FIELDS if name in by_field]
    full = [
        name for name in there if any(np.isfinite(track.values).any() for track in by_field[name])
    ]
    field = next(iter([*full, *there]), None)
    if field is None:
        raise LogError(f"{path}: no {' nor '.join(FIELDS)} in it")
    at_s, gpus, table = gpu_table(by_field[field])
    if len(at_s) < 2:
        raise LogError(f"{path}: fewer than two samples of power")
    return PowerLog(at_s, tuple(gpus), table, times.clock, LAYOUT, FIELDS[field], tuple(remarks))
