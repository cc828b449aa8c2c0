"""Logs that the readers of `dcsim.power.learn` do not know: Prometheus' answers to range queries,
vLLM's benchmark, and the power meters' daemon of MLPerf."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.measure.engine import COLUMNS, NAMES
from dcsim.measure.errors import MeasureError

Float64 = npt.NDArray[np.float64]

POWER_METRICS = (
    "DCGM_FI_DEV_POWER_USAGE_INSTANT",
    "DCGM_FI_DEV_POWER_USAGE",
    "nvidia_smi_power_draw_watts",
)
"""Watts, best first: of DCGM's exporter, and of the nvidia-smi exporter."""
GPU_LABELS = ("gpu", "UUID", "uuid", "device")


@dataclass(frozen=True)
class Series:
    """One series of a range query."""

    labels: dict[str, str]
    at_s: Float64
    values: Float64

    @property
    def name(self) -> str:
        return self.labels.get("__name__", "")


def is_json(path: Path) -> bool:
    """Whether a file begins as a JSON object or list does."""
    with path.open("rb") as file:
        return file.read(256).lstrip()[:1] in (b"{", b"[")


def range_query(path: Path) -> list[Series]:
    """The series of a file that holds Prometheus' answer to a range query
    (`/api/v1/query_range`). Raises MeasureError, OSError."""
    said = _json(path)
    result = said.get("data", said).get("result") if isinstance(said, dict) else None
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
            table = table[np.isfinite(table[:, 1])]
            found.append(Series(labels, table[:, 0], table[:, 1]))
    return found


def power_of(series: Sequence[Series], path: Path) -> tuple[Float64, list[str], Float64]:
    """Times, GPUs and watts, shape (n, GPUs), on the times that all have. Raises MeasureError."""
    names = {one.name for one in series}
    metric = next((name for name in POWER_METRICS if name in names), None)
    if metric is None:
        raise MeasureError(
            f"{path}: none of {', '.join(POWER_METRICS)} in it, only "
            f"{', '.join(sorted(names)) or 'nothing'}"
        )
    own = {_gpu(one): one for one in series if one.name == metric}
    gpus = sorted(own, key=lambda name: (len(name), name))
    at_s = _common([one.at_s for one in own.values()])
    watts = [own[gpu].values[np.searchsorted(own[gpu].at_s, at_s)] for gpu in gpus]
    if len(at_s) < 2:
        raise MeasureError(f"{path}: fewer than two samples that all GPUs have")
    return at_s, gpus, np.stack(watts, axis=1)


def engine_of(series: Sequence[Series], paths: Sequence[Path]) -> tuple[Float64, dict[str, Any]]:
    """Times and the columns of engine.csv, of any engine whose names are known; engines of one
    model are added up. Raises MeasureError."""
    told = {one.name for one in series}
    for table in NAMES.values():
        columns = {
            column: [one for one in series if one.name == name]
            for column, names in table.items()
            for name in names
            if name in told
        }
        if columns:
            break
    files = ", ".join(map(str, paths))
    needed = [name for name in COLUMNS if name != "iterations"]
    missing = [name for name in needed if name not in columns]
    if missing:
        wanted = ", ".join(NAMES["vllm"][name][0] for name in missing)
        raise MeasureError(f"{files}: lacks {wanted} or what other engines call it")
    every = [one for some in columns.values() for one in some]
    start_s, end_s = max(o.at_s[0] for o in every), min(o.at_s[-1] for o in every)
    at_s = np.unique(np.concatenate([one.at_s for one in every]))
    at_s = at_s[(at_s >= start_s) & (at_s <= end_s)]
    if len(at_s) < 2:
        raise MeasureError(f"{files}: the series share no two times")
    found = {}
    for column, some in columns.items():
        each = [np.interp(at_s, one.at_s, one.values) for one in some]
        found[column] = np.mean(each, axis=0) if column == "kv" else np.sum(each, axis=0)
    return at_s, found


def _gpu(series: Series) -> str:
    return next((series.labels[name] for name in GPU_LABELS if name in series.labels), "0")


def _common(times: Iterable[Float64]) -> Float64:
    found: Float64 | None = None
    for one in times:
        found = one if found is None else np.intersect1d(found, one)
    return np.empty(0) if found is None else found


# --- vLLM's benchmark ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """Requests of a benchmark, one a place of each array; failed ones are left out."""

    start_s: Float64
    """Unix seconds, or, where not `unix`, of local time by the file's `date`, right to a second or
    so."""
    input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    ttft_s: Float64
    end_s: Float64
    failed: int
    unix: bool


def vllm_bench(path: Path) -> Bench:
    """`vllm bench serve --save-result --save-detailed`. Raises MeasureError, OSError."""
    said = _json(path)
    if not isinstance(said, dict) or "input_lens" not in said or "output_lens" not in said:
        raise MeasureError(
            f"{path}: no detailed result of vLLM's benchmark: no input_lens and output_lens; run "
            "it with --save-result --save-detailed"
        )
    starts = said.get("start_times")
    if not starts:
        raise MeasureError(
            f"{path}: no start_times: this version of the benchmark does not tell when requests "
            "were sent; bring the engine's log alone"
        )
    try:
        table = np.array([starts, said["input_lens"], said["output_lens"], said["ttfts"]], float)
        itl_s = np.array([sum(gaps) for gaps in said["itls"]])
        start, prompt, output, ttft = table
        end = start + ttft + itl_s
    except (KeyError, TypeError, ValueError):
        raise MeasureError(
            f"{path}: start_times, input_lens, output_lens, ttfts and itls must have one place a "
            "request"
        ) from None
    errors = said.get("errors") or [""] * len(start)
    good = (output >= 1) & (prompt >= 1) & np.array([not error for error in errors])
    if not good.any():
        raise MeasureError(f"{path}: no request that was answered")
    unix = bool(start[0] > 1e9)
    if not unix:
        try:
            date = datetime.strptime(said["date"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        except (KeyError, TypeError, ValueError):
            raise MeasureError(
                f"{path}: start_times count from nowhere, and there is no `date` such as "
                "20260720-124024"
            ) from None
        # They are of a clock without a start; the date is written right after the last answer.
        shift = date.timestamp() - float(end[good].max())
        start, end = start + shift, end + shift
    order = np.flatnonzero(good)[np.argsort(start[good], kind="stable")]
    return Bench(
        start[order],
        prompt[order].astype(np.int64),
        output[order].astype(np.int64),
        ttft[order],
        end[order],
        int((~good).sum()),
        unix,
    )


# --- MLPerf --------------------------------------------------------------------------------------

_SPL = re.compile(r"Time,(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d(?:\.\d+)?),Watts,([-+0-9.eE]+),")


def spl(path: Path) -> tuple[Float64, Float64]:
    """Local seconds and AC watts of MLPerf's `spl.txt`: SPEC's power daemon writes a line
    `Time,07-17-2024 07:02:47.866,Watts,2381.8,Volts,...` a sample, the whole meter first. Negative
    watts mark errors and are left out. Raises MeasureError, OSError."""
    at_s, watts = [], []
    text = path.read_text(encoding="utf-8", errors="replace")
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
    if (np.diff(at_s) < 0).any():
        raise MeasureError(f"{path}: goes back in time")
    return np.array(at_s), np.array(watts)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise MeasureError(f"{path}: not JSON ({error})") from None
