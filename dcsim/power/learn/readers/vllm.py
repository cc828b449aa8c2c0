"""vLLM's metrics as an engine log: running, waiting, KV use, tokens and iterations over time.

Names changed over its versions (`gpu_cache_usage_perc` became `kv_cache_usage_perc`); old and new
are read. Iterations are the count of the histogram `iteration_tokens_total`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.power.learn.readers.logs import EngineLog, Float64, LogError, rising
from dcsim.power.learn.readers.scrapes import Row, Series, rows_of

NAMES = {
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "gpu_cache_usage_perc": "kv",
    "kv_cache_usage_perc": "kv",
    "prompt_tokens_total": "prompt_total",
    "prompt_tokens": "prompt_total",
    "generation_tokens_total": "generation_total",
    "generation_tokens": "generation_total",
    "iteration_tokens_total_count": "iterations",
}
OWN = ("running", "waiting", "kv", "prompt_total", "generation_total", "iterations")
"""Columns of a run folder's engine.csv are named so."""
NEEDED = ("running", "waiting", "kv", "prompt_total", "generation_total")
COUNTERS = ("prompt_total", "generation_total", "iterations")
LAYOUT = "vLLM metrics"
CACHE = "cache_config_info"


def is_vllm(head: list[str]) -> bool:
    """Whether the first lines of a file look like it, or like a run folder's engine.csv."""
    if any("num_requests_running" in line for line in head):
        return True
    columns = [cell.strip() for cell in head[0].split(",")] if head else []
    return {"running", "generation_total"} <= set(columns)


def read(path: Path) -> EngineLog:
    """Read one. Raises LogError, with the metrics that are missing."""
    rows, times = rows_of(path, (*NAMES, *OWN, CACHE))
    models = {series.label("model_name") for _, values in rows for series in values} - {None}
    if len(models) > 1:
        raise LogError(f"{path}: metrics of several models ({', '.join(sorted(map(str, models)))})")
    told = [(at_s, _columns(values)) for at_s, values in rows]
    missing = [name for name in NEEDED if not any(name in row for _, row in told)]
    if missing:
        wanted = {own: name for name, own in reversed(NAMES.items())}
        raise LogError(f"{path}: lacks {', '.join(f'vllm:{wanted[name]}' for name in missing)}")
    whole = [(at_s, row) for at_s, row in told if all(name in row for name in NEEDED)]
    if len(whole) < 2:
        raise LogError(f"{path}: fewer than two scrapes with all metrics")
    names = [*NEEDED, *(["iterations"] if all("iterations" in row for _, row in whole) else [])]
    columns = {name: np.array([row[name] for _, row in whole]) for name in names}
    for name in COUNTERS:
        if name in columns:
            columns[name] = _going_on(columns[name])
    at_s = rising(np.array([at for at, _ in whole]), path, times.clock)
    return EngineLog(at_s, columns, times.clock, LAYOUT, _blocks(rows))


def _columns(values: dict[Series, float]) -> dict[str, float]:
    """Values of one moment by our names, engines of one server together."""
    found: dict[str, list[float]] = {}
    for series, value in values.items():
        name = series.name.rpartition(":")[2]
        own = NAMES.get(name, name if name in OWN else None)
        if own is not None:
            found.setdefault(own, []).append(value)
    return {
        name: float(np.mean(each)) if name == "kv" else float(np.sum(each))
        for name, each in found.items()
    }


def _going_on(counter: Float64) -> Float64:
    """A counter that goes on where the engine was started anew and counted from 0."""
    step = np.diff(counter, prepend=counter[0])
    restarted = step < 0
    step[restarted] = counter[restarted]
    found: Float64 = counter[0] + np.cumsum(step)
    return found


def _blocks(rows: list[Row]) -> int | None:
    """`num_gpu_blocks` of the engine's cache, which its info metric tells."""
    for _, values in rows:
        for series in values:
            told = series.label("num_gpu_blocks") if CACHE in series.name else None
            if told is not None and told.isdigit():
                return int(told)
    return None
