"""Measured runs: an engine's metrics log and a GPU's power log, as a ledger and its watts.

A run folder holds `manifest.json` (GPU, tensor parallel size, model, settings, clocks),
`power.csv` (local wall time, W per GPU) and `engine.csv` (unix time, running, waiting, KV
fraction, running totals of prompt tokens, generated tokens and iterations).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.learn.logs import RunError, read_engine, read_manifest, read_power
from dcsim.scenario.catalogue import Catalogue, Gpu, ServedModel, timing_of

Float64 = npt.NDArray[np.float64]
POWER_STEP_S = 0.25
MAX_GAP_STEPS = 6
"""Longer gaps in the power log are refused (the published limit, 4 steps, refuses a run with a
gap of 1.07 s)."""
SLIP_SHARE = 0.6
"""While the engine works, a sample this far below both neighbours is the meter's slip."""


@dataclass(frozen=True)
class LedgerSeries:
    """A ledger over time of one replica: every column of `WorkLedger`, shape (steps,)."""

    config: ReplicaConfig
    step_s: float
    columns: dict[str, Float64]

    def __len__(self) -> int:
        return len(self.columns["running"])

    def ledger(self) -> WorkLedger:
        """All steps at once, as if they were replicas: for models without memory."""
        columns: dict[str, Any] = dict(self.columns)
        columns["state"] = columns["state"].astype(np.int64)
        return WorkLedger(step_s=self.step_s, **columns)

    def at(self, step: int) -> WorkLedger:
        """One step, for one replica."""
        columns: dict[str, Any] = {name: c[step : step + 1] for name, c in self.columns.items()}
        columns["state"] = columns["state"].astype(np.int64)
        return WorkLedger(step_s=self.step_s, **columns)


@dataclass(frozen=True)
class MeasuredRun:
    """One run: its work and, at the same steps, the watts of all its GPUs."""

    name: str
    series: LedgerSeries
    power_w: Float64
    start_s: float = math.nan
    """Unix time at which the first step begins; NaN where it has none."""


def read_run(folder: Path, catalogue: Catalogue) -> MeasuredRun:
    """Read and align one run folder.

    Raises RunError when a file, a column or a model is missing, when power has a long gap, or
    when the two logs do not overlap for a minute.
    """
    manifest = read_manifest(folder)
    gpu = _gpu(manifest, catalogue, folder)
    model = _model(manifest, catalogue, folder)
    parallel = manifest["tp"]
    if parallel not in gpu.timing.per_message_s:
        raise RunError(f"{folder}: the catalogue has no timing of {gpu.name} at tp {parallel}")
    power_at_s, power_w = read_power(folder, manifest)
    engine = read_engine(folder)
    gap_s = float(np.diff(power_at_s).max())
    if gap_s > MAX_GAP_STEPS * POWER_STEP_S:
        raise RunError(f"{folder}: power.csv has a gap of {gap_s:.1f} s")
    power_w = _without_slips(power_at_s, power_w, engine)
    start_s = max(power_at_s[0], engine["epoch"][0])
    end_s = min(power_at_s[-1], engine["epoch"][-1])
    if end_s - start_s < 60.0:
        raise RunError(f"{folder}: the power and engine logs share less than a minute")
    edges_s = np.arange(start_s, end_s, POWER_STEP_S)
    config = ReplicaConfig(
        gpu=gpu.name,
        model=model.name,
        tensor_parallel=parallel,
        peak_flops_per_gpu=gpu.peak_flops,
        hbm_bandwidth_per_gpu=gpu.hbm_bandwidth_bytes_s,
        hbm_bytes_per_gpu=gpu.hbm_bytes,
        gpu_nameplate_w=gpu.nameplate_w,
        weight_bytes=model.weight_bytes,
    )
    columns = _columns(engine, edges_s, config, model, gpu)
    return MeasuredRun(
        name=folder.name,
        start_s=float(edges_s[0]),
        series=LedgerSeries(config, POWER_STEP_S, columns),
        power_w=np.interp(edges_s[1:], power_at_s, power_w),
    )


def _columns(
    engine: dict[str, Float64],
    edges_s: Float64,
    config: ReplicaConfig,
    model: ServedModel,
    gpu: Gpu,
) -> dict[str, Float64]:
    """Ledger columns from the engine's counters, on the steps between `edges_s`.

    The counters do not tell FLOPs, bytes or busy time: those follow from tokens, iterations and
    KV use by reference-method.md 4.2, contexts taken as what the KV cache held.
    """
    epoch = engine["epoch"]

    def rate(name: str) -> Float64:
        return np.maximum(np.diff(np.interp(edges_s, epoch, engine[name])), 0.0)

    def level(name: str) -> Float64:
        return np.interp(edges_s[1:], epoch, engine[name])

    prefill, generated = rate("prompt_total"), rate("generation_total")
    running, waiting, kv = level("running"), level("waiting"), level("kv")
    iterations = (
        rate("iterations") if "iterations" in engine else generated / np.maximum(running, 1)
    )
    # An idle engine holds one block, which gives the number of blocks (vLLM 0.10).
    one_block = float(engine["kv"][engine["kv"] > 0].min())
    context = np.maximum(kv / one_block - 1.0, 0.0) * 16.0
    prompts = max(float(engine["prompt_total"][-1]), 1.0)
    finished = max(float(np.count_nonzero(np.diff(engine["prompt_total"]))), 1.0)
    mean_prompt = prompts / finished
    parallel = config.tensor_parallel
    timing = timing_of(model, gpu)
    flops_token = 2.0 * model.active_params * (1.0 - 0.5 * model.fp8_share)
    flops_logit = 2.0 * model.head_params
    pair = 4.0 * model.n_heads * model.head_dim * model.full_layers
    kv_bytes = model.kv_bytes_per_token - model.sliding_kv_bytes_per_token
    tokens = (prefill + generated) / np.maximum(iterations, 1.0)
    read = read_bytes(model, tokens, timing.routing)
    flops = (
        flops_token * (prefill + generated)
        + flops_logit * generated
        + pair * (iterations * context + prefill * mean_prompt / 2)
    )
    moved = read * iterations + kv_bytes * (iterations * context + generated + 2.0 * prefill)
    active = level("running") > 0
    before = np.interp(edges_s[:-1], epoch, engine["running"]) > 0
    # At the edge of an idle time: what the roofline says that the counted work took.
    took_s = (
        np.maximum(
            flops / (timing.eff_flops * gpu.peak_flops * parallel),
            moved / (timing.eff_bandwidth * gpu.hbm_bandwidth_bytes_s * parallel),
        )
        + iterations * 2 * model.n_layers * timing.per_message_s[parallel]
    ) * timing.factor
    busy = np.where(active & before, 1.0, np.minimum(took_s / POWER_STEP_S, 1.0))
    busy = np.where((iterations > 0) | (prefill > 0) | active, busy, 0.0)
    peak = config.peak_flops_per_gpu * parallel * POWER_STEP_S
    bandwidth = config.hbm_bandwidth_per_gpu * parallel * POWER_STEP_S
    state = np.full(len(busy), float(GpuState.IDLE))
    state[busy > 0] = GpuState.DECODE
    state[(prefill > 0) & (generated > 0)] = GpuState.MIXED
    return {
        "running": running,
        "waiting": waiting,
        "prefill_tokens": prefill,
        "decode_tokens": generated,
        "iterations": iterations,
        "busy_fraction": busy,
        "kv_fraction": np.clip(kv, 0.0, 1.0),
        "compute_util": np.minimum(flops / peak, 1.0),
        "memory_util": np.minimum(moved / bandwidth, 1.0),
        "state": state,
    }


def read_bytes(model: ServedModel, tokens: Float64, routing: float) -> Float64:
    """Bytes of weights that an iteration of so many tokens reads: all but the experts that no
    token asks for (as in `dcsim.serving.timing`)."""
    dense = (model.transformer_params - model.expert_params) * model.bytes_per_param
    experts = model.expert_params * model.expert_bytes_per_param
    asked = 1.0 - (1.0 - model.active_share) ** (tokens**routing)
    found: Float64 = dense + model.head_params * model.head_bytes_per_param + experts * asked
    return found


def _without_slips(at_s: Float64, power_w: Float64, engine: dict[str, Float64]) -> Float64:
    """Replace single samples that fall out of a working stretch by their neighbours' mean."""
    clean = power_w.copy()
    around = np.minimum(power_w[:-2], power_w[2:])
    working = np.interp(at_s, engine["epoch"], np.minimum(engine["running"], 1.0)) == 1.0
    steady = working[:-2] & working[1:-1] & working[2:]
    slips = np.flatnonzero(steady & (power_w[1:-1] < SLIP_SHARE * around)) + 1
    clean[slips] = 0.5 * (power_w[slips - 1] + power_w[slips + 1])
    return clean


def _gpu(manifest: dict[str, Any], catalogue: Catalogue, folder: Path) -> Gpu:
    for gpu in catalogue.gpus.values():
        if gpu.name.startswith(str(manifest["hardware"]).lower()):
            return gpu
    raise RunError(f"{folder}: the catalogue has no GPU {manifest['hardware']}")


def _model(manifest: dict[str, Any], catalogue: Catalogue, folder: Path) -> ServedModel:
    name = str(manifest["model"]).rsplit("/", maxsplit=1)[-1].lower()
    if name not in catalogue.models:
        raise RunError(f"{folder}: the catalogue has no model {manifest['model']}")
    return catalogue.models[name]
