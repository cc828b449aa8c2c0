"""Fit the iteration model's constants to real runs: `python -m benchmarks.timing_fit`.

Writes `dcsim/hardware/data/timing_fits.yaml`. What is fitted, by GPU, each as a factor on
the published constant with a log-normal prior around it:

- eff_flops, eff_bandwidth, message_scale, per_token_sample, quantised_stream;
- front_end_per_token: what ML.ENERGY's client-side latencies hold besides, for each sequence of
  the batch. The engine's own counters (vLLM runs) and NLR do not show it; the simulator does not
  add it, and the tables of errors do not either;
- for each family of models one factor on the whole iteration, whose prior stands around 1 with
  a spread of 10 %. A series counts once, however many rows it has, and its residual weighs as
  much as that prior: n series pull a factor n / (n + 1) of the way;
- overlap and routing, which describe kernels and models rather than one GPU, on the H100 alone,
  which has the most series and hosts that keep up; the other GPUs take them over.

The loss is robust (soft L1 beyond 10 %): hosts that stall must not bend a roofline. Rows on a B200
that took longer than the same on an H100 are left out: no property of the faster GPU explains
them (see docs/fidelity-serving.md).

first_token_overhead comes after that: the median of measured less played TTFT, run by run, the
published constant counting as one more run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import least_squares

from benchmarks.data import need_data
from benchmarks.serving_replay import Run, play, read_run
from benchmarks.timing_rows import (
    PROMPT_TOKENS,
    Row,
    all_rows,
    iteration_model,
    throughput_tokens_s,
    vllm_runs,
)
from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.hardware.gpus import Gpu, TimingCorrection, TimingFit
from dcsim.hardware.timing import PRIOR_QUANTISED_STREAM

H100 = "h100-sxm-80gb"
FITTED = (H100, "a100-sxm-80gb", "b200-sxm-180gb")
BORROWED = {"h200-sxm-141gb": H100}
"""No rows of its own: constants and corrections of the GPU with the same chip."""

SCALE = 0.1
"""Residuals (of the logarithm) are counted in tens of a percent."""
SPREADS = (0.1, 0.05, 0.1, 0.2, 0.1)
"""Priors' spreads of the logarithms of eff_flops, eff_bandwidth, message_scale, per_token_sample,
quantised_stream. Narrow: the published constants stand on hundreds of engine logs that we do not
have. Three times as wide where they come from another GPU."""
FACTOR_SPREAD = 0.1
ENGINE_WEIGHT = 2
"""The engine's own counters of a configuration count as so many series of a client's latencies,
which hold the client's and the front end's time as well."""
OVERLAP, OVERLAP_SPREAD = 4.0, 0.5
"""The published form hides the shorter of computing and reading altogether."""
ROUTING, ROUTING_SPREAD = 1.0, 0.2
FRONT_END_S, FRONT_END_SPREAD = 50e-6, 1.0
"""Seconds that a step of 1 is worth, and the prior's spread around 0."""
QUIET = 0.4
"""Prompts an iteration above which the median ITL of a closed loop is no clean decode any more."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all GPUs have in common."""

    overlap: float
    routing: float


def residuals(rows: Iterable[Row], catalogue: Catalogue) -> list[tuple[Row, float]]:
    """Logarithms of modelled over measured seconds: of every decode-like row's ITL, and of the
    mean iteration behind every throughput."""
    found = []
    for row in rows:
        timing = iteration_model(row, catalogue)
        fit = catalogue.gpus[row.gpu].timing_fit
        front_s = fit.front_end_per_token_s if fit is not None and row.source == "mlenergy" else 0.0
        front_s *= row.batch
        closed = row.source == "mlenergy"
        if row.source in ("vllm", "nlr") or (closed and row.batch / row.output_tokens < QUIET):
            found.append((row, math.log((row.predicted_s(timing) + front_s) / row.measured_s)))
        if closed or row.source == "rates":
            prompt = PROMPT_TOKENS[row.series.split()[-1]]
            ours = throughput_tokens_s(row, timing, prompt)
            ours_s = row.batch / ours + front_s
            found.append((row, math.log(ours_s * row.throughput_tokens_s / row.batch)))
    return found


def stalled(rows: Sequence[Row]) -> set[Row]:
    """B200 rows slower than the same model, task and batch on no more than twice the H100s."""
    h100: dict[tuple[str, str, int], float] = {}
    for row in rows:
        if row.source == "mlenergy" and row.gpu == H100:
            key = (row.model, row.series.split()[-1], round(row.batch / 8))
            h100[key] = max(row.measured_s, h100.get(key, 0.0))
    slow = set()
    for row in rows:
        if row.source == "mlenergy" and row.gpu == "b200-sxm-180gb":
            key = (row.model, row.series.split()[-1], round(row.batch / 8))
            if row.measured_s > h100.get(key, math.inf):
                slow.add(row)
    # A series that stalls in most of the rows that can be compared is not trusted in the others.
    for series in {row.series for row in slow}:
        members = [row for row in rows if row.series == series]
        comparable = [
            row for row in members if (row.model, series.split()[-1], round(row.batch / 8)) in h100
        ]
        if sum(row in slow for row in members) * 2 > len(comparable):
            slow.update(members)
    return slow


def fit_gpu(
    gpu: Gpu, rows: Sequence[Row], catalogue: Catalogue, shared: Shared | None
) -> tuple[TimingFit, Shared]:
    """Constants of one GPU from its rows; `shared` too where it is None."""
    families = sorted({catalogue.models[row.model].family for row in rows})
    n_gpu, n_factors = len(SPREADS), len(families)
    start = np.log(
        [
            gpu.timing.eff_flops,
            gpu.timing.eff_bandwidth,
            1.0,
            gpu.timing.per_token_sample_s,
            PRIOR_QUANTISED_STREAM,
        ]
    )
    trust = 3.0 if gpu.timing_evidence == "extrapolated" else 1.0
    spreads = np.array(
        [*(trust * spread for spread in SPREADS), *[FACTOR_SPREAD] * n_factors, FRONT_END_SPREAD]
        + ([OVERLAP_SPREAD, ROUTING_SPREAD] if shared is None else [])
    )

    def constants(step: FloatArray) -> tuple[TimingFit, Shared]:
        flops, bandwidth, messages, sample, stream = np.exp(start + step[:n_gpu])
        common = shared or Shared(
            max(1.0, OVERLAP * math.exp(step[-2])), min(1.0, ROUTING * math.exp(step[-1]))
        )
        factors = np.exp(step[n_gpu : n_gpu + n_factors])
        fit = TimingFit(
            eff_flops=min(1.0, float(flops)),
            eff_bandwidth=min(1.0, float(bandwidth)),
            message_scale=float(messages),
            per_token_sample=f"{float(sample)!r} s",
            first_token_overhead=f"{gpu.timing.first_token_overhead_s!r} s",
            quantised_stream=min(1.0, float(stream)),
            overlap=common.overlap,
            routing=common.routing,
            front_end_per_token=f"{FRONT_END_S * max(0.0, float(step[n_gpu + n_factors]))!r} s",
            corrections={
                family: TimingCorrection(
                    factor=float(factor), raw_factor=float(factor), series=1, models=()
                )
                for family, factor in zip(families, factors, strict=True)
            },
            rows=len(rows),
            median_error=0.0,
            source="fit",
        )
        return fit, common

    counts = Counter(_group(row) for row, _ in residuals(rows, catalogue))
    weight = {
        group: math.sqrt((ENGINE_WEIGHT if group.startswith("vllm") else 1.0) / count) / SCALE
        for group, count in counts.items()
    }

    def loss(point: FloatArray) -> FloatArray:
        step = point - 1.0  # about 1, so that relative steps of the solver are sound
        fit, _ = constants(step)
        found = residuals(rows, with_fits(catalogue, {gpu.name: fit}))
        misses = [error * weight[_group(row)] for row, error in found]
        return np.array([*misses, *(step / spreads)])

    # Some constants may start at their bound, where a step up shows no change: begin below.
    begin = np.full(len(spreads), 0.95)
    begin[n_gpu + n_factors] = 1.5
    solved = least_squares(loss, begin, loss="soft_l1", diff_step=1e-3)
    fit, common = constants(solved.x - 1.0)
    return _with_evidence(gpu, fit, rows, catalogue), common


def _group(row: Row) -> str:
    """What counts once: a series, and all vLLM runs of one configuration together."""
    if row.source == "vllm":
        return f"vllm {row.gpu} {row.model} x{row.tensor_parallel}"
    return row.series


def _with_evidence(
    gpu: Gpu, fit: TimingFit, rows: Sequence[Row], catalogue: Catalogue
) -> TimingFit:
    """Add to each correction what stands behind it, and the fit's median error."""
    found = residuals(rows, with_fits(catalogue, {gpu.name: fit}))
    corrections = {}
    for family, correction in fit.corrections.items():
        members = [
            (row, error) for row, error in found if catalogue.models[row.model].family == family
        ]
        series = {row.series for row, _ in members}
        left = np.mean([np.median([e for r, e in members if r.series == name]) for name in series])
        corrections[family] = TimingCorrection(
            factor=correction.factor,
            raw_factor=correction.factor * math.exp(-float(left)),
            series=len(series),
            models=tuple(sorted({row.model for row, _ in members})),
        )
    errors = [abs(math.expm1(error)) for _, error in found]
    return fit.model_copy(
        update={"corrections": corrections, "median_error": float(np.median(errors))}
    )


def with_fits(
    catalogue: Catalogue, fits: Mapping[str, TimingFit] | Mapping[str, None]
) -> Catalogue:
    """The catalogue with other timing fits (or none) for some GPUs."""
    gpus = {
        name: gpu.model_copy(update={"timing_fit": fits[name]}) if name in fits else gpu
        for name, gpu in catalogue.gpus.items()
    }
    return catalogue.model_copy(update={"gpus": gpus})


def overhead_s(gpu: Gpu, runs: Sequence[Run], catalogue: Catalogue) -> float:
    """First-token overhead: mean over the GPU's runs of the median of measured less played TTFT,
    and the published constant as one more run."""
    seen = [gpu.timing.first_token_overhead_s]
    for run in runs:
        if run.gpu == gpu.name:
            seen.append(float(np.median(run.ttft_s - play(run, catalogue).ttft_s)))
    return float(np.mean(seen))


def fit_all(
    rows: Sequence[Row], runs: Sequence[Run], catalogue: Catalogue, gpus: Sequence[str] = FITTED
) -> dict[str, TimingFit]:
    """Fits of the GPUs asked for (the H100's is made in any case), and of those that borrow."""
    catalogue = with_fits(catalogue, dict.fromkeys(catalogue.gpus))  # published, to begin with
    slow = stalled(rows)
    rows = [row for row in rows if row not in slow]
    fits: dict[str, TimingFit] = {}
    shared = None
    for name in dict.fromkeys((H100, *gpus)):
        own = [row for row in rows if row.gpu == name]
        if not own:
            continue
        fits[name], shared = fit_gpu(catalogue.gpus[name], own, catalogue, shared)
    for name, lender in BORROWED.items():
        fits[name] = fits[lender].model_copy(update={"rows": 0})
    timed = with_fits(catalogue, fits)
    for name, fit in list(fits.items()):
        seconds = overhead_s(catalogue.gpus[BORROWED.get(name, name)], runs, timed)
        fits[name] = fit.model_copy(update={"first_token_overhead_s": seconds})
    return fits


HEADER = """\
# Constants of the iteration time, by GPU. Made by `python -m benchmarks.timing_fit` from the
# reference data: do not edit. The simulator uses these in place of `timing` in gpus.yaml.
#
# eff_flops, eff_bandwidth: share of the data sheet's peak. message_scale: multiplies every
# `per_message` of gpus.yaml. quantised_stream: share of the bandwidth at which FP8 and 4-bit
# weights stream. overlap: exponent of the norm that joins computing and reading of weights.
# routing: n tokens choose experts as n^routing independent ones would.
# front_end_per_token: what the client-side latencies in the fit hold besides; not simulated.
# corrections, by family of models: `factor` multiplies every iteration; `raw_factor` is what it
# would be without shrinking to 1; `series` how many measured series stand behind it; `models`
# which models they served. rows, median_error: measured figures in the fit and their median
# |modelled / measured - 1|; for errors of models and runs left out, see docs/fidelity-serving.md.
"""

SOURCES = {
    H100: "ML.ENERGY leaderboard (H100 rows), NLR's sweeps of Llama 3.1 70B (arXiv 2604.07345), "
    "powertrace-sim's decode rates of 11 configurations and its vLLM run "
    "qwen3-8b_h100_tp1_poisson4, starting from its published constants",
    "a100-sxm-80gb": "powertrace-sim's decode rates of 12 configurations and its vLLM runs of "
    "Qwen3 8B (two) and 14B (one), starting from its published constants; overlap and routing as "
    "fitted on the H100",
    "b200-sxm-180gb": "ML.ENERGY leaderboard (B200 rows, but those slower than on an H100), "
    "starting from the H100's published constants; overlap and routing as fitted on the H100; "
    "the first-token overhead is the H100's, no run on a B200 tells it",
    "h200-sxm-141gb": "extrapolated: all as fitted on the H100, which has the same chip",
}


def dump(fits: dict[str, TimingFit]) -> str:
    """The YAML file's text."""
    document = {}
    for name, fit in fits.items():
        row = fit.model_dump(mode="json", by_alias=True)
        row["source"] = SOURCES[name]
        document[name] = _rounded(row)
    text = yaml.safe_dump(document, sort_keys=False, width=96, default_flow_style=None)
    return HEADER + "\n" + text


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, str) and value.endswith(" s"):  # a quantity
        return f"{float(value[:-2]):.5g} s"
    return value


def main() -> None:
    """Fit everything and write the catalogue's file."""
    data = need_data()
    catalogue = load_catalogue(timing_fits=False)
    rows = all_rows(data)
    runs = [read_run(folder) for folder in vllm_runs(data)]
    fits = fit_all(rows, runs, catalogue)
    path = Path(__file__).parents[1] / "dcsim/hardware/data/timing_fits.yaml"
    path.write_text(dump(fits), encoding="utf-8")
    for name, fit in fits.items():
        print(f"{name}: {fit.rows} rows, median error {fit.median_error:.3f}")


if __name__ == "__main__":
    main()
