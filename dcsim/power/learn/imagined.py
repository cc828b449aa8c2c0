"""Work beyond what was measured, so that a network does not have to guess there.

Measured campaigns seldom queue requests, fill the KV cache or prefill for minutes; a simulated
site under stress does. A network that has never seen such work may answer anything, idle power
included. So a share of its training is work made up here: stretches of steady load, drawn over
all that an engine can do, their iteration times from the catalogue's roofline
(reference-method.md 4.2 and 4.3). Their watts are carried over from those that were measured
(`targets`); beyond those, a prior says how much more, up to the board limit.
"""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.timing import timing_of
from dcsim.ledger import GpuState, ReplicaConfig
from dcsim.power.learn.counters import KV_SHARE, read_bytes
from dcsim.power.learn.runs import LedgerSeries

MAX_BATCH = 512
"""Largest batch imagined; vLLM's default is 256."""
MAX_CONTEXT_TOKENS = 8000.0
MAX_WAITING = 2000
MAX_CHUNK_TOKENS = 8192.0
"""Largest prefill chunk of an iteration, vLLM's default budget on these GPUs."""
STRETCH_STEPS = (4, 80)
"""Shortest and longest stretch of steady load, 1 to 20 s."""


def imagine(
    config: ReplicaConfig, catalogue: Catalogue, step_s: float, steps: int, seed: int
) -> LedgerSeries:
    """`steps` steps of made-up work: idle (a sixth), decode alone, prefill alone, both mixed."""
    rng = np.random.default_rng(seed)
    lengths: list[int] = []
    while sum(lengths) < steps:
        lengths.append(int(rng.integers(STRETCH_STEPS[0], STRETCH_STEPS[1] + 1)))
    count = len(lengths)
    kind = rng.choice(4, count, p=[1 / 6, 1 / 3, 1 / 6, 1 / 3])
    decodes, prefills = (kind == 1) | (kind == 3), (kind == 2) | (kind == 3)
    context = np.exp(rng.uniform(np.log(50), np.log(MAX_CONTEXT_TOKENS), count))
    batch = np.floor(np.exp(rng.uniform(0, np.log(MAX_BATCH + 1), count)))
    capacity = _kv_tokens(config, catalogue)
    batch = np.where(kind == 0, 0.0, np.maximum(1.0, np.minimum(batch, capacity // context)))
    chunk = prefills * np.exp(rng.uniform(np.log(16), np.log(MAX_CHUNK_TOKENS), count))
    queues = (kind > 0) & (rng.random(count) < 0.4)
    waiting = queues * np.floor(np.exp(rng.uniform(0, np.log(MAX_WAITING), count)))
    busy = np.where(rng.random(count) < 0.7, 1.0, rng.uniform(0.05, 1.0, count)) * (kind > 0)
    decoding = batch * decodes
    took_s, flops, moved = _iteration(config, catalogue, decoding, chunk, context)
    iterations = np.where(kind > 0, busy * step_s / took_s, 0.0)
    peak = config.peak_flops_per_gpu * config.tensor_parallel * step_s
    bandwidth = config.hbm_bandwidth_per_gpu * config.tensor_parallel * step_s
    state = np.array([GpuState.IDLE, GpuState.DECODE, GpuState.PREFILL, GpuState.MIXED])[kind]
    columns = {
        "running": batch,
        "waiting": waiting,
        "prefill_tokens": iterations * chunk,
        "decode_tokens": iterations * decoding,
        "iterations": iterations,
        "busy_fraction": busy,
        "kv_fraction": np.minimum(batch * context / capacity, 1.0),
        "compute_util": np.minimum(iterations * flops / peak, 1.0),
        "memory_util": np.minimum(iterations * moved / bandwidth, 1.0),
        "state": state.astype(np.float64),
    }
    drawn = {name: np.repeat(values, lengths)[:steps] for name, values in columns.items()}
    return LedgerSeries(config, step_s, drawn)


def _kv_tokens(config: ReplicaConfig, catalogue: Catalogue) -> float:
    held = KV_SHARE * config.hbm_bytes_per_gpu * config.tensor_parallel - config.weight_bytes
    return max(held, 0.0) / catalogue.models[config.model].held_kv_bytes_per_token


def _iteration(
    config: ReplicaConfig,
    catalogue: Catalogue,
    batch: FloatArray,
    chunk: FloatArray,
    context: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Seconds, FLOPs and bytes of one iteration of decodes and one prefill chunk."""
    model = catalogue.models[config.model]
    timing = timing_of(model, catalogue.gpus[config.gpu])
    pair = 4.0 * model.n_heads * model.head_dim * model.full_layers
    flops = (
        2.0 * model.active_params * (1.0 - 0.5 * model.fp8_share) * (batch + chunk)
        + 2.0 * model.head_params * batch
        + pair * context * (batch + 0.5 * chunk)
    )
    kv_bytes = model.kv_bytes_per_token - model.sliding_kv_bytes_per_token
    moved = read_bytes(model, batch + chunk, timing.routing)
    moved = moved + kv_bytes * (batch * context + batch + 2.0 * chunk)
    parallel = config.tensor_parallel
    took_s = np.maximum(
        flops / (timing.eff_flops * config.peak_flops_per_gpu * parallel),
        moved / (timing.eff_bandwidth * config.hbm_bandwidth_per_gpu * parallel),
    )
    took_s = took_s + 2 * model.n_layers * timing.per_message_s[parallel]
    return timing.factor * (took_s + timing.per_token_sample_s * batch), flops, moved
