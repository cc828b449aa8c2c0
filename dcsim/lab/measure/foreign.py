"""Logs that the readers of `dcsim.lab.learn` do not know: Prometheus' answers to range queries,
and the power meters' daemon of MLPerf."""

from __future__ import annotations

import json
import re
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
    "cache_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "cache_queries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
}
"""Looks in the prefix cache, which some versions count in blocks: their share is taken."""


@dataclass(frozen=True)
class Series(Track):
    """One series of a range query."""

    name: str = ""
    silent: int = 0
    """Samples that were no finite numbers, left out."""


def is_json(path: Path) -> bool:
    """Whether a file, unpacked, begins as a JSON object or list does."""
    with open_bytes(path) as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"[")


def range_query(path: Path) -> list[Series]:
    """The series of a file that holds Prometheus' answer to a range query
    (`/api/v1/query_range`). Raises MeasureError, OSError."""
    said = _json(path)
    if isinstance(said, dict) and said.get("status") == "error":
        raise MeasureError(f"{path}: Prometheus refused the query: {said.get('error')}")
    data = said.get("data", said) if isinstance(said, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(result, list):
        raise MeasureError(f"{path}: no answer of Prometheus' to a range query: no data.result")
    found: list[Series] = []
    for one in result:
        try:
            table = np.array([(float(at), float(value)) for at, value in one["values"]])
            labels = {str(key): str(value) for key, value in one["metric"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise MeasureError(
                f"{path}: data.result.{len(found)}: expected `metric` and `values` of [time, "
                "'value']; an instant query has none: ask for a range"
            ) from None
        if len(table):
            told = table[np.isfinite(table[:, 1])]
            name = labels.pop("__name__", "")
            silent = len(table) - len(told)
            found.append(Series(labels, told[:, 0], told[:, 1], name, silent))
    return found


def _named(series: Sequence[Series], files: Path | str) -> None:
    """Refuse series whose metric is not told."""
    if any(not one.name for one in series):
        raise MeasureError(
            f"{files}: series without the name of their metric: the query had a function or an "
            "operator (rate, sum, ...), which drops it; query the metrics alone"
        )


def power_of(
    series: Sequence[Series], path: Path
) -> tuple[FloatArray, list[str], FloatArray, list[str]]:
    """Times, GPUs and watts, shape (n, GPUs); NaN where a GPU has none; what is to be said. Raises
    MeasureError."""
    _named(series, path)
    names = {one.name for one in series}
    metric = next((name for name in POWER_METRICS if name in names), None)
    if metric is None:
        raise MeasureError(
            f"{path}: none of {', '.join(POWER_METRICS)} in it, only "
            f"{', '.join(sorted(names)) or 'nothing'}"
        )
    chosen = [one for one in series if one.name == metric]
    at_s, gpus, watts = gpu_table(chosen)
    if len(at_s) < 2:
        raise MeasureError(f"{path}: fewer than two samples of power")
    silent = sum(one.silent for one in chosen)
    return at_s, gpus, watts, [f"{silent} samples without watts left out"] if silent else []


def engine_of(
    series: Sequence[Series], paths: Sequence[Path]
) -> tuple[FloatArray, dict[str, Any], list[float], list[str]]:
    """Times and the columns of engine.csv, of any engine whose names are known, engines of one
    model added up; when one was started anew; what is to be said. Raises MeasureError."""
    files = ", ".join(map(str, paths))
    _named(series, files)
    told = {one.name for one in series}
    columns: dict[str, list[Track]] = {}
    for engine, table in NAMES.items():
        names = {**table, **VLLM_CACHE} if engine == "vllm" else dict(table)
        if engine == "vllm":
            names["cached_total"] = ("vllm:prompt_tokens_cached_total",)
        columns = {
            column: [one for one in series if one.name == name]
            for column, every in names.items()
            for name in every[::-1]
            if name in told
        }
        if columns:
            break
    missing = [name for name in COLUMNS if name not in columns and name not in OPTIONAL]
    if missing:
        wanted = ", ".join(NAMES["vllm"][name][0] for name in missing)
        raise MeasureError(f"{files}: lacks {wanted} or what other engines call it")
    models = {one.labels[name] for some in columns.values() for one in some
              for name in ("model_name", "model") if one.labels.get(name)}  # fmt: skip
    if len(models) > 1:
        raise MeasureError(
            f"{files}: metrics of several models ({', '.join(sorted(models))}): query one of them"
        )
    every = [one for some in columns.values() for one in some]
    if any(not len(one.at_s) for one in every):
        raise MeasureError(f"{files}: a series without a number")
    # From when every column is told by some engine, to when one no longer is.
    start_s = max(min(one.at_s[0] for one in some) for some in columns.values())
    end_s = min(max(one.at_s[-1] for one in some) for some in columns.values())
    at_s = np.unique(np.concatenate([one.at_s for one in every]))
    at_s = at_s[(at_s >= start_s) & (at_s <= end_s)]
    if len(at_s) < 2:
        raise MeasureError(f"{files}: the series share no two times")
    found, restarts, remarks = columns_of(columns, at_s)
    return at_s, found, restarts, remarks


# --- MLPerf --------------------------------------------------------------------------------------

_SPL = re.compile(r"Time,(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d(?:\.\d+)?),Watts,([-+0-9.eE]+),")


def spl(path: Path) -> tuple[FloatArray, FloatArray]:
    """Local seconds and AC watts of MLPerf's `spl.txt`: SPEC's power daemon writes a line
    `Time,07-17-2024 07:02:47.866,Watts,2381.8,Volts,...` a sample, the whole meter first. Negative
    watts mark errors and are left out. Raises MeasureError, OSError."""
    at_s, watts = [], []
    text = read_text(path, errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _SPL.match(line)
        if found is None:
            raise MeasureError(
                f"{path}:{number}: expected Time,07-17-2024 07:02:47.866,Watts,2381.8,..., not "
                f"{line[:60]!r}"
            )
        moment = datetime.strptime(found[1].partition(".")[0], "%m-%d-%Y %H:%M:%S")
        fraction = float(f"0.{found[1].partition('.')[2] or 0}")
        if float(found[2]) >= 0:
            at_s.append(moment.replace(tzinfo=UTC).timestamp() + fraction)
            watts.append(float(found[2]))
    if len(at_s) < 2:
        raise MeasureError(f"{path}: fewer than two samples")
    found_s, found_w = np.array(in_time_order(list(zip(at_s, watts, strict=True)), [])).T
    if (np.diff(found_s) < 0).any():
        raise MeasureError(f"{path}: goes back in time")
    return found_s, found_w


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
