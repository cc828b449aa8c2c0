"""Watts from the DCGM exporter: scrapes of its page, or a table that Prometheus exported."""

from __future__ import annotations

from pathlib import Path

from dcsim.power.learn.readers.logs import Field, LogError, PowerLog, samples
from dcsim.power.learn.readers.scrapes import rows_of

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
    told = {series.name for _, values in rows for series in values}
    field = next((name for name in FIELDS if name in told), None)
    if field is None:
        raise LogError(f"{path}: no {' nor '.join(FIELDS)} in it")
    given = [
        (at_s, series.label("gpu", "GPU", "device", "UUID", "uuid") or "0", watts)
        for at_s, values in rows
        for series, watts in values.items()
        if series.name == field
    ]
    at_s, gpus, table = samples(given, path, times.clock)
    return PowerLog(at_s, gpus, table, times.clock, LAYOUT, FIELDS[field])
