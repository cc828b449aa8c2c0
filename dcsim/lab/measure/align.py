"""Clocks of different logs, brought together by what the logs themselves show: work and watts rise
and fall together. How sure the match is goes with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.learn.cleaning import Shift, find_shift
from dcsim.lab.learn.counters import computed_total

STEP_S = 0.25
SMALLEST_SHIFT_S = 0.3
"""Clocks that agree better are left alone (training's limit, too)."""
FULL_BATCH = 257.0


def work_signal(
    engine_at_s: FloatArray, columns: dict[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Ends of steps of 0.25 s, and what watts may follow: more when anything runs, slowly more with
    the batch, and more while prompts are computed. No unit: only its ups and downs are matched."""
    edges_s = np.arange(engine_at_s[0], engine_at_s[-1], STEP_S)
    running = np.interp(edges_s[1:] - 0.5 * STEP_S, engine_at_s, columns["running"])
    prompts = np.diff(np.interp(edges_s, engine_at_s, computed_total(columns)))
    most = float(prompts.max()) or 1.0
    busy = np.minimum(running, 1.0) + np.log1p(running) / math.log(FULL_BATCH)
    return edges_s[1:], busy + 0.5 * prompts / most


def running_signal(
    start_s: FloatArray, end_s: FloatArray, pad_s: float
) -> tuple[FloatArray, FloatArray]:
    """Ends of steps of 0.25 s, and how many requests are under way in their middle, by the
    client."""
    at_s = np.arange(start_s.min() - pad_s, end_s.max() + pad_s, STEP_S)
    begun = np.searchsorted(np.sort(start_s), at_s, side="right")
    gone = np.searchsorted(np.sort(end_s), at_s, side="right")
    return at_s + 0.5 * STEP_S, (begun - gone).astype(np.float64)


def find_lag(
    at_s: FloatArray,
    values: FloatArray,
    work_at_s: FloatArray,
    work: FloatArray,
    most_s: float,
    trailing_s: float = 0.0,
) -> Shift | None:
    """How much later `values` come than `work`, which is of steps that end at `work_at_s`; None
    where one of them never changes. `trailing_s`: over which the meter of `values` averages."""
    if len(at_s) < 2 or np.std(values) < 1e-9 or np.std(work) < 1e-9:
        return None
    if min(at_s[-1], work_at_s[-1]) + most_s - max(at_s[0], work_at_s[0] - most_s) < 10.0:
        return None
    return find_shift(at_s, values, work_at_s, work, most_s, (trailing_s,))


def alignment_entry(shift: Shift | None, needed: bool) -> dict[str, Any]:
    """For the manifest's `clock.alignment`. `needed`: the log had no clock worth the name."""
    if shift is None:
        return {"sure": False, "needed": needed, "moved_s": 0.0, "why": "nothing to match"}
    move = (shift.sure and abs(shift.shift_s) > SMALLEST_SHIFT_S) or needed
    exact = None if math.isnan(shift.plus_minus_s) else shift.plus_minus_s
    return {
        "shift_s": shift.shift_s,
        "plus_minus_s": exact,
        "correlation": shift.correlation,
        "second_best": shift.second,
        "sure": shift.sure,
        "needed": needed,
        "moved_s": -shift.shift_s if move else 0.0,
        "words": str(shift),
    }
