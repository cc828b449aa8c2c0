"""Logs that the readers of `dcsim.lab.learn` do not know: Prometheus' answers to range queries,
and the power meters' daemon of MLPerf."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import MeasureError
from dcsim.files import open_bytes, read_text
from dcsim.lab.learn.readers.logs import in_time_order
from dcsim.lab.learn.readers.series import Track, gpu_table
from dcsim.lab.learn.readers.vllm import columns_of
from dcsim.lab.measure.engine import COLUMNS, NAMES, OPTIONAL

POWER_METRICS = (
    "DCGM_FI_DEV_POWER_USAGE_INSTANT",
    "DCGM_FI_DEV_POWER_USAGE",
    "nvidia_smi_power_draw_watts",
)
"""Watts, best first: of DCGM's exporter, and of the nvidia-smi exporter."""
VLLM_CACHE = {
    "cached_total": ("vllm:prompt_tokens_cached_total",),
    "cache_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "cache_queries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
}
"""Instead of the counter of hits, which some versions keep in blocks: tokens where they are
counted, else the share of looks in the prefix cache that hit."""


@dataclass(frozen=True)
class QuerySeries(Track):
    """One series of a range query."""

    name: str = ""
    silent: int = 0
    """Samples that were no finite numbers, left out."""


def is_json(path: Path) -> bool:
    """Whether a file, unpacked, begins as a JSON object or list does."""
    with open_bytes(path) as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"[")


def range_query(path: Path) -> list[QuerySeries]:
    """The series of a file that holds Prometheus' answer to a range query
    (`/api/v1/query_range`). Raises MeasureError, OSError."""
    document = _json(path)
    if isinstance(document, dict) and document.get("status") == "error":
        raise MeasureError(f"{path}: Prometheus refused the query: {document.get('error')}")
    data = document.get("data", document) if isinstance(document, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(result, list):
        raise MeasureError(f"{path}: no answer of Prometheus' to a range query: no data.result")
    series: list[QuerySeries] = []
    for entry in result:
        try:
            table = np.array([(float(at), float(value)) for at, value in entry["values"]])
            labels = {str(key): str(value) for key, value in entry["metric"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise MeasureError(
                f"{path}: data.result.{len(series)}: expected `metric` and `values` of [time, "
                "'value']; an instant query has none: ask for a range"
            ) from None
        if len(table):
            if (np.diff(table[:, 0]) < 0).any():
                table = np.array(in_time_order([tuple(row) for row in table.tolist()], []))
                if (np.diff(table[:, 0]) < 0).any():
                    raise MeasureError(f"{path}: data.result.{len(series)}: goes back in time")
            finite = table[np.isfinite(table[:, 1])]
            name = labels.pop("__name__", "")
            silent = len(table) - len(finite)
            series.append(QuerySeries(labels, finite[:, 0], finite[:, 1], name, silent))
    return series


def _require_names(series: Sequence[QuerySeries], files: Path | str) -> None:
    """Refuse series whose metric is not told."""
    if any(not item.name for item in series):
        raise MeasureError(
            f"{files}: series without the name of their metric: the query had a function or an "
            "operator (rate, sum, ...), which drops it; query the metrics alone"
        )


def power_of(
    series: Sequence[QuerySeries], path: Path
) -> tuple[FloatArray, list[str], FloatArray, list[str]]:
    """Times, GPUs and watts, shape (n, GPUs); NaN where a GPU has none; what is to be said. Raises
    MeasureError."""
    _require_names(series, path)
    names = {item.name for item in series}
    metric = next((name for name in POWER_METRICS if name in names), None)
    if metric is None:
        raise MeasureError(
            f"{path}: none of {', '.join(POWER_METRICS)} in it, only "
            f"{', '.join(sorted(names)) or 'nothing'}"
        )
    chosen = [item for item in series if item.name == metric]
    at_s, gpus, watts = gpu_table(chosen)
    if len(at_s) < 2:
        raise MeasureError(f"{path}: fewer than two samples of power")
    silent = sum(item.silent for item in chosen)
    return at_s, gpus, watts, [f"{silent} samples without watts left out"] if silent else []


def engine_of(
    series: Sequence[QuerySeries], paths: Sequence[Path]
) -> tuple[FloatArray, dict[str, Any], list[float], list[str]]:
    """Times and the columns of engine.csv, of any engine whose names are known, engines of one
    model added up; when one was started anew; what is to be said. Raises MeasureError."""
    files = ", ".join(map(str, paths))
    _require_names(series, files)
    names_here = {item.name for item in series}
    columns: dict[str, list[Track]] = {}
    for engine, table in NAMES.items():
        columns = {
            column: [item for item in series if item.name == name]
            for column, names in ({**table, **VLLM_CACHE} if engine == "vllm" else table).items()
            for name in names[::-1]
            if name in names_here
        }
        if columns:
            break
    missing = [name for name in COLUMNS if name not in columns and name not in OPTIONAL]
    if missing:
        expected = ", ".join(NAMES["vllm"][name][0] for name in missing)
        raise MeasureError(f"{files}: lacks {expected} or what other engines call it")
    used = [item for group in columns.values() for item in group]
    labels = ("model_name", "model")
    models = {item.labels[name] for item in used for name in labels if item.labels.get(name)}
    if len(models) > 1:
        raise MeasureError(
            f"{files}: metrics of several models ({', '.join(sorted(models))}): query one of them"
        )
    if any(not len(item.at_s) for item in used):
        raise MeasureError(f"{files}: a series without a number")
    # From when every column is told by some engine, to when one no longer is.
    start_s = max(min(item.at_s[0] for item in group) for group in columns.values())
    end_s = min(max(item.at_s[-1] for item in group) for group in columns.values())
    at_s = np.unique(np.concatenate([item.at_s for item in used]))
    at_s = at_s[(at_s >= start_s) & (at_s <= end_s)]
    if len(at_s) < 2:
        raise MeasureError(f"{files}: the series share no two times")
    return at_s, *columns_of(columns, at_s)


# --- MLPerf --------------------------------------------------------------------------------------


def read_spl(path: Path) -> tuple[FloatArray, FloatArray]:
    """Local seconds and AC watts of MLPerf's `spl.txt`: SPEC's power daemon writes a line
    `Time,07-17-2024 07:02:47.866,Watts,2381.8,Volts,...` a sample, the whole meter first. Negative
    watts mark errors and are left out. Raises MeasureError, OSError."""
    at_s, watts = [], []
    text = read_text(path, errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            time_key, time, watts_key, power, _ = line.split(",", 4)
            form = "%m-%d-%Y %H:%M:%S.%f" if "." in time else "%m-%d-%Y %H:%M:%S"
            moment, power_w = datetime.strptime(time, form), float(power)
            if (time_key, watts_key) != ("Time", "Watts") or not math.isfinite(power_w):
                raise ValueError
        except ValueError:
            raise MeasureError(
                f"{path}:{number}: expected Time,07-17-2024 07:02:47.866,Watts,2381.8,..., not "
                f"{line[:60]!r}"
            ) from None
        if power_w >= 0:
            at_s.append(moment.replace(tzinfo=UTC).timestamp())
            watts.append(power_w)
    if len(at_s) < 2:
        raise MeasureError(f"{path}: fewer than two samples")
    ordered_s, ordered_w = np.array(in_time_order(list(zip(at_s, watts, strict=True)), [])).T
    if (np.diff(ordered_s) < 0).any():
        raise MeasureError(f"{path}: goes back in time")
    return ordered_s, ordered_w


def _json(path: Path) -> Any:
    try:
        return json.loads(text_of(path))
    except ValueError as error:
        raise MeasureError(f"{path}: not JSON ({error})") from None


def text_of(path: Path) -> str:
    """A file's text, unpacked. Raises MeasureError for what is none, OSError."""
    try:
        return read_text(path)
    except UnicodeDecodeError as error:
        raise MeasureError(f"{path}: not text ({error})") from None
