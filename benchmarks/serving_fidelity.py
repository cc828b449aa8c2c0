"""How true the serving room is: `python -m benchmarks.serving_fidelity [runs|nlr|rates|mlenergy]`.

Prints the tables of docs/fidelity-serving.md. Everything is predicted with constants fitted
without what is predicted: a vLLM run without that run, NLR's sweeps without NLR (and with NLR's
other data set), decode rates without any row of a model of that shape, an ML.ENERGY model without
any row of that model.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from benchmarks.serving_nlr import GPU, Point, play_sweeps
from benchmarks.serving_replay import Errors, Run, compare, play, read_run
from benchmarks.timing_fit import H100, fit_all, residuals, stalled, with_fits
from benchmarks.timing_rows import (
    PROMPT_TOKENS,
    Row,
    all_rows,
    iteration_model,
    throughput_tokens_s,
    vllm_runs,
)
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.hardware.timing import timing_of

ML_ENERGY_GPUS = (H100, "b200-sxm-180gb")


def without(
    rows: Sequence[Row],
    runs: Sequence[Run],
    catalogue: Catalogue,
    left_out: Callable[[Row], bool],
    gpu: str,
) -> Catalogue:
    """The catalogue with its fits made again without some rows (and without the vLLM runs whose
    rows those are)."""
    kept = [row for row in rows if not left_out(row)]
    dropped = {row.series for row in rows if left_out(row)}
    others = [run for run in runs if f"vllm {run.name}" not in dropped]
    return with_fits(catalogue, fit_all(kept, others, catalogue, (gpu,)))


def run_errors(run: Run, catalogue: Catalogue) -> Errors:
    """Errors of a run played with a catalogue's timing."""
    timing = timing_of(catalogue.models[run.model], catalogue.gpus[run.gpu])
    return compare(run, play(run, catalogue), timing.first_token_overhead_s)


def print_runs(rows: Sequence[Row], runs: Sequence[Run], catalogue: Catalogue) -> None:
    """Each measured vLLM run, fitted without it."""
    print("| run left out | TTFT | TPOT | end to end | running: correlation | running: mean |")
    print("| --- | --- | --- | --- | --- | --- |")
    for run in runs:
        series = f"vllm {run.name}"
        fitted = without(rows, runs, catalogue, lambda row, s=series: row.series == s, run.gpu)
        errors = run_errors(run, fitted)
        print(
            f"| {run.name} | {errors.ttft:.1%} ({errors.ttft_bias:+.1%}) "
            f"| {errors.tpot:.1%} ({errors.tpot_bias:+.1%}) | {errors.e2e:.1%} "
            f"| {errors.running_correlation:.3f} | {errors.running_bias:+.1%} |"
        )


def print_nlr(rows: Sequence[Row], runs: Sequence[Run], catalogue: Catalogue, data: Path) -> None:
    """NLR's sweeps: with the shipped fit, fitted without the data set that is predicted, and
    without NLR at all."""
    print("\nas shipped: NLR is in the fit\n")
    print_points(play_sweeps(data, load_catalogue()))
    fitted = without(rows, runs, catalogue, lambda row: row.source == "nlr", GPU)
    print("\nfitted without any NLR row\n")
    print_points(play_sweeps(data, fitted))
    print("\nfitted without the data set that is predicted\n")
    points = []
    for name in ("InstructCoder", "mlperf-inference-llama2-data"):
        fitted = without(
            rows, runs, catalogue, lambda row, n=name: row.series.startswith(f"nlr {n}"), GPU
        )
        points += play_sweeps(data, fitted, only=name)
    print_points(points)


def print_points(points: Sequence[Point]) -> None:
    """Errors by data set and limit, at each rate below saturation and of the saturation."""
    print("| data set, limit | rate (TPOT, end to end) ... | saturation, measured | error |")
    print("| --- | --- | --- | --- |")
    groups = defaultdict(list)
    for point in points:
        groups[point.dataset, point.limit].append(point)
    for (dataset, limit), sweep in groups.items():
        below = "; ".join(
            f"{p.rate_per_s:g}/s ({p.our_tpot_s / p.tpot_s - 1:+.0%}, "
            f"{p.our_e2e_s / p.e2e_s - 1:+.0%})"
            for p in sweep
            if p.below_saturation
        )
        real = max(p.throughput_per_s for p in sweep)
        ours = max(p.our_throughput_per_s for p in sweep)
        print(f"| {dataset}, {limit} | {below} | {real:.1f}/s | {ours / real - 1:+.1%} |")
    tpot = [abs(p.our_tpot_s / p.tpot_s - 1) for p in points if p.below_saturation]
    e2e = [abs(p.our_e2e_s / p.e2e_s - 1) for p in points if p.below_saturation]
    print(
        f"below saturation: median |error| TPOT {np.median(tpot):.1%}, end to end "
        f"{np.median(e2e):.1%}; largest {max(tpot):.1%} and {max(e2e):.1%}"
    )


def print_rates(rows: Sequence[Row], catalogue: Catalogue) -> None:
    """Decode rates by concurrency, without any row of a model of the same shape."""

    def shape(row: Row) -> tuple[int, int, float]:
        model = catalogue.models[row.model]
        return model.n_layers, model.d_model, model.bytes_per_param

    print("\n| configuration | modelled over measured time a token, at so many requests |")
    print("| --- | --- |")
    errors = []
    own = [row for row in rows if row.source == "rates"]
    cases = dict.fromkeys((row.gpu, shape(row)) for row in own)
    for gpu, wanted in cases:
        fitted = without(rows, [], catalogue, lambda row, w=wanted: shape(row) == w, gpu)
        found = residuals([row for row in own if row.gpu == gpu and shape(row) == wanted], fitted)
        by_series = defaultdict(list)
        for row, error in found:
            by_series[row.series].append(f"{row.batch:g}: {math.expm1(error):+.0%}")
            errors.append(abs(math.expm1(error)))
        for series, cells in by_series.items():
            print(f"| {' '.join(series.split()[1:-1])} | {', '.join(cells)} |")
    print(
        f"{len(errors)} figures: median |error| {np.median(errors):.1%}, nine in ten within "
        f"{np.quantile(errors, 0.9):.1%}"
    )


def print_ml_energy(rows: Sequence[Row], runs: Sequence[Run], catalogue: Catalogue) -> None:
    """ML.ENERGY's median ITL and output throughput, by GPU and model left out."""
    slow = stalled(rows)
    for gpu in ML_ENERGY_GPUS:
        print(f"\n{gpu}\n")
        print(
            "| model left out | rows | ITL: median error (bias) | throughput: median error (bias) "
            "| by batch: ITL of the model over the measured |"
        )
        print("| --- | --- | --- | --- | --- |")
        every: list[tuple[float, float, Row]] = []
        models = sorted({r.model for r in rows if r.gpu == gpu and r.source == "mlenergy"})
        for model in models:
            fitted = without(rows, runs, catalogue, lambda row, m=model: row.model == m, gpu)
            found = []
            for row in rows:
                if row.gpu == gpu and row.model == model and row.source == "mlenergy":
                    timing = iteration_model(row, fitted)
                    itl = row.predicted_s(timing) / row.measured_s - 1.0
                    prompt = PROMPT_TOKENS[row.series.split()[-1]]
                    ours = throughput_tokens_s(row, timing, prompt)
                    found.append((itl, ours / row.throughput_tokens_s - 1.0, row))
            every += found
            print(f"| {model} | {_summary(found)} | {_by_batch(found)} |")
        print(f"| all | {_summary(every)} | {_by_batch(every)} |")
        clean = [entry for entry in every if entry[2] not in slow]
        if len(clean) < len(every):
            print(f"| all but those slower than an H100 | {_summary(clean)} | {_by_batch(clean)} |")


def _summary(found: Sequence[tuple[float, float, Row]]) -> str:
    itl = np.array([entry[0] for entry in found])
    rate = np.array([entry[1] for entry in found])
    return (
        f"{len(found)} | {np.median(np.abs(itl)):.1%} ({np.median(itl):+.1%}) "
        f"| {np.median(np.abs(rate)):.1%} ({np.median(rate):+.1%})"
    )


def _by_batch(found: Sequence[tuple[float, float, Row]]) -> str:
    bins = defaultdict(list)
    for itl, _, row in found:
        low = 8 * 4 ** int(np.log2(max(row.batch, 8.0) / 8.0) / 2.0)
        bins[low].append(itl)
    return ", ".join(f"{low}+: {np.median(bins[low]):+.0%}" for low in sorted(bins))


def main() -> None:
    """Print the tables asked for, or all."""
    data = need_data()
    catalogue = load_catalogue()
    rows = all_rows(data)
    runs = [read_run(folder) for folder in vllm_runs(data)]
    wanted = sys.argv[1:] or ["runs", "nlr", "rates", "mlenergy"]
    if "runs" in wanted:
        print_runs(rows, runs, catalogue)
    if "nlr" in wanted:
        print_nlr(rows, runs, catalogue, data)
    if "rates" in wanted:
        print_rates(rows, catalogue)
    if "mlenergy" in wanted:
        print_ml_energy(rows, runs, catalogue)


if __name__ == "__main__":
    main()
