"""An engine's counters as ledger columns: what its log does not tell follows from what it does."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.models import ServedModel
from dcsim.hardware.timing import timing_of
from dcsim.ledger import GpuState, ReplicaConfig
from dcsim.power.learn.prompts import Prompts

POWER_STEP_S = 0.25
BLOCK_TOKENS = 16.0
KV_SHARE = 0.9
"""Of GPU memory, for weights and KV cache together (vLLM's default)."""
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
    KV use by reference-method.md 4.2, contexts taken as what the KV cache held.
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
        + pair * (iterations * context + prefill * mean_context)
    )
    moved = read * iterations + kv_bytes * (iterations * context + generated + 2.0 * prefill)
    active = running > 0
    before = np.interp(edges_s[:-1], epoch, engine["running"]) > 0
    # At the edge of an idle time: what the roofline says that the counted work took.
    took_s = _roofline_s(flops, moved, iterations, model, gpu, parallel)
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


def computed_total(engine: dict[str, FloatArray]) -> FloatArray:
    """Prompt tokens that the engine computed: all but those that its prefix cache held."""
    if "cached_total" not in engine:
        return engine["prompt_total"]
    computed = engine["prompt_total"] - engine["cached_total"]
    return np.maximum.accumulate(computed)  # the cache's counter may run ahead of the prompts'


def prompt_seconds(tokens: FloatArray, model: ServedModel, gpu: Gpu, parallel: int) -> FloatArray:
    """What prompts of so many tokens take alone, by the roofline."""
    pair = 4.0 * model.n_heads * model.head_dim * model.full_layers
    flops = 2.0 * model.active_params * (1.0 - 0.5 * model.fp8_share) * tokens
    flops += pair * tokens * tokens / 2.0 + 2.0 * model.head_params
    moved = read_bytes(model, tokens, timing_of(model, gpu).routing)
    return _roofline_s(flops, moved, np.ones_like(tokens), model, gpu, parallel)


def _roofline_s(
    flops: FloatArray,
    moved: FloatArray,
    iterations: FloatArray,
    model: ServedModel,
    gpu: Gpu,
    parallel: int,
) -> FloatArray:
    timing = timing_of(model, gpu)
    found: FloatArray = (
        np.maximum(
            flops / (timing.eff_flops * gpu.peak_flops * parallel),
            moved / (timing.eff_bandwidth * gpu.hbm_bandwidth_bytes_s * parallel),
        )
        + iterations * 2 * model.n_layers * timing.per_message_s[parallel]
    ) * timing.factor
    return found


def _one_block(
    kv: FloatArray, config: ReplicaConfig, model: ServedModel, kv_blocks: int | None
) -> float:
    """Share of the KV cache that one block is."""
    if kv_blocks:
        return 1.0 / kv_blocks
    least = float(kv[kv > 0].min())
    spare = KV_SHARE * config.hbm_bytes_per_gpu * config.gpus - config.weight_bytes
    held = model.held_kv_bytes_per_token * BLOCK_TOKENS
    if spare > held and least > FIRST_BLOCKS * held / spare:
        return held / spare
    return least


def read_bytes(model: ServedModel, tokens: FloatArray, routing: float) -> FloatArray:
    """Bytes of weights that an iteration of so many tokens reads: all but the experts that no
    token asks for (as in `dcsim.hardware.roofline`)."""
    dense = (model.transformer_params - model.expert_params) * model.bytes_per_param
    experts = model.expert_params * model.expert_bytes_per_param
    asked = 1.0 - (1.0 - model.active_share) ** (tokens**routing)
    found: FloatArray = dense + model.head_params * model.head_bytes_per_param + experts * asked
    return found
