"""Runs whose truth is known, and a recipe that trains on them in seconds."""

from __future__ import annotations

import numpy as np

from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.train import Recipe
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.ledger import GpuState
from tests.power.bench import QWEN

QUICK = Recipe(updates=180, hidden=8, window_steps=64, batch_windows=8)


def made_up_run(seed: int, steps: int = 600) -> MeasuredRun:
    """Work that comes and goes, and watts that follow it with noise: a run whose truth is known."""
    rng = np.random.default_rng(seed)
    busy = np.repeat(rng.integers(0, 2, steps // 20), 20).astype(np.float64)
    columns = {
        "running": 4 * busy,
        "waiting": 0 * busy,
        "prefill_tokens": 50 * busy,
        "decode_tokens": 60 * busy,
        "iterations": 12 * busy,
        "busy_fraction": busy,
        "kv_fraction": 0.1 * busy,
        "compute_util": 0.1 * busy,
        "memory_util": 0.6 * busy,
        "state": np.where(busy > 0, float(GpuState.DECODE), float(GpuState.IDLE)),
    }
    power_w = np.where(busy > 0, 300.0, 80.0) + rng.normal(0, 3.0, steps)
    return MeasuredRun(f"run-{seed}", LedgerSeries(QWEN, 0.25, columns), power_w)
