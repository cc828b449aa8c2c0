"""An engine's counters as ledger columns: what its log does not tell follows from what it does."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.kv import BLOCK_TOKENS, kv_capacity_blocks
from dcsim.hardware.models import ServedModel
from dcsim.hardware.roofline import IterationModel
from dcsim.lab.learn.prompts import Prompts
from dcsim.ledger import GpuState, ReplicaConfig

POWER_STEP_S = 0.25
SLIVER = 1e-6
"""Of an iteration."""
MAX_CHUNK_TOKENS = 8192.0
"""Tokens of a prompt in one iteration, vLLM's default budget on these GPUs."""
FIRST_BLOCKS = 4.0
"""Some engines show one block in use while idle (vLLM 0.10). Where the least ever shown is more
than so many times the size of one that memory implies, it is not that block."""


def ledger_columns(
    epoch: FloatArray,
    engine: dict[str, FloatArray],
    edges_s: FloatArray,
    config: ReplicaConfig,
    model: ServedModel,
    gpu: Gpu,
    kv_blocks: int | None = None,
    prompts: Prompts | None = None,
) -> dict[str, FloatArray]:
    """Ledger columns from the engine's counters at `epoch`, on the steps between `edges_s`; those
    of prompts by `prompts` where it is known when they were computed. Amounts are those of a whole
    step of POWER_STEP_S, however long each is.

    The counters do not tell FLOPs, bytes or busy time: those follow from tokens, iterations and
    KV use by the work and time of the step's mean iteration (`dcsim.hardware.roofline`), contexts
    taken as what the KV cache held.
    """

    whole = POWER_STEP_S / np.diff(edges_s)

    def rate(at_s: FloatArray, total: FloatArray) -> FloatArray:
        return np.maximum(np.diff(np.interp(edges_s, at_s, total)), 0.0) * whole

    def level(name: str) -> FloatArray:
        return np.interp(edges_s[1:], epoch, engine[name])

    # What the prefix cache answered was asked, and not computed.
    computed = computed_total(engine)
    if prompts is None:
        prefill = rate(epoch, computed)
    else:
        prefill = rate(prompts.at_s, np.interp(prompts.total, engine["prompt_total"], computed))
    generated = rate(epoch, engine["generation_total"])
    running, waiting, kv = level("running"), level("waiting"), level("kv")
    if "iterations" in engine:
        iterations = rate(epoch, engine["iterations"])
    else:
        iterations = generated / np.maximum(running, 1)
    one_block = _one_block(engine["kv"], config, model, kv_blocks)
    context = np.maximum(kv / one_block - 1.0, 0.0) * BLOCK_TOKENS
    past = float(engine["prompt_total"][0])
    # A counter that has just begun shows a token of the engine's own start; that is no past.
    asked = max(float(engine["prompt_total"][-1]) - (past if past > BLOCK_TOKENS else 0.0), 1.0)
    finished = max(float(np.count_nonzero(np.diff(engine["prompt_total"]))), 1.0)
    mean_prompt = asked / finished
    # A token attends to all before it: on average the cached part and half of the rest.
    cached = 1.0 - min(float(computed[-1] - computed[0]) / asked, 1.0)
    mean_context = mean_prompt * 0.5 * (1.0 + (cached if "cached_total" in engine else 0.0))
    # Iterations of two kinds, each like its mean: those with a prompt, and those that only decode.
    # Amounts without an iteration are those of a sliver of one.
    count = np.maximum(iterations, SLIVER)
    mean_computed = max(float(computed[-1] - computed[0]) / finished, 1.0)
    done = prefill / mean_computed
    with_prompt = np.minimum(done * max(1.0, mean_computed / MAX_CHUNK_TOKENS), count)
    batch = np.maximum(generated - done, 0.0) / count  # a prompt's first token is not decoded
    each = np.maximum(with_prompt, SLIVER)
    none = np.zeros_like(prefill)
    sums = (prefill, prefill * mean_context, done * mean_context + prefill, done)
    kinds = (
        (with_prompt, np.column_stack([batch, context, *(total / each for total in sums)])),
        (count - with_prompt, np.column_stack([batch, context, none, none, none, none])),
    )
    timing = iteration_model(model, gpu, config)
    flops, moved = np.zeros_like(prefill), np.zeros_like(prefill)
    took_s = np.zeros_like(prefill)
    active = running > 0
    before = np.interp(edges_s[:-1], epoch, engine["running"]) > 0
    worked = (iterations > 0) | (prefill > 0)
    for number, shapes in kinds:
        for step in np.flatnonzero(worked & (number > 0)):
            shape = shapes[step].tolist()
            each_flops, each_moved = timing.work(*shape)
            flops[step] += number[step] * each_flops
            moved[step] += number[step] * each_moved
            took_s[step] += number[step] * timing.mixed_s(*shape)
    # At the edge of an idle time GPUs are busy for as long as the counted work took.
    busy = np.where(active & before, 1.0, np.minimum(took_s / POWER_STEP_S, 1.0))
    peak = config.peak_flops_per_gpu * config.gpus * POWER_STEP_S
    bandwidth = config.hbm_bandwidth_per_gpu * config.gpus * POWER_STEP_S
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


def computed_total(engine: dict[str, FloatArray]) -> FloatArray:
    """Prompt tokens that the engine computed: all but those that its prefix cache held."""
    if "cached_total" not in engine:
        return engine["prompt_total"]
    computed = engine["prompt_total"] - engine["cached_total"]
    return np.maximum.accumulate(computed)  # the cache's counter may run ahead of the prompts'


def iteration_model(model: ServedModel, gpu: Gpu, config: ReplicaConfig) -> IterationModel:
    """Time and work of the configuration's iterations, as the simulator plays them."""
    return IterationModel(
        model, gpu, config.tensor_parallel, 1, config.pipeline_parallel, config.expert_parallel
    )


def prompt_seconds(
    tokens: FloatArray, model: ServedModel, gpu: Gpu, config: ReplicaConfig
) -> FloatArray:
    """What prompts of so many tokens take alone, each in one iteration."""
    timing = iteration_model(model, gpu, config)
    return np.array([timing.mixed_s(0, 0, n, 0.5 * n * n, 1.5 * n, 1) for n in tokens.tolist()])


def _one_block(
    kv: FloatArray, config: ReplicaConfig, model: ServedModel, kv_blocks: int | None
) -> float:
    """Share of the KV cache that one block is."""
    if kv_blocks:
        return 1.0 / kv_blocks
    least = float(kv[kv > 0].min())
    blocks = kv_capacity_blocks(model, config.hbm_bytes_per_gpu, config.gpus)
    if blocks > 1 and least > FIRST_BLOCKS / blocks:
        return 1.0 / blocks
    return least
