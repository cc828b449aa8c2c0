"""Results of benchmarks: the requests that vLLM's, SGLang's, GuideLLM's and AIPerf's tools sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.errors import MeasureError
from dcsim.lab.measure.foreign import text_of


@dataclass(frozen=True)
class BenchmarkRequests:
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


CSV_INSTEAD = "write start,input_tokens,output_tokens of its requests to a CSV and import that"
OTHER_TOOLS = (
    (
        ("experiments",),
        f"this is a profile export of GenAI-Perf's, which is not read: {CSV_INSTEAD}",
    ),
    (
        ("request_throughput", "time_to_first_token"),
        "this is a summary of AIPerf's or GenAI-Perf's: it has statistics and no requests; import "
        "AIPerf's profile_export.jsonl (--export-level records)",
    ),
    (
        ("benchmark_results",),
        f"this is a summary of a benchmark, without its requests: {CSV_INSTEAD}",
    ),
)
"""Keys of other tools' results, and what to do with them."""
UNITS_S = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds of the units that AIPerf writes."""
AnsweredRow = tuple[float, float, float, float, float]
"""Start, prompt and output tokens, time to the first token and end of a request."""


def read_benchmark(path: Path) -> BenchmarkRequests:
    """The requests of a benchmark's result, whichever tool wrote it: `vllm bench serve
    --save-detailed`, SGLang's bench_serving, GuideLLM's report or AIPerf's records. Raises
    MeasureError, OSError."""
    values = _values(path)
    first = values[0] if isinstance(values[0], dict) else {}
    if len(values) == 1 and isinstance(first.get("benchmarks"), list):
        return _guidellm(path, first["benchmarks"])
    if {"metadata", "metrics"} <= set(first):
        return _aiperf(path, values)
    return _vllm(path, _one_result(path, values))


def _values(path: Path) -> list[Any]:
    """The JSON values of a file: one, or one a line."""
    text = text_of(path)
    try:
        return [json.loads(text)]
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise MeasureError(f"{path}: not JSON ({error})") from None


def _one_result(path: Path, several: list[Any]) -> Any:
    """The only value of a file; raises MeasureError where it holds several."""
    if len(several) == 1:
        return several[0]
    first = several[0] if isinstance(several[0], dict) else {}
    _refuse_other_tools(path, first)
    if "input_lens" in first or "request_throughput" in first or "duration" in first:
        raise MeasureError(
            f"{path}: results of {len(several)} runs of a benchmark, a line each (--append-result,"
            " or SGLang's output file): import one run, as a file of its own, with its logs"
        )
    raise MeasureError(
        f"{path}: {len(several)} JSON objects, and no result of a benchmark: {CSV_INSTEAD}"
    )


def _refuse_other_tools(path: Path, result: dict[str, Any]) -> None:
    for keys, words in OTHER_TOOLS:
        if set(keys) <= set(result):
            raise MeasureError(f"{path}: {words}")


def _guidellm(path: Path, benchmarks: list[Any]) -> BenchmarkRequests:
    """A report of GuideLLM's: of each benchmark in it the requests that were answered, with unix
    times in `info.timings`."""
    rows: list[AnsweredRow | None] = []
    try:
        for report in benchmarks:
            requests = report["requests"]
            _refuse_sample(path, report, len(requests["successful"]))
            rows += [_guidellm_row(request) for request in requests["successful"]]
            rows += [None for kind in ("incomplete", "errored") for _ in requests.get(kind) or ()]
    except MeasureError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MeasureError(
            f"{path}: benchmarks[].requests.successful: expected info.timings, prompt_tokens and "
            f"output_tokens of each request, as GuideLLM's reports have them since 0.4; "
            f"{CSV_INSTEAD}"
        ) from None
    return _from_rows(path, rows, "GuideLLM's report")


def _refuse_sample(path: Path, report: dict[str, Any], listed: int) -> None:
    """Refuse a report that holds a sample of its requests only."""
    totals = (
        report.get("request_totals") or (report.get("metrics") or {}).get("request_totals") or {}
    )
    if (totals.get("successful") or 0) > listed:
        raise MeasureError(
            f"{path}: holds {listed:,} of {totals['successful']:,} requests that were answered: "
            "run GuideLLM without --sample-requests"
        )


def _guidellm_row(request: dict[str, Any]) -> AnsweredRow | None:
    timings = request["info"]["timings"]
    start_s = timings["request_start"]
    first_s = timings.get("first_token_iteration", timings.get("first_iteration"))
    end_s = timings["request_end"]
    counts = (request["prompt_tokens"], request["output_tokens"])
    if None in (start_s, end_s, *counts):
        return None
    # An answer that was not streamed has no first token of its own.
    ttft_s = float("nan") if first_s is None else float(first_s) - float(start_s)
    return float(start_s), float(counts[0]), float(counts[1]), ttft_s, float(end_s)


def _aiperf(path: Path, records: list[Any]) -> BenchmarkRequests:
    """AIPerf's profile_export.jsonl: a request a line, with unix times in nanoseconds."""
    rows = []
    for number, record in enumerate(records, 1):
        try:
            rows.append(_aiperf_row(record))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise MeasureError(
                f"{path}: record {number}: expected metadata.request_start_ns and request_end_ns, "
                "and metrics.input_sequence_length and output_sequence_length, as AIPerf's "
                f"profile_export.jsonl has them; {CSV_INSTEAD}"
            ) from None
    return _from_rows(path, rows, "AIPerf's records")


def _aiperf_row(record: dict[str, Any]) -> AnsweredRow | None:
    metadata, metrics = record["metadata"], record["metrics"]
    if record.get("error") or metadata.get("was_cancelled"):
        return None
    start_s, end_s = (float(metadata[f"request_{at}_ns"]) * 1e-9 for at in ("start", "end"))
    counts = [float(metrics[f"{side}_sequence_length"]["value"]) for side in ("input", "output")]
    first = metrics.get("time_to_first_token")
    ttft_s = float("nan") if first is None else float(first["value"]) * UNITS_S[first["unit"]]
    return start_s, counts[0], counts[1], ttft_s, end_s


def _from_rows(path: Path, rows: list[AnsweredRow | None], what: str) -> BenchmarkRequests:
    """Answered requests in order of their start; None stands for one that was not."""
    answered = [row for row in rows if row is not None and row[1] >= 1 and row[2] >= 1]
    if not answered:
        raise MeasureError(f"{path}: no request that was answered")
    start_s, prompt, output, ttft_s, end_s = np.array(sorted(answered)).T
    if not start_s[0] > 1e9:
        raise MeasureError(f"{path}: the times of {what} are no unix time: {CSV_INSTEAD}")
    counts = prompt.astype(np.int64), output.astype(np.int64)
    return BenchmarkRequests(start_s, *counts, ttft_s, end_s, len(rows) - len(answered), unix=True)


def _vllm(path: Path, result: Any) -> BenchmarkRequests:
    """`vllm bench serve --save-result --save-detailed`, and SGLang's."""
    if not isinstance(result, dict):
        raise MeasureError(f"{path}: a list, and no result of a benchmark: {CSV_INSTEAD}")
    sglang = result.get("backend") in ("sglang", "sglang-oai", "sglang-native")
    tool = "SGLang's bench_serving" if sglang else "vLLM's benchmark"
    if "input_lens" not in result or "output_lens" not in result:
        _refuse_other_tools(path, result)
        if {"total_input_tokens", "request_throughput"} & set(result):
            how = "--output-details" if sglang else "--save-result --save-detailed"
            raise MeasureError(
                f"{path}: a summary of {tool}, without its requests (no input_lens and "
                f"output_lens); run it with {how}"
            )
        raise MeasureError(
            f"{path}: no detailed result of vLLM's benchmark: no input_lens and output_lens; run "
            "it with --save-result --save-detailed"
        )
    starts = result.get("start_times")
    if not starts:
        raise MeasureError(
            f"{path}: no start_times: this version of {tool} does not tell when requests were "
            "sent; import the engine's log alone"
        )
    names = ("start_times", "input_lens", "output_lens", "ttfts", "itls")
    try:
        lengths = {name: len(result[name]) for name in names}
    except (KeyError, TypeError):
        absent = ", ".join(name for name in names if not isinstance(result.get(name), list))
        raise MeasureError(f"{path}: {absent} must be there, one place a request") from None
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {count:,}" for name, count in lengths.items())
        raise MeasureError(f"{path}: these must have one place a request, and have {counts}")
    try:
        table = np.array(
            [starts, result["input_lens"], result["output_lens"], result["ttfts"]], float
        )
        itl_s = np.array([sum(gaps or ()) for gaps in result["itls"]])
        start, prompt, output, ttft = table
        end = start + ttft + itl_s
    except (TypeError, ValueError):
        raise MeasureError(
            f"{path}: start_times, input_lens, output_lens, ttfts and itls must be numbers"
        ) from None
    errors = result.get("errors") or [""] * len(start)
    # A request that failed before it was sent has no time either.
    good = (output >= 1) & (prompt >= 1) & (start > 0) & np.isfinite(end)
    good &= np.array([not error for error in errors])
    if not good.any():
        raise MeasureError(f"{path}: no request that was answered")
    unix = bool(start[good].min() > 1e9)
    if not unix:
        try:
            date = datetime.strptime(result["date"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        except (KeyError, TypeError, ValueError):
            raise MeasureError(
                f"{path}: start_times count from nowhere, and there is no `date` such as "
                "20260720-124024"
            ) from None
        # They are of a clock without a start; the date is written right after the last answer.
        shift = date.timestamp() - float(end[good].max())
        start, end = start + shift, end + shift
    order = np.flatnonzero(good)[np.argsort(start[good], kind="stable")]
    return BenchmarkRequests(
        start[order],
        prompt[order].astype(np.int64),
        output[order].astype(np.int64),
        ttft[order],
        end[order],
        int((~good).sum()),
        unix,
    )
