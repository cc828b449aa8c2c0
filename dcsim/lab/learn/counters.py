"""An engine's counters as ledger columns: what its log does not tell follows from what it does."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import BLOCK_TOKENS, kv_capacity_blocks
from dcsim.hardware.roofline import IterationModel
from dcsim.lab.learn.prompts import Prompts
from dcsim.lab.ledger_series import POWER_STEP_S
from dcsim.ledger import GpuState, ReplicaConfig

SLIVER = 1e-6
"""Of an iteration."""
MAX_CHUNK_TOKENS = 8192.0
"""Tokens of a prompt in one iteration, vLLM's default budget on these GPUs."""
FIRST_BLOCKS = 4.0
"""Some engines show one block in use while idle (vLLM 0.10). Where the least ever shown is more
than so many times the size of one that memory implies, it is not that block."""


def ledger_columns(
    at_s: FloatArray,
    counters: dict[str, FloatArray],
    edges_s: FloatArray,
    config: ReplicaConfig,
    catalogue: Catalogue,
    kv_blocks: int | None = None,
    prompts: Prompts | None = None,
) -> dict[str, FloatArray]:
    """Ledger columns from an engine's counters.

    The counters say nothing of FLOPs, bytes or busy time: those follow from tokens, iterations and
    KV use by the work and time of the step's mean iteration (`dcsim.hardware.roofline`), contexts
    taken as what the KV cache held.

    Parameters
    ----------
    at_s, counters
        When the counters were read, shape (n,), and what they said, as `readers.EngineLog` has
        them.
    edges_s
        Times between which the steps lie, shape (steps + 1,).
    kv_blocks
        Size of the KV cache; None: as the counters or the GPU's memory imply.
    prompts
        When prompts were computed; None: as the engine counted them.

    Returns
    -------
    dict
        Columns of `WorkLedger`, shape (steps,). Amounts are those of a whole step of POWER_STEP_S,
        however long each is.
    """
    whole = POWER_STEP_S / np.diff(edges_s)

    def rate(at_s: FloatArray, total: FloatArray) -> FloatArray:
        return np.maximum(np.diff(np.interp(edges_s, at_s, total)), 0.0) * whole

    def gauge(name: str) -> FloatArray:
        return np.interp(edges_s[1:], at_s, counters[name])

    # Tokens that the prefix cache held were in prompts, and not computed.
    computed = computed_total(counters)
    if prompts is None:
        prefill = rate(at_s, computed)
    else:
        prefill = rate(prompts.at_s, np.interp(prompts.total, counters["prompt_total"], computed))
    generated = rate(at_s, counters["generation_total"])
    running, kv = gauge("running"), gauge("kv")
    if "iterations" in counters:
        iterations = rate(at_s, counters["iterations"])
    else:
        iterations = generated / np.maximum(running, 1)
    context = np.maximum(kv / _one_block(counters["kv"], config, catalogue, kv_blocks) - 1.0, 0.0)
    shapes = _shapes(counters, computed, prefill, generated, iterations, BLOCK_TOKENS * context)
    worked = (iterations > 0) | (prefill > 0)
    timing = iteration_model(config, catalogue)
    flops, moved, took_s = (np.zeros_like(prefill) for _ in range(3))
    for number, shape_of in shapes:
        for step in np.flatnonzero(worked & (number > 0)):
            shape = shape_of[step].tolist()
            iteration_flops, iteration_bytes = timing.work(*shape)
            flops[step] += number[step] * iteration_flops
            moved[step] += number[step] * iteration_bytes
            took_s[step] += number[step] * timing.mixed_s(*shape)
    # At the edge of an idle time GPUs are busy for as long as the counted work took.
    throughout = (running > 0) & (np.interp(edges_s[:-1], at_s, counters["running"]) > 0)
    busy = np.where(throughout, 1.0, np.minimum(took_s / POWER_STEP_S, 1.0))
    peak = config.peak_flops_per_gpu * config.gpus * POWER_STEP_S
    bandwidth = config.hbm_bandwidth_per_gpu * config.gpus * POWER_STEP_S
    state = np.full(len(busy), float(GpuState.IDLE))
    state[busy > 0] = GpuState.DECODE
    state[(prefill > 0) & (generated > 0)] = GpuState.MIXED
    return {
        "running": running,
        "waiting": gauge("waiting"),
        "prefill_tokens": prefill,
        "decode_tokens": generated,
        "iterations": iterations,
        "busy_fraction": busy,
        "kv_fraction": np.clip(kv, 0.0, 1.0),
        "compute_util": np.minimum(flops / peak, 1.0),
        "memory_util": np.minimum(moved / bandwidth, 1.0),
        "state": state,
    }


def _shapes(
    counters: dict[str, FloatArray],
    computed: FloatArray,
    prefill: FloatArray,
    generated: FloatArray,
    iterations: FloatArray,
    context: FloatArray,
) -> list[tuple[FloatArray, FloatArray]]:
    """Iterations of two kinds, each like its mean: those with a prompt, and those that only decode.

    For each kind how many a step has, shape (steps,), and the arguments of `IterationModel.work`,
    shape (steps, 6).
    """
    past = float(counters["prompt_total"][0])
    # A counter that has just begun shows a token of the engine's own start; that is no past.
    tokens = float(counters["prompt_total"][-1]) - (past if past > BLOCK_TOKENS else 0.0)
    tokens = max(tokens, 1.0)
    finished = max(float(np.count_nonzero(np.diff(counters["prompt_total"]))), 1.0)
    mean_prompt = tokens / finished
    # A token attends to all before it: on average the cached part and half of the rest.
    cached = 1.0 - min(float(computed[-1] - computed[0]) / tokens, 1.0)
    mean_context = mean_prompt * 0.5 * (1.0 + (cached if "cached_total" in counters else 0.0))
    # Amounts without an iteration are those of a sliver of one.
    count = np.maximum(iterations, SLIVER)
    mean_computed = max(float(computed[-1] - computed[0]) / finished, 1.0)
    done = prefill / mean_computed
    with_prompt = np.minimum(done * max(1.0, mean_computed / MAX_CHUNK_TOKENS), count)
    batch = np.maximum(generated - done, 0.0) / count  # a prompt's first token is not decoded
    divisor = np.maximum(with_prompt, SLIVER)
    none = np.zeros_like(prefill)
    sums = (prefill, prefill * mean_context, done * mean_context + prefill, done)
    return [
        (with_prompt, np.column_stack([batch, context, *(total / divisor for total in sums)])),
        (count - with_prompt, np.column_stack([batch, context, none, none, none, none])),
    ]


def computed_total(counters: dict[str, FloatArray]) -> FloatArray:
    """Prompt tokens that the engine computed: all but those that its prefix cache held."""
    if "cached_total" not in counters:
        return counters["prompt_total"]
    computed = counters["prompt_total"] - counters["cached_total"]
    return np.maximum.accumulate(computed)  # the cache's counter may run ahead of the prompts'


def iteration_model(config: ReplicaConfig, catalogue: Catalogue) -> IterationModel:
    """Time and work of the configuration's iterations, as the simulator plays them."""
    return IterationModel(
        catalogue.model(config.model),
        catalogue.gpu(config.gpu),
        config.tensor_parallel,
        1,
        config.pipeline_parallel,
        config.expert_parallel,
    )


def prompt_seconds(tokens: FloatArray, config: ReplicaConfig, catalogue: Catalogue) -> FloatArray:
    """What prompts of so many tokens take alone, each in one iteration."""
    timing = iteration_model(config, catalogue)
    return np.array([timing.mixed_s(0, 0, n, 0.5 * n * n, 1.5 * n, 1) for n in tokens.tolist()])


def _one_block(
    kv: FloatArray, config: ReplicaConfig, catalogue: Catalogue, kv_blocks: int | None
) -> float:
    """Share of the KV cache that one block is."""
    if kv_blocks:
        return 1.0 / kv_blocks
    least = float(kv[kv > 0].min())
    model = catalogue.model(config.model)
    blocks = kv_capacity_blocks(model, config.hbm_bytes_per_gpu, config.gpus)
    if blocks > 1 and least > FIRST_BLOCKS / blocks:
        return 1.0 / blocks
    return least
