"""What a power model says of steady work: how a governor knows an iteration's watts beforehand.

A power model answers at the end of a power step; an iteration under a cap must know its clock when
it begins. So each model is shown steady stretches of work first, on copies of their own: GPUs at
rest, prompts of several lengths, answers of several batches. What it says of them, over what the
published linear model says, is taken for iterations in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.roofline import IterationModel
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.model import PowerModel

PROMPTS = (128, 512, 2048, 8192)
BATCHES = (1, 4, 16, 64, 256)
CONTEXT = 1000
"""Tokens of context of each decode shown."""
SETTLE, KEEP, COPIES = 8, 8, 32
"""Steps before a model is believed, steps that count, and copies at a time: a model that draws
watts at random is known to a few tenths of a per cent of their spread."""
DISTINCT = 1.1
"""A model that draws no more than so many times its rest when busy knows no rest."""


@dataclass(frozen=True, slots=True)
class SteadyWatts:
    """A configuration's steady watts, all GPUs of a replica together."""

    rest_w: float
    """At rest. Watts up to it follow no clock."""
    random: bool
    """The model draws watts at random."""
    prompts: tuple[float, ...]
    """Watts above rest over the linear model's, by tokens of an iteration's prompts."""
    batches: tuple[float, ...]
    """The same by answers in the batch."""

    def ratio(self, prefill: int, decode: int) -> float:
        """The model's watts above rest over the linear model's, for an iteration with so many
        tokens of prompts and answers."""
        if not prefill:
            return _between(decode, BATCHES, self.batches)
        prompts = _between(prefill, PROMPTS, self.prompts)
        if not decode:
            return prompts
        share = prefill / (prefill + decode)
        return share * prompts + (1.0 - share) * _between(decode, BATCHES, self.batches)


def steady_watts(
    build: Callable[[Sequence[ReplicaConfig]], PowerModel],
    config: ReplicaConfig,
    prior: LinearLedger,
    timing: IterationModel,
    idle_w: float,
    step_s: float,
) -> SteadyWatts:
    """Show a power model steady work. `idle_w` is the catalogue's, for models that know no rest."""
    rows = [_Row()]
    rows += [_prompt(timing, config, tokens) for tokens in PROMPTS]
    rows += [_answers(timing, config, batch) for batch in BATCHES]
    ledger = _ledger(rows, step_s)
    configs = [config] * len(ledger)
    model = build(configs)
    model.reset(configs, step_s, np.random.SeedSequence(0))
    prior.reset(configs, step_s, np.random.SeedSequence(0))
    linear_w = _mean(prior.step(ledger)[None], len(rows))
    drawn = []
    for step in range(SETTLE + KEEP):
        watts = model.step(ledger)
        if step >= SETTLE:
            drawn.append(np.array(watts, dtype=np.float64))
    watts = np.array(drawn)
    random = bool((np.ptp(watts.reshape(KEEP, len(rows), COPIES), axis=(0, 2)) > 1e-6).any())
    mean_w = _mean(watts, len(rows))
    rest_w = float(mean_w[0])
    if mean_w[1:].max() < DISTINCT * rest_w:
        rest_w = idle_w
    above = np.maximum(mean_w[1:] - rest_w, 0.0) / np.maximum(linear_w[1:] - linear_w[0], 1e-9)
    shares = [float(share) for share in above]
    prompts = len(PROMPTS)
    return SteadyWatts(rest_w, random, tuple(shares[:prompts]), tuple(shares[prompts:]))


@dataclass(frozen=True, slots=True)
class _Row:
    """A second of steady work."""

    state: GpuState = GpuState.IDLE
    running: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    iterations: float = 0.0
    kv: float = 0.0
    compute_util: float = 0.0
    memory_util: float = 0.0


def _prompt(timing: IterationModel, config: ReplicaConfig, tokens: int) -> _Row:
    pairs, reads = 0.5 * tokens * tokens, 1.5 * tokens
    seconds = timing.mixed_s(0, 0, tokens, pairs, reads, 1)
    flops, moved = timing.work(0, 0, tokens, pairs, reads, 1)
    return _Row(
        GpuState.PREFILL,
        running=1.0,
        prefill=tokens / seconds,
        iterations=1.0 / seconds,
        kv=0.05,
        compute_util=flops / seconds / (config.gpus * config.peak_flops_per_gpu),
        memory_util=moved / seconds / (config.gpus * config.hbm_bandwidth_per_gpu),
    )


def _answers(timing: IterationModel, config: ReplicaConfig, batch: int) -> _Row:
    context = CONTEXT * batch
    seconds = timing.mixed_s(batch, context, 0, 0.0, 0.0, 0)
    flops, moved = timing.work(batch, context, 0, 0.0, 0.0, 0)
    return _Row(
        GpuState.DECODE,
        running=float(batch),
        decode=batch / seconds,
        iterations=1.0 / seconds,
        kv=min(1.0, 0.002 * batch),
        compute_util=flops / seconds / (config.gpus * config.peak_flops_per_gpu),
        memory_util=moved / seconds / (config.gpus * config.hbm_bandwidth_per_gpu),
    )


def _ledger(rows: Sequence[_Row], step_s: float) -> WorkLedger:
    """All rows, `COPIES` of each side by side."""

    def column(values: list[float]) -> FloatArray:
        return np.repeat(np.array(values, dtype=np.float64), COPIES)

    return WorkLedger(
        step_s=step_s,
        running=column([row.running for row in rows]),
        waiting=column([0.0 for row in rows]),
        prefill_tokens=column([row.prefill * step_s for row in rows]),
        decode_tokens=column([row.decode * step_s for row in rows]),
        iterations=column([row.iterations * step_s for row in rows]),
        busy_fraction=column([float(row.state != GpuState.IDLE) for row in rows]),
        kv_fraction=column([row.kv for row in rows]),
        compute_util=column([row.compute_util for row in rows]),
        memory_util=column([row.memory_util for row in rows]),
        state=np.repeat(np.array([int(row.state) for row in rows], dtype=np.int64), COPIES),
    )


def _mean(watts: FloatArray, rows: int) -> FloatArray:
    """Of steps and copies, shape (rows,)."""
    mean_w: FloatArray = watts.reshape(len(watts), rows, COPIES).mean(axis=(0, 2))
    return mean_w


def _between(count: int, known: Sequence[int], values: Sequence[float]) -> float:
    """Interpolated over the logarithm of the count; held beyond the ends."""
    for place in range(1, len(known)):
        if count <= known[place]:
            if count <= known[place - 1]:
                return values[place - 1]
            low, high = known[place - 1], known[place]
            part = math.log(count / low) / math.log(high / low)
            return values[place - 1] + part * (values[place] - values[place - 1])
    return values[-1]
