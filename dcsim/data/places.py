"""Where fetched traces lie: in DCSIM_DATA where it is set, else in the user's cache."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dcsim.data.traces import Trace
from dcsim.errors import DataFolderError
from dcsim.files import atomic_write, cache_folder

RECORD = "fetched.json"
"""Beside the traces: what was fetched, from where, and its SHA-256."""


def data_folder() -> Path:
    """DCSIM_DATA, else `dcsim` in XDG_CACHE_HOME, else in ~/.cache. Raises DataFolderError where
    the user has no home."""
    named = os.environ.get("DCSIM_DATA", "")
    if named:
        return Path(named).expanduser().absolute()
    try:
        return cache_folder()
    except RuntimeError:
        raise DataFolderError("there is no home folder: set DCSIM_DATA to one for data") from None


def place_of(trace: Trace) -> Path:
    """The path of a trace, there or not."""
    return data_folder() / "arrivals" / trace.file


def recorded(folder: Path) -> dict[str, dict[str, str]]:
    """What the folder's record says, by file name; empty where there is none that can be read."""
    try:
        rows = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(rows, dict):
        return {}
    return {name: row for name, row in rows.items() if isinstance(row, dict)}


def record(folder: Path, file: str, row: dict[str, str]) -> None:
    """Add one file to the folder's record."""
    rows = recorded(folder) | {file: row}
    atomic_write(folder / RECORD, json.dumps(rows, indent=1, sort_keys=True) + "\n")
