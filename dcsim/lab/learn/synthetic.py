"""Work beyond what was measured, so that a network does not have to guess there.

Measured campaigns seldom queue requests, fill the KV cache or prefill for minutes; a simulated
site under stress does. A network that has never seen such work may answer anything, idle power
included. So a share of its training is synthetic: stretches of steady load, drawn over
all that an engine can do, their iteration times and work as the simulator
has them (`dcsim.hardware.roofline`). Their watts are carried over from those that were measured
(`transfer`); beyond those, a prior says how much more, up to the board limit.
"""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import kv_capacity_tokens
from dcsim.lab.learn.counters import MAX_CHUNK_TOKENS, iteration_model
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.ledger import GpuState, ReplicaConfig

MAX_BATCH = 512
"""Largest batch; vLLM's default is 256."""
MAX_CONTEXT_TOKENS = 8000.0
MAX_WAITING = 2000
STRETCH_STEPS = (4, 80)
"""Shortest and longest stretch of steady load, 1 to 20 s."""


def synthetic_work(
    config: ReplicaConfig, catalogue: Catalogue, step_s: float, steps: int, seed: int
) -> LedgerSeries:
    """`steps` steps of synthetic work: idle (a sixth), decode alone, prefill alone, both mixed."""
    rng = np.random.default_rng(seed)
    lengths: list[int] = []
    while sum(lengths) < steps:
        lengths.append(int(rng.integers(STRETCH_STEPS[0], STRETCH_STEPS[1] + 1)))
    count = len(lengths)
    kind = rng.choice(4, count, p=[1 / 6, 1 / 3, 1 / 6, 1 / 3])
    decodes, prefills = (kind == 1) | (kind == 3), (kind == 2) | (kind == 3)
    context = np.exp(rng.uniform(np.log(50), np.log(MAX_CONTEXT_TOKENS), count))
    batch = np.floor(np.exp(rng.uniform(0, np.log(MAX_BATCH + 1), count)))
    model = catalogue.models[config.model]
    capacity = kv_capacity_tokens(model, config.hbm_bytes_per_gpu, config.gpus)
    batch = np.where(kind == 0, 0.0, np.maximum(1.0, np.minimum(batch, capacity // context)))
    chunk = prefills * np.exp(rng.uniform(np.log(16), np.log(MAX_CHUNK_TOKENS), count))
    queues = (kind > 0) & (rng.random(count) < 0.4)
    waiting = queues * np.floor(np.exp(rng.uniform(0, np.log(MAX_WAITING), count)))
    busy = np.where(rng.random(count) < 0.7, 1.0, rng.uniform(0.05, 1.0, count)) * (kind > 0)
    decoding = batch * decodes
    took_s, flops, moved = _iteration(config, catalogue, decoding, chunk, context)
    iterations = np.where(kind > 0, busy * step_s / took_s, 0.0)
    peak = config.peak_flops_per_gpu * config.gpus * step_s
    bandwidth = config.hbm_bandwidth_per_gpu * config.gpus * step_s
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


def _iteration(
    config: ReplicaConfig,
    catalogue: Catalogue,
    batch: FloatArray,
    chunk: FloatArray,
    context: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Seconds, FLOPs and bytes of iterations with `batch` decodes and `chunk` tokens of prompts,
    all of them sequences of `context` tokens: a chunk is a part of one prompt, or several prompts;
    its tokens lie anywhere in their prompts."""
    timing = iteration_model(config, catalogue)
    pairs = 0.5 * chunk * context
    reads = chunk + np.where(chunk > 0, 0.5 * np.maximum(chunk, context), 0.0)
    shapes = np.column_stack([batch, batch * context, chunk, pairs, reads, chunk / context])
    rows = [(timing.mixed_s(*shape), *timing.work(*shape)) for shape in shapes.tolist()]
    took_s, flops, moved = np.array(rows).T
    return took_s, flops, moved
