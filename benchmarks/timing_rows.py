"""Measured iteration times, as rows that a fit can use.

Four sources, each with its own way of telling an iteration time:

- ML.ENERGY (`steady_state/mlenergy_*.csv`): a server kept at a fixed number of requests by its
  client. Median inter-token latency (ITL) and output throughput.
- vLLM runs (`measured/vllm_runs`): the engine's counters every 0.25 s. Seconds over iterations in
  intervals with a steady batch.
- Decode rates (`published/request_throughput.json`): 25 configurations of Llama 3, DeepSeek
  distills and gpt-oss on 1 to 8 A100 or H100, ShareGPT requests by the thousand. Median tokens a
  second of a request by how many were under way.
- NLR (`steady_state/nlr_inference_online_finite_*`): Llama 3.1 70B on 4 H100 under an even stream
  of requests. Mean time per output token (TPOT) while the server keeps up; the batch is rate times
  latency (Little's law).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.hardware.roofline import IterationModel

GPUS = {"H100": "h100-sxm-80gb", "A100": "a100-sxm-80gb", "B200": "b200-sxm-180gb"}

ML_ENERGY_MODELS = {
    "Qwen/Qwen3-8B": "qwen3-8b",
    "Qwen/Qwen3-14B": "qwen3-14b",
    "Qwen/Qwen3-32B": "qwen3-32b",
    "Qwen/Qwen3-30B-A3B-Thinking-2507": "qwen3-30b-a3b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b",
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": "qwen3-30b-a3b",
    "Qwen/Qwen3-235B-A22B-Thinking-2507": "qwen3-235b-a22b",
    "Qwen/Qwen3-235B-A22B-Instruct-2507": "qwen3-235b-a22b",
    "Qwen/Qwen3-235B-A22B-Thinking-2507-FP8": "qwen3-235b-a22b-fp8",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8": "qwen3-235b-a22b-fp8",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct": "qwen3-coder-480b-a35b",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3-8b",
    "meta-llama/Llama-3.1-70B-Instruct": "llama-3-70b",
    "meta-llama/Llama-3.3-70B-Instruct": "llama-3-70b",
    "meta-llama/Llama-3.1-405B-Instruct": "llama-3-405b-bf16",
    "meta-llama/Llama-3.1-405B-Instruct-FP8": "llama-3-405b",
    "openai/gpt-oss-20b": "gpt-oss-20b",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "google/gemma-3-12b-it": "gemma-3-12b",
    "google/gemma-3-27b-it": "gemma-3-27b",
}
"""Rows of other models are left out: Nemotron (state space layers), DeepSeek V3 and R1 (latent
attention), Llama 4 (chunked attention) and Qwen3 Coder 480B in FP8 (replicated attention) need
mechanisms that the iteration model does not have."""

ML_ENERGY_TASKS = ("gpqa", "lm_arena_chat", "sourcegraph_fim")
PROMPT_TOKENS = {
    "sharegpt": 297.0,
    "gpqa": 250.0,
    "lm_arena_chat": 245.0,
    "sourcegraph_fim": 1100.0,
}
OUTPUT_CV2 = {"sharegpt": 1.04, "gpqa": 0.2, "lm_arena_chat": 0.87, "sourcegraph_fim": 0.5}
PROMPT_CV2 = {"gpqa": 0.5, "lm_arena_chat": 4.0, "sourcegraph_fim": 0.5}
"""The leaderboard tells output lengths only. Mean prompt and squared coefficient of variation of
the output follow from rows whose batch is held down by KV memory: average batch times mean
context is the memory's capacity. With capacities of 400,000 (Qwen3 8B, one H100) and 425,000
tokens (Llama 3.1 8B), 82 sequences of gpqa hold 4,900 tokens each, 474 and 691 of chat 850 and
615; Qwen3 30B-A3B on one H100 (115,000 tokens) holds 1,290 of code each. `PROMPT_CV2` is assumed:
chat prompts are mostly short with a few very long ones."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured iteration time and the batch it was measured on."""

    series: str
    """Source, GPU, model, GPUs and workload: rows that share systematic errors."""
    source: str
    gpu: str
    model: str
    tensor_parallel: int
    expert_parallel: int
    batch: float
    context: float
    """Mean KV tokens of a sequence."""
    measured_s: float
    chunk: float = 0.0
    """Prompt tokens in the iteration."""
    prompts: float = 0.0
    throughput_tokens_s: float = math.nan
    output_tokens: float = math.nan

    def predicted_s(self, timing: IterationModel) -> float:
        """Seconds that the model gives such an iteration."""
        return _mixed(timing, self.batch, self.context, self.chunk, self.prompts)


def _mixed(
    timing: IterationModel, batch: float, context: float, chunk: float, prompts: float
) -> float:
    each = chunk / prompts if prompts else 0.0
    return timing.mixed_s(
        batch,
        batch * context,
        chunk,
        chunk * each / 2.0,
        1.5 * chunk,
        prompts,
    )


def iteration_model(row: Row, catalogue: Catalogue) -> IterationModel:
    """The iteration model of a row's configuration, its tables left out."""
    return IterationModel(
        catalogue.models[row.model],
        catalogue.gpus[row.gpu],
        row.tensor_parallel,
        0,
        expert_parallel=row.expert_parallel,
    )


def ml_energy_rows(data: Path) -> list[Row]:
    """Rows of the leaderboard whose model the catalogue has.

    A closed loop of B sequences with mean output o starts B / o prompts an iteration. The median
    ITL is that of an iteration with the median prefill.
    """
    rows = []
    for task in ML_ENERGY_TASKS:
        prompt = PROMPT_TOKENS[task]
        table = pd.read_csv(data / f"steady_state/mlenergy_{task}.csv")
        for record in table.itertuples():
            model = ML_ENERGY_MODELS.get(record.model_id)
            if model is None or record.data_parallel > 1:
                continue
            output = record.avg_output_len
            prompts, chunk = median_prefill(record.avg_batch_size / output, task)
            rows.append(
                Row(
                    series=f"mlenergy {record.gpu_model} {model} x{record.num_gpus} {task}",
                    source="mlenergy",
                    gpu=GPUS[record.gpu_model],
                    model=model,
                    tensor_parallel=record.num_gpus,
                    expert_parallel=record.expert_parallel,
                    batch=record.avg_batch_size,
                    context=prompt + output * (1.0 + OUTPUT_CV2[task]) / 2.0,
                    measured_s=record.median_itl_ms / 1e3,
                    chunk=chunk,
                    prompts=prompts,
                    throughput_tokens_s=record.output_throughput_tokens_per_sec,
                    output_tokens=output,
                )
            )
    return rows


def median_prefill(prompts: float, task: str) -> tuple[float, float]:
    """(prompts, tokens) of an iteration's median prefill, with `prompts` of them on average.

    Their number is a Poisson's; lengths are log-normal, with `PROMPT_CV2` assumed.
    """
    rng = np.random.default_rng(0)
    counts = rng.poisson(prompts, 2001)
    sigma2 = math.log1p(PROMPT_CV2[task])
    mu = math.log(PROMPT_TOKENS[task]) - sigma2 / 2.0
    each = np.split(rng.lognormal(mu, sigma2**0.5, counts.sum()), np.cumsum(counts)[:-1])
    totals = np.array([lengths.sum() for lengths in each])
    order = np.argsort(totals, kind="stable")
    middle = order[len(order) * 9 // 20 : len(order) * 11 // 20]
    median = float(np.median(totals))
    return (float(counts[middle].mean()), median) if median else (0.0, 0.0)


def throughput_tokens_s(row: Row, timing: IterationModel, prompt: float) -> float:
    """Output tokens a second of a closed loop: a whole number of prompts joins each iteration,
    B / o on average."""
    mean = row.batch / row.output_tokens
    low = math.floor(mean)
    part = mean - low
    seconds = (1.0 - part) * _mixed(timing, row.batch, row.context, low * prompt, low)
    if part > 0.0:
        seconds += part * _mixed(timing, row.batch, row.context, (low + 1) * prompt, low + 1)
    return row.batch / seconds


def engine_rows(run: Path) -> list[Row]:
    """Decode-only intervals of a vLLM run, pooled by batch, and intervals with one prompt.

    KV tokens follow from the KV fraction: when idle, vLLM 0.10 counts one block of 16.
    """
    manifest = json.loads((run / "manifest.json").read_text())
    log = pd.read_csv(run / "engine.csv")
    capacity = 16.0 / log["kv"].iloc[0]
    change = log.diff()
    steady = (change["iterations"] > 0) & (log["running"] > 0)
    steady &= log["running"] == log["running"].shift()
    base = {
        "series": f"vllm {run.name}",
        "source": "vllm",
        "gpu": GPUS[manifest["hardware"]],
        "model": manifest["model"].split("/")[1].lower(),
        "tensor_parallel": manifest["tp"],
        "expert_parallel": 1,
    }
    rows = []
    decode = steady & (change["prompt_total"] == 0)
    seconds = change["epoch"] / change["iterations"]
    batch = change["generation_total"] / change["iterations"]
    for size in sorted(set(log["running"][decode])):
        chosen = decode & (log["running"] == size) & (np.abs(batch - size) < 0.3)
        if chosen.sum() >= 3:
            held = float(np.median(log["kv"][chosen])) * capacity / size
            rows.append(
                Row(
                    **base,
                    batch=float(size),
                    context=held,
                    measured_s=float(np.median(seconds[chosen])),
                )
            )
    return rows


NLR_RATES_PER_S = (10, 20, 30)
"""Rates at which every NLR run is steady for most of its 1,000 requests."""
NLR_COMPUTED_TOKENS = 9.0
"""Prompt tokens that NLR's servers really compute; the others come from the prefix cache. The same
1,000 prompts were sent again and again to one server: at 200 requests/s the prompts alone would
take 1.2 times the data sheet's peak of the four GPUs, yet the median TTFT stayed at 0.12 s. vLLM
shares whole blocks of 16 tokens, so about half a block is left to compute."""


def nlr_rows(data: Path) -> list[Row]:
    """TPOT of NLR's sweeps at `NLR_RATES_PER_S`, medians over repetitions."""
    table = pd.read_csv(data / "steady_state/nlr_inference_online_finite_llama3_70b.csv")
    table = table[table["completed"] == 1000]
    rows = []
    for (path, limit, rate), runs in table.groupby(
        ["dataset-path", "hf-output-len", "request_rate_x"]
    ):
        if rate not in NLR_RATES_PER_S:
            continue
        found = runs.median(numeric_only=True)
        tpot_s = found["mean_tpot_ms"] / 1e3
        output = found["total_output_tokens"] / 1000.0
        prompt = found["total_input_tokens"] / 1000.0
        prompts = rate * tpot_s
        rows.append(
            Row(
                series=f"nlr {path.split('/')[1]} {limit}",
                source="nlr",
                gpu=GPUS["H100"],
                model="llama-3-70b",
                tensor_parallel=4,
                expert_parallel=1,
                batch=rate * found["mean_e2el_ms"] / 1e3,
                context=prompt + 0.7 * output,
                measured_s=tpot_s,
                chunk=prompts * NLR_COMPUTED_TOKENS,
                prompts=prompts,
            )
        )
    return rows


RATE_BATCHES = (1, 2, 4, 8, 16, 32)
RATE_OUTPUT_TOKENS = 218.0
"""Mean answer; this, the mean prompt and the variation are those of the shipped ShareGPT fit."""


def decode_rate_rows(data: Path, catalogue: Catalogue) -> list[Row]:
    """Mean iterations behind the published decode rates by concurrency.

    A request's decoding holds the prefill of those that come meanwhile: as in a closed loop, B / o
    prompts an iteration.
    """
    table = json.loads((data / "published/request_throughput.json").read_text())["configs"]
    rows = []
    for name, config in table.items():
        model, hardware, parallel = name.rsplit("_", 2)
        if model not in catalogue.models:
            continue
        gpus = int(parallel.removeprefix("tp"))
        for batch, rate in config["decode_by_concurrency"]:
            if batch in RATE_BATCHES:
                rows.append(
                    Row(
                        series=f"rates {hardware} {model} x{gpus} sharegpt",
                        source="rates",
                        gpu=GPUS[hardware],
                        model=model,
                        tensor_parallel=gpus,
                        expert_parallel=1,
                        batch=float(batch),
                        context=PROMPT_TOKENS["sharegpt"]
                        + RATE_OUTPUT_TOKENS * (1.0 + OUTPUT_CV2["sharegpt"]) / 2.0,
                        measured_s=1.0 / rate,
                        throughput_tokens_s=batch * rate,
                        output_tokens=RATE_OUTPUT_TOKENS,
                    )
                )
    return rows


def vllm_runs(data: Path) -> list[Path]:
    """Folders of the measured vLLM runs."""
    return sorted(path.parent for path in (data / "measured/vllm_runs").glob("*/requests.csv"))


def all_rows(data: Path) -> list[Row]:
    """Every row of every source."""
    rows = ml_energy_rows(data) + nlr_rows(data)
    rows += decode_rate_rows(data, load_catalogue(timing_fits=False))
    for run in vllm_runs(data):
        rows += engine_rows(run)
    return rows
