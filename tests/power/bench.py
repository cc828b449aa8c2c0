"""Small ledgers and packs for the power tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from dcsim.hardware.catalogue import load_catalogue
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.features import FEATURES
from dcsim.power.pack import Pack, States

CATALOGUE = load_catalogue()
LLAMA = CATALOGUE.replica_config("llama-3-70b", "a100-sxm-80gb", 8)
QWEN = CATALOGUE.replica_config("qwen3-8b", "a100-sxm-80gb", 1)


def ledger(count: int, seed: int = 0, **columns: Any) -> WorkLedger:
    """A plausible random step of `count` replicas; given columns override."""
    rng = np.random.default_rng(seed)
    busy = rng.uniform(0, 1, count)
    table: dict[str, Any] = {
        "running": np.rint(rng.uniform(0, 30, count)),
        "waiting": np.zeros(count),
        "prefill_tokens": rng.uniform(0, 500, count) * busy,
        "decode_tokens": rng.uniform(0, 300, count) * busy,
        "iterations": 10 * busy,
        "busy_fraction": busy,
        "kv_fraction": rng.uniform(0, 0.5, count),
        "compute_util": rng.uniform(0, 0.4, count) * busy,
        "memory_util": rng.uniform(0, 0.8, count) * busy,
        "state": np.full(count, int(GpuState.DECODE)),
    }
    table.update(columns)
    return WorkLedger(step_s=0.25, **table)


def small_pack(*configs: ReplicaConfig, seed: int = 3) -> Pack:
    """A pack with random weights, three states a configuration."""
    rng = np.random.default_rng(seed)
    hidden, inputs = 5, len(FEATURES)

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.7, shape).astype(np.float32)

    return Pack(
        name="small",
        step_s=0.25,
        feature_mean=numbers(inputs),
        feature_std=np.abs(numbers(inputs)) + 0.2,
        weight_ih=numbers(3 * hidden, inputs),
        weight_hh=numbers(3 * hidden, hidden),
        bias_ih=numbers(3 * hidden),
        bias_hh=numbers(3 * hidden),
        configs={
            config.key: States(
                mean_w=np.array([80, 200, 320], np.float32) * config.tensor_parallel,
                std_w=np.array([2, 20, 10], np.float32) * config.tensor_parallel,
                head_weight=numbers(3, hidden),
                head_bias=numbers(3),
                state_correlation=0.8,
                noise_correlation=0.5,
                evidence="fitted",
                source="made up for a test",
                figures={"energy_error": 0.01},
            )
            for config in configs
        },
        notes="a note",
    )
