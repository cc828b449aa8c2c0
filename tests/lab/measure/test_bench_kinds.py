"""Results of benchmarks and range queries: failed requests, several runs, other tools' files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import MeasureError
from dcsim.lab.measure import foreign
from dcsim.lab.measure.benchmarks import read_benchmark
from dcsim.lab.measure.engine import EnginePage
from tests.lab.measure.test_import import (
    LABELS,
    LENGTH_S,
    START_S,
    TRUTH,
    answer,
    dcsim_import,
    nvidia_smi,
    prometheus_engine,
    rows,
    vllm_bench,
)


def failed_first(path: Path, start_s: float) -> Path:
    """A benchmark whose first and last requests were never sent: zeros stand for them."""
    said = json.loads(vllm_bench(path).read_text())
    said["start_times"] = (start_s + TRUTH.start_s).tolist()
    for key, none in (
        *(("input_lens", 100), ("output_lens", 0), ("start_times", 0.0), ("ttfts", 0.0)),
        *(("itls", []), ("errors", "Service Unavailable")),
    ):
        said[key] = [none, *said[key], none]
    path.write_text(json.dumps(said))
    return path


def test_a_failed_request_does_not_tell_the_clock(tmp_path: Path) -> None:
    bench = read_benchmark(failed_first(tmp_path / "b.json", START_S))
    assert bench.unix
    assert bench.failed == 2
    assert bench.start_s[0] == pytest.approx(START_S + TRUTH.start_s[0], abs=1e-3)
    bench = read_benchmark(failed_first(tmp_path / "b.json", 4242.0))
    assert not bench.unix
    assert np.diff(bench.start_s) == pytest.approx(np.diff(TRUTH.start_s), abs=1e-6)


SGLANG = {"backend": "sglang", "input_lens": [1], "output_lens": [1], "ttfts": [0.1], "itls": [[]]}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([{"input_lens": [1]}, {"input_lens": [2]}], "results of 2 runs of a benchmark"),
        ([SGLANG], "this version of SGLang's bench_serving does not tell when requests were sent"),
        ([{"backend": "sglang", "request_throughput": 1.0}], "run it with --output-details"),
        ([{"request_throughput": {"avg": 1}, "time_to_first_token": {}}], "a summary of AIPerf's"),
        ([{"args": {}, "benchmarks": [{"requests": {}}]}], "as GuideLLM's reports have them"),
        ([{"metadata": {}, "metrics": {}}, {"metadata": {}, "metrics": {}}], "record 1: expected"),
        ([{"metadata": {}, "metrics": {}}], "as AIPerf's profile_export.jsonl has them"),
        ([{"experiments": []}], "GenAI-Perf's"),
        ([{"a": 1}, {"a": 2}], "2 JSON objects, and no result of a benchmark"),
        ([[1, 2]], "a list, and no result"),
        ([{**SGLANG, "input_lens": [1, 2], "start_times": [5.0]}], "input_lens 2, output_lens 1"),
    ],
)  # fmt: skip
def test_other_files_are_refused_with_the_cause(tmp_path: Path, lines: list[Any], why: str) -> None:
    path = tmp_path / "b.json"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    with pytest.raises(MeasureError, match=why):
        read_benchmark(path)


def guidellm(at: int, start_s: float, status: str = "completed") -> dict[str, Any]:
    """A request as GuideLLM's report has it (`GenerativeRequestStats`, dumped)."""
    sent_s = start_s + float(TRUTH.start_s[at])
    return {
        "type_": "generative_request_stats",
        "request_id": str(at),
        "info": {
            "status": status,
            "timings": {
                "request_start": sent_s,
                "first_token_iteration": sent_s + 0.25,
                "request_end": sent_s + 2.0,
                "resolve_end": sent_s + 2.1,
            },
        },
        "prompt_tokens": int(TRUTH.prompt[at]),
        "output_tokens": int(TRUTH.output[at]),
        "time_to_first_token_ms": 250.0,
    }


def aiperf(at: int, start_s: float) -> dict[str, Any]:
    """A record of AIPerf's profile_export.jsonl."""
    sent_ns = int((start_s + float(TRUTH.start_s[at])) * 1e9)
    return {
        "metadata": {
            "session_num": at,
            "request_start_ns": sent_ns,
            "request_end_ns": sent_ns + 2_000_000_000,
            "benchmark_phase": "profiling",
            "was_cancelled": False,
        },
        "metrics": {
            "time_to_first_token": {"value": 250.0, "unit": "ms"},
            "input_sequence_length": {"value": int(TRUTH.prompt[at]), "unit": "tokens"},
            "output_sequence_length": {"value": int(TRUTH.output[at]), "unit": "tokens"},
        },
        "error": None,
    }


def written(path: Path, tool: str) -> Path:
    """What a tool writes of TRUTH's requests, out of order, with one that failed."""
    many = len(TRUTH.start_s)
    if tool == "guidellm":
        halves = [range(many // 2, many), range(many // 2)]
        report = [
            {
                "requests": {
                    "successful": [guidellm(at, START_S) for at in half],
                    "incomplete": [],
                    "errored": [guidellm(half[0], START_S, "errored")],
                },
                "metrics": {"request_totals": {"successful": len(half)}},
            }
            for half in halves
        ]
        path.write_text(json.dumps({"args": {}, "benchmarks": report}))
        return path
    records = [aiperf(at, START_S) for at in reversed(range(many))]
    records += [{**aiperf(0, START_S), "metrics": {}, "error": {"code": 503}}, aiperf(0, START_S)]
    records[-1]["metadata"]["was_cancelled"] = True
    path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.mark.parametrize("tool", ["guidellm", "aiperf"])
def test_requests_of_other_tools_are_read(tmp_path: Path, tool: str) -> None:
    bench = read_benchmark(written(tmp_path / "b.json", tool))
    assert bench.unix
    assert bench.failed == 2
    assert bench.start_s == pytest.approx(START_S + TRUTH.start_s, abs=1e-3)
    assert bench.input_tokens.tolist() == TRUTH.prompt.tolist()
    assert bench.output_tokens.tolist() == TRUTH.output.tolist()
    assert bench.ttft_s == pytest.approx(0.25, abs=1e-3)
    assert bench.end_s - bench.start_s == pytest.approx(2.0, abs=1e-3)


def test_an_answer_that_was_not_streamed_has_no_first_token(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    record = aiperf(0, START_S)
    del record["metrics"]["time_to_first_token"]
    path.write_text(json.dumps(record))
    assert np.isnan(read_benchmark(path).ttft_s).all()


def test_a_sample_of_requests_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "b.json", "guidellm")
    said = json.loads(path.read_text())
    said["benchmarks"][1]["metrics"]["request_totals"]["successful"] = 1000
    path.write_text(json.dumps(said))
    with pytest.raises(MeasureError, match=r"holds 15 of 1,000 requests .* without --sample-req"):
        read_benchmark(path)


@pytest.mark.parametrize("tool", ["guidellm", "aiperf"])
def test_a_folder_is_made_of_other_tools_requests(tmp_path: Path, tool: str) -> None:
    done = dcsim_import(
        tmp_path / "run",
        *("--power", nvidia_smi(tmp_path / "smi.csv", 0.0)),
        *(part for path in prometheus_engine(tmp_path) for part in ("--engine", path)),
        *("--requests", written(tmp_path / "b.json", tool)),
    )
    assert done.exit_code == 0, done.output
    assert len(rows(tmp_path / "run" / "requests.csv")) == 30
    assert "2 requests of the benchmark failed" in done.stdout


def packed(path: Path) -> Path:
    out = path.with_suffix(path.suffix + ".gz")
    out.write_bytes(gzip.compress(path.read_bytes()))
    return out


def test_every_log_may_be_packed(tmp_path: Path) -> None:
    done = dcsim_import(
        tmp_path / "run",
        *("--power", packed(nvidia_smi(tmp_path / "smi.csv", 0.0))),
        *(part for path in prometheus_engine(tmp_path) for part in ("--engine", packed(path))),
        *("--requests", packed(vllm_bench(tmp_path / "bench.json"))),
    )
    assert done.exit_code == 0, done.output
    assert len(rows(tmp_path / "run" / "requests.csv")) == 30


def test_an_archive_is_refused_by_name(tmp_path: Path) -> None:
    zipped = tmp_path / "smi.zip"
    zipped.write_bytes(b"PK\x03\x04 and so on")
    good = [part for path in prometheus_engine(tmp_path) for part in ("--engine", path)]
    done = dcsim_import(tmp_path / "run", "--power", zipped, *good)
    assert done.exit_code == 2
    assert "it is compressed (zip): unpack it first (unzip)" in done.stderr


def two_engines(path: Path, reset_s: float | None = None, hits: float = 0.0) -> Path:
    """Two engines, both as TRUTH says and each with a past; the second may be started anew."""
    at_s = np.arange(0, LENGTH_S, 1.0)
    series = []
    for engine in "01":
        labels = {**LABELS, "engine": engine}
        for name, counted, past in (
            ("num_requests_running", TRUTH.running(at_s), 0),
            ("num_requests_waiting", 0 * at_s, 0),
            ("kv_cache_usage_perc", 0.01 + 0 * at_s, 0),
            ("prompt_tokens_total", TRUTH.prompts(at_s), 500_000),
            ("generation_tokens_total", TRUTH.generated(at_s), 500_000),
            *(
                (("prefix_cache_queries_total", TRUTH.prompts(at_s), 0),
                 ("prefix_cache_hits_total", hits * TRUTH.prompts(at_s), 0)) if hits else ()
            ),
        ):  # fmt: skip
            values = counted + past
            if past and engine == "1" and reset_s is not None:
                anew = values - values[at_s >= reset_s][0]
                values = np.where(at_s >= reset_s, anew, values)
            series.append(({"__name__": f"vllm:{name}", **labels}, START_S + at_s, values))
    path.write_text(answer(*series))
    return path


def test_an_engine_of_two_that_was_started_anew_is_a_fault_and_mended(tmp_path: Path) -> None:
    idle_s = 5.0  # before the first request: nothing is lost
    engine = two_engines(tmp_path / "engine.json", reset_s=idle_s)
    done = dcsim_import(
        tmp_path / "run", "--engine", engine, "--power", nvidia_smi(tmp_path / "smi.csv", 0.0)
    )
    assert done.exit_code == 1
    assert "error: engine.csv: counters fall 1 time (5.0 s on)" in done.stdout
    last = rows(tmp_path / "run" / "engine.csv")[-1]
    assert float(last["prompt_total"]) == 2 * TRUTH.prompt.sum()
    assert float(last["generation_total"]) == 2 * TRUTH.output.sum()


def test_samples_of_a_query_that_came_late_are_put_in_their_place(tmp_path: Path) -> None:
    engine = two_engines(tmp_path / "engine.json")
    found = json.loads(engine.read_text())
    for series in found["data"]["result"]:
        values = series["values"]
        for at in range(10, len(values) - 4, 7):
            values[at : at + 4] = [*values[at + 1 : at + 4], values[at]]
    engine.write_text(json.dumps(found))
    power = nvidia_smi(tmp_path / "smi.csv", 0.0)
    done = dcsim_import(tmp_path / "run", "--engine", engine, "--power", power)
    assert done.exit_code == 0, done.output
    last = rows(tmp_path / "run" / "engine.csv")[-1]
    assert float(last["prompt_total"]) == 2 * TRUTH.prompt.sum()
    assert float(last["generation_total"]) == 2 * TRUTH.output.sum()


def test_cached_prompts_are_told_and_kept_apart(tmp_path: Path) -> None:
    engine = two_engines(tmp_path / "engine.json", hits=0.75)
    done = dcsim_import(
        tmp_path / "run", "--engine", engine, "--power", nvidia_smi(tmp_path / "smi.csv", 0.0)
    )
    assert done.exit_code == 0, done.output
    asked = 2 * int(TRUTH.prompt.sum())
    assert f"of {asked:,} prompt tokens (75 %) came from the prefix cache" in done.stdout
    last = rows(tmp_path / "run" / "engine.csv")[-1]
    assert float(last["prompt_total"]) == asked
    assert float(last["cached_total"]) == pytest.approx(0.75 * asked, abs=1)


def test_metrics_of_two_models_are_not_added_up(tmp_path: Path) -> None:
    said = json.loads(two_engines(tmp_path / "engine.json").read_text())
    for one in said["data"]["result"][:5]:
        one["metric"]["model_name"] = "another"
    (tmp_path / "engine.json").write_text(json.dumps(said))
    series = foreign.range_query(tmp_path / "engine.json")
    with pytest.raises(MeasureError, match="several models"):
        foreign.engine_of(series, [tmp_path / "engine.json"])


def test_a_query_that_dropped_the_metrics_name_is_told(tmp_path: Path) -> None:
    at_s = START_S + np.arange(0, 100, 0.5)
    path = tmp_path / "p.json"
    path.write_text(answer(({"gpu": "0"}, at_s, 80 + 0 * at_s)))
    series = foreign.range_query(path)
    with pytest.raises(MeasureError, match="rate, sum"):
        foreign.power_of(series, path)
    with pytest.raises(MeasureError, match="rate, sum"):
        foreign.engine_of(series, [path])


class Pages:
    """A metrics page whose bodies are told in advance."""

    url = "http://made-up"

    def __init__(self, *totals: tuple[float | None, float | None]) -> None:
        self._totals = iter(totals)

    def fetch(self) -> bytes:
        lines = []
        for engine, total in enumerate(next(self._totals)):
            if total is not None:
                lines.append(f'vllm:prompt_tokens_total{{engine="{engine}"}} {total}')
                lines.append(f'vllm:num_requests_running{{engine="{engine}"}} 1')
        return "\n".join(lines).encode() + b"\n"


def test_a_page_of_two_engines_goes_on_where_one_begins_anew_or_is_silent() -> None:
    columns = {"prompt_total": "vllm:prompt_tokens_total", "running": "vllm:num_requests_running"}
    pages = Pages((900, 100), (950, 150), (1100, 20), (1150, None), (1200, 70))
    page = EnginePage(pages, "vllm", columns, None)  # type: ignore[arg-type]
    told = [page.read() for _ in range(5)]
    # The second fell from 150 to 20 while the first rose by more: in a sum nobody would see it.
    assert [one["prompt_total"] for one in told] == [1000, 1100, 1270, 1320, 1420]
    assert [one["running"] for one in told] == [2, 2, 2, 1, 2]
    assert page.restarts == 1
