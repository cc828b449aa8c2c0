"""vLLM's metrics as an engine log: running, waiting, KV use, tokens and iterations over time.

Names changed over its versions (`gpu_cache_usage_perc` became `kv_cache_usage_perc`); old and new
are read. Iterations are the count of the histogram `iteration_tokens_total`. `prompt_tokens_total`
counts whole prompts, with what the prefix cache answered.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import EngineLog
from dcsim.lab.learn.readers.scrapes import Row, in_order, rows_of, tracks
from dcsim.lab.learn.readers.series import Track, counted, gauged

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
    "prompt_tokens_cached_total": "cached_total",
    "prefix_cache_hits_total": "cache_hits",
    "prefix_cache_hits": "cache_hits",
    "gpu_prefix_cache_hits_total": "cache_hits",
    "gpu_prefix_cache_hits": "cache_hits",
    "prefix_cache_queries_total": "cache_queries",
    "prefix_cache_queries": "cache_queries",
    "gpu_prefix_cache_queries_total": "cache_queries",
    "gpu_prefix_cache_queries": "cache_queries",
}
FOLDER_COLUMNS = (
    *("running", "waiting", "kv", "prompt_total", "generation_total", "iterations"),
    "cached_total",
)
"""Columns of a run folder's engine.csv are named so."""
NEEDED = ("running", "waiting", "kv", "prompt_total", "generation_total")
COUNTERS = (
    *("prompt_total", "generation_total", "iterations"),
    *("cached_total", "cache_hits", "cache_queries"),
)
LAYOUT = "vLLM metrics"
CACHE = "cache_config_info"
ALIKE = 0.02
"""Of the tokens of prompts, by which looks in the prefix cache may differ and still count
tokens."""


def is_vllm(head: list[str]) -> bool:
    """Whether the first lines of a file look like it, or like a run folder's engine.csv."""
    if any("num_requests_running" in line for line in head):
        return True
    columns = [cell.strip() for cell in head[0].split(",")] if head else []
    return {"running", "generation_total"} <= set(columns)


def read(path: Path) -> EngineLog:
    """Read one. Raises LogError, with the metrics that are missing."""
    rows, times = rows_of(path, (*NAMES, *FOLDER_COLUMNS, CACHE))
    models = {key.label("model_name") for _, values in rows for key in values} - {None}
    if len(models) > 1:
        raise LogError(f"{path}: metrics of several models ({', '.join(sorted(map(str, models)))})")
    moved: list[str] = []
    rows = in_order(rows, path, times.clock, moved)
    by_column: dict[str, list[Track]] = {}
    for name, series in tracks(rows, {*NAMES, *FOLDER_COLUMNS}).items():
        by_column.setdefault(NAMES.get(name, name), []).extend(series)
    missing = [name for name in NEEDED if name not in by_column]
    if missing:
        metric = {column: name for name, column in reversed(NAMES.items())}
        raise LogError(f"{path}: lacks {', '.join(f'vllm:{metric[name]}' for name in missing)}")
    at_s = np.unique([when for when, _ in rows])
    for name in NEEDED:  # the scrapes that have all of them, of whatever engine
        at_s = np.intersect1d(at_s, np.concatenate([track.at_s for track in by_column[name]]))
    if len(at_s) < 2:
        raise LogError(f"{path}: fewer than two scrapes with all metrics")
    columns, restarts, remarks = columns_of(by_column, at_s)
    return EngineLog(
        at_s, columns, times.clock, LAYOUT, _blocks(rows), tuple(restarts), (*moved, *remarks)
    )


def columns_of(
    by_column: dict[str, list[Track]], at_s: FloatArray
) -> tuple[dict[str, FloatArray], list[float], list[str]]:
    """Columns of engine.csv at `at_s`, engines of one server together; when one of them was
    started anew; what is to be said."""
    columns: dict[str, FloatArray] = {}
    restarts: set[float] = set()
    remarks = [
        f"{track.whole_name or 'the engine'} is silent for {gap_s:.1f} s: its counters are held"
        for track in by_column["prompt_total"]
        if (gap_s := _silence_s(track, at_s)) > 0
    ]
    for name, series in by_column.items():
        if name in COUNTERS:
            columns[name], again = counted(series, at_s)
            restarts |= {at for at, _ in again}
        else:
            columns[name] = gauged(series, at_s, mean=name == "kv")
    hits, queries = columns.pop("cache_hits", None), columns.pop("cache_queries", None)
    if "cached_total" not in columns and hits is not None and queries is not None:
        columns["cached_total"] = _cached(columns["prompt_total"], hits, queries)
    if "cached_total" in columns:
        prompts = float(np.ptp(columns["prompt_total"]))
        cached = min(float(np.ptp(columns["cached_total"])), prompts)
        if cached > 0:
            remarks.append(
                f"{cached:,.0f} of {prompts:,.0f} prompt tokens "
                f"({100 * cached / prompts:.0f} %) came from the "
                f"prefix cache: {prompts - cached:,.0f} were computed"
            )
        else:
            del columns["cached_total"]
    return columns, sorted(restarts), remarks


def _cached(prompt: FloatArray, hits: FloatArray, queries: FloatArray) -> FloatArray:
    """Tokens from the prefix cache. Some versions count its looks in blocks: then by share."""
    looked, tokens = float(np.ptp(queries)), float(np.ptp(prompt))
    if looked <= 0:
        return np.zeros_like(hits)
    scale = 1.0 if abs(looked - tokens) <= ALIKE * tokens else tokens / looked
    cached: FloatArray = (hits - hits[0]) * scale
    return cached


def _silence_s(track: Track, at_s: FloatArray) -> float:
    """The longest time that a series lacks samples which the log has, within its own time."""
    within = at_s[(at_s > track.at_s[0]) & (at_s < track.at_s[-1])]
    lost = np.setdiff1d(within, track.at_s)
    if not len(lost):
        return 0.0
    after = np.searchsorted(track.at_s, lost)
    return float(np.max(track.at_s[after] - track.at_s[after - 1]))


def _blocks(rows: list[Row]) -> int | None:
    """`num_gpu_blocks` of the engine's cache, which its info metric tells."""
    for _, values in rows:
        for key in values:
            blocks = key.label("num_gpu_blocks") if CACHE in key.name else None
            if blocks is not None and blocks.isdigit():
                return int(blocks)
    return None
