"""NLR's online sweeps of Llama 3.1 70B on 4 H100 (arXiv 2604.07345), played on one replica.

Each measured run sends 1,000 requests at an even rate to an idle vLLM and waits for all of them.
The tables give totals of tokens and percentiles of latencies, not single requests. The spread of
output lengths is read off the lowest rate, 10/s: latency percentiles over time per token are
lengths. Beyond the last percentile they rise to the limit in the bend that gives the tokens
counted; their standard deviation then comes within 5 % of that of the latencies. So the shape of
the latencies at 10/s is no prediction, their level is, and so is everything at the other rates.

NLR sent the same prompts again and again, and vLLM had them in its prefix cache (see
`NLR_COMPUTED_TOKENS`). So all prompts are sent once before the sweep begins. Single lengths are
not known: prompts have the mean length, give or take half a block of the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from benchmarks.serving_replay import BLOCK_TOKENS, serve
from dcsim.arrays import IntArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import kv_capacity_blocks
from dcsim.hardware.timing import timing_of
from dcsim.scenario.models import Engine
from dcsim.workload.stream import Prefix

GPU, MODEL, GPUS = "h100-sxm-80gb", "llama-3-70b", 4
ENGINE = Engine(max_num_seqs=1024, max_num_batched_tokens=8192, block_tokens=BLOCK_TOKENS)
"""vLLM's defaults for its server on an H100. Up to 975 of 1,000 requests were seen running."""
REQUESTS = 1000
BEGIN_S = 100.0
"""When the sweep begins, after all prompts have been sent once."""
PERCENTILES = (10, 30, 50, 70, 90)
BENDS = (-5.0, 5.0)
"""Bounds of the logarithm of the tail's exponent: from all at the limit to none beyond the p90."""
RATES_PER_S = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Point:
    """One data set, output limit and request rate: medians over its measured runs, and ours."""

    dataset: str
    limit: int
    rate_per_s: float
    tpot_s: float
    e2e_s: float
    ttft_s: float
    throughput_per_s: float
    our_tpot_s: float
    our_e2e_s: float
    our_ttft_s: float
    our_throughput_per_s: float

    @property
    def below_saturation(self) -> bool:
        """Whether the server kept up: a request lasted less than half as long as all the sending,
        so that the number running could settle."""
        return self.e2e_s < 0.5 * REQUESTS / self.rate_per_s and self.throughput_per_s > (
            0.75 * self.rate_per_s
        )


def output_lengths(lowest: pd.Series, limit: int) -> IntArray:
    """Output tokens of the 1,000 requests, from the medians of a limit's runs at the lowest rate,
    in an order that has nothing to do with time."""
    decode_ms = [
        lowest[f"p{percent}_e2el_ms"] - lowest["median_ttft_ms"] for percent in PERCENTILES
    ]
    lengths = 1.0 + np.array(decode_ms) / lowest["median_tpot_ms"]
    at = [0.0, *(percent / 100.0 for percent in PERCENTILES)]
    share = (np.arange(REQUESTS) + 0.5) / REQUESTS
    body = np.interp(share, at, [2.0, *lengths])
    longest = np.clip((share - at[-1]) / (1.0 - at[-1]), 0.0, None)
    room = max(0.0, limit - lengths[-1])

    def drawn(log_bend: float) -> IntArray:
        tokens = body + room * longest ** math.exp(log_bend)
        return np.clip(tokens.round(), 2, limit).astype(np.int64)

    counted = lowest["total_output_tokens"]
    low, high = BENDS
    if drawn(high).sum() < counted < drawn(low).sum():
        high = brentq(lambda bend: float(drawn(bend).sum() - counted), low, high, xtol=1e-3)
    return np.random.default_rng(0).permutation(drawn(high))


def play_sweeps(data: Path, catalogue: Catalogue, only: str = "") -> list[Point]:
    """All data sets (or those whose name contains `only`), limits and rates."""
    table = pd.read_csv(data / "steady_state/nlr_inference_online_finite_llama3_70b.csv")
    table = table[table["completed"] == REQUESTS]
    gpu, model = catalogue.gpus[GPU], catalogue.models[MODEL]
    blocks = kv_capacity_blocks(model, gpu.hbm_bytes, GPUS, block_tokens=BLOCK_TOKENS)
    overhead_s = timing_of(model, gpu).first_token_overhead_s
    points = []
    for dataset, runs in table.groupby("dataset-path"):
        if only not in str(dataset):
            continue
        for limit, limited in runs.groupby("hf-output-len"):
            lowest = limited[limited["request_rate_x"] == RATES_PER_S[0]]
            output = output_lengths(lowest.median(numeric_only=True), int(limit))
            mean = round(lowest["total_input_tokens"].median() / REQUESTS)
            prompt = mean + np.arange(REQUESTS) % BLOCK_TOKENS - BLOCK_TOKENS // 2
            prefixes = [Prefix(((i + 1, int(n)),)) for i, n in enumerate(prompt)]
            for rate in RATES_PER_S:
                real = limited[limited["request_rate_x"] == rate].median(numeric_only=True)
                arrival_s = np.arange(REQUESTS) / rate
                played = serve(
                    catalogue,
                    (GPU, MODEL, GPUS),
                    ENGINE,
                    blocks,
                    (
                        np.concatenate([np.arange(REQUESTS) / 20.0, BEGIN_S + arrival_s]),
                        np.tile(prompt, 2),
                        np.concatenate([np.ones_like(output), output]),
                    ),
                    np.empty(0),
                    prefixes * 2,
                )
                ttft_s, e2e_s = played.ttft_s[REQUESTS:], played.e2e_s[REQUESTS:]
                tpot_s = (e2e_s - ttft_s) / (output - 1)
                points.append(
                    Point(
                        dataset=str(dataset).split("/")[1],
                        limit=int(limit),
                        rate_per_s=rate,
                        tpot_s=real["median_tpot_ms"] / 1e3,
                        e2e_s=real["median_e2el_ms"] / 1e3,
                        ttft_s=real["median_ttft_ms"] / 1e3,
                        throughput_per_s=real["request_throughput"],
                        our_tpot_s=float(np.median(tpot_s)),
                        our_e2e_s=float(np.median(e2e_s)) + overhead_s,
                        our_ttft_s=float(np.median(ttft_s)) + overhead_s,
                        our_throughput_per_s=REQUESTS / float(np.max(arrival_s + e2e_s)),
                    )
                )
    return points
