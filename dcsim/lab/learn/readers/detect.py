"""Which reader a file is for, by its first lines."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

from dcsim.errors import LogError, UnreadableError
from dcsim.files import open_text
from dcsim.lab.learn.readers import dcgm, dmon, generic_csv, nvidia_smi, vllm
from dcsim.lab.learn.readers.logs import EngineLog, PowerLog
from dcsim.lab.learn.readers.text import with_commas
from dcsim.request_columns import ROLES, recognised

LogKind = Literal["power", "engine", "requests"]
HEAD_LINES = 400
"""A scrape of vLLM's page is some hundred lines long before it comes to its own metrics."""


def detect_format(path: Path) -> LogKind | None:
    """What a file is, by its content; None for anything else."""
    try:
        head = _head(path)
    except LogError:
        return None
    if not head:
        return None
    if vllm.is_vllm(head):
        return "engine"
    if set(ROLES[1:]) <= set(recognised(head[0].split(","))):
        return "requests"
    powers = (nvidia_smi.is_nvidia_smi, dmon.is_dmon, dcgm.is_dcgm, generic_csv.is_generic_csv)
    return "power" if any(fits(head) for fits in powers) else None


def power_log(path: Path, interval_s: float | None = None) -> PowerLog:
    """Read a log of watts of any layout. `interval_s` is for one without times.

    Raises LogError, for an unknown layout with those that are known.
    """
    head = _head(path)
    if dcgm.is_dcgm(head):
        return dcgm.read(path)
    if dmon.is_dmon(head):
        return dmon.read(path, interval_s)
    if generic_csv.is_generic_csv(head):
        return generic_csv.read(path)
    if nvidia_smi.is_nvidia_smi(head):
        return nvidia_smi.read(path)
    raise LogError(
        f"{path}: no log of power that is known: {nvidia_smi.LAYOUT} with timestamp and power.draw,"
        f" {', '.join(dmon.LAYOUTS)}, {dcgm.LAYOUT}, or columns t, gpu0, ..."
    )


def engine_log(path: Path) -> EngineLog:
    """Read a log of an engine's metrics of any layout. Raises LogError."""
    if not vllm.is_vllm(_head(path)):
        raise LogError(
            f"{path}: no log of vLLM's metrics: no num_requests_running in its first "
            f"{HEAD_LINES} lines"
        )
    return vllm.read(path)


def _head(path: Path) -> list[str]:
    """The first lines; none where the file is missing or no text."""
    if not path.is_file():
        raise LogError(f"{path}: no such file")
    try:
        with open_text(path) as file:
            lines = with_commas([line.rstrip("\n") for line in itertools.islice(file, HEAD_LINES)])
    except UnreadableError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, OSError):
        return []
    return lines if any(lines) else []
