"""Logs that the readers of `dcsim.power.learn` do not know: Prometheus' answers to range queries,
vLLM's benchmark, and the power meters' daemon of MLPerf."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.errors import MeasureError
from dcsim.files import open_bytes, read_text
from dcsim.measure.engine import COLUMNS, NAMES, OPTIONAL
from dcsim.power.learn.readers.series import Track, gpu_table
from dcsim.power.learn.readers.vllm import columns_of

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


# --- results of benchmarks -----------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """Requests of a benchmark, one a place of each array; failed ones are left out."""

    start_s: FloatArray
    """Unix seconds, or, where not `unix`, of local time by the file's `date`, right to a second or
    so."""
    input_tokens: IntArray
    output_tokens: IntArray
    ttft_s: FloatArray
    end_s: FloatArray
    failed: int
    unix: bool


PLAIN = "write start,input_tokens,output_tokens of its requests to a CSV and bring that"
OTHER_TOOLS = (
    (
        ("experiments",),
        f"this is a profile export of GenAI-Perf's, which is not read: {PLAIN}",
    ),
    (
        ("benchmarks",),
        "this is a report of GuideLLM's, which is not read: its requests stand in "
        f"benchmarks[].requests.successful (request_start_time, prompt_tokens, output_tokens); "
        f"{PLAIN}",
    ),
    (
        ("metadata", "metrics"),
        f"these are records of AIPerf's, which are not read: {PLAIN}",
    ),
    (
        ("request_throughput", "time_to_first_token"),
        "this is a summary of AIPerf's or GenAI-Perf's: it has statistics and no requests; of its "
        f"profile_export.jsonl, {PLAIN}",
    ),
    (
        ("benchmark_results",),
        f"this is a summary of a benchmark, without its requests: {PLAIN}",
    ),
)
"""Keys of other tools' results, and what to do with them."""


def vllm_bench(path: Path) -> Bench:
    """`vllm bench serve --save-result --save-detailed`. Raises MeasureError, OSError."""
    said = _one_result(path)
    if not isinstance(said, dict):
        raise MeasureError(f"{path}: a list, and no result of a benchmark: {PLAIN}")
    sglang = said.get("backend") in ("sglang", "sglang-oai", "sglang-native")
    tool = "SGLang's bench_serving" if sglang else "vLLM's benchmark"
    if "input_lens" not in said or "output_lens" not in said:
        for keys, words in OTHER_TOOLS:
            if set(keys) <= set(said):
                raise MeasureError(f"{path}: {words}")
        if {"total_input_tokens", "request_throughput"} & set(said):
            how = "--output-details" if sglang else "--save-result --save-detailed"
            raise MeasureError(
                f"{path}: a summary of {tool}, without its requests (no input_lens and "
                f"output_lens); run it with {how}"
            )
        raise MeasureError(
            f"{path}: no detailed result of vLLM's benchmark: no input_lens and output_lens; run "
            "it with --save-result --save-detailed"
        )
    starts = said.get("start_times")
    if not starts:
        raise MeasureError(
            f"{path}: no start_times: this version of {tool} does not tell when requests were "
            "sent; bring the engine's log alone"
        )
    names = ("start_times", "input_lens", "output_lens", "ttfts", "itls")
    try:
        lengths = {name: len(said[name]) for name in names}
    except (KeyError, TypeError):
        absent = ", ".join(name for name in names if not isinstance(said.get(name), list))
        raise MeasureError(f"{path}: {absent} must be there, one place a request") from None
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {count:,}" for name, count in lengths.items())
        raise MeasureError(f"{path}: these must have one place a request, and have {told}")
    try:
        table = np.array([starts, said["input_lens"], said["output_lens"], said["ttfts"]], float)
        itl_s = np.array([sum(gaps or ()) for gaps in said["itls"]])
        start, prompt, output, ttft = table
        end = start + ttft + itl_s
    except (TypeError, ValueError):
        raise MeasureError(
            f"{path}: start_times, input_lens, output_lens, ttfts and itls must be numbers"
        ) from None
    errors = said.get("errors") or [""] * len(start)
    # A request that failed before it was sent has no time either.
    good = (output >= 1) & (prompt >= 1) & (start > 0) & np.isfinite(end)
    good &= np.array([not error for error in errors])
    if not good.any():
        raise MeasureError(f"{path}: no request that was answered")
    unix = bool(start[good].min() > 1e9)
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


def _one_result(path: Path) -> Any:
    """The only JSON value of a file; raises MeasureError for one that holds several, a line
    each."""
    text = _text(path)
    try:
        return json.loads(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            several = [json.loads(line) for line in lines]
        except ValueError:
            raise MeasureError(f"{path}: not JSON ({error})") from None
    first = several[0] if isinstance(several[0], dict) else {}
    for keys, words in OTHER_TOOLS:
        if set(keys) <= set(first):
            raise MeasureError(f"{path}: {words}")
    if "input_lens" in first or "request_throughput" in first or "duration" in first:
        raise MeasureError(
            f"{path}: results of {len(several)} runs of a benchmark, a line each (--append-result,"
            " or SGLang's output file): bring one run, as a file of its own, with its logs"
        )
    raise MeasureError(
        f"{path}: {len(several)} JSON objects, and no result of a benchmark: {PLAIN}"
    )


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
    if (np.diff(at_s) < 0).any():
        raise MeasureError(f"{path}: goes back in time")
    return np.array(at_s), np.array(watts)


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise MeasureError(f"{path}: not JSON ({error})") from None


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except UnicodeDecodeError as error:
        raise MeasureError(f"{path}: not text ({error})") from None
